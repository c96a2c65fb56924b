"""What every checker says: `Yes: ...`, or `Not yet: ...` with a reason, and the learner's own lines below it."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable
from typing import Any

__all__ = ["COLUMNS", "NotYet", "a_function", "a_number", "checker"]

#: characters of a printed line: JupyterLab shows no more in a window of 1280 pixels
COLUMNS = 105
#: characters of a verdict: what it shows of an answer may be of any length
LONGEST = 1_000


class NotYet(Exception):
    """The answer isn't right; `why` says why, and `details` are lines shown below it as they are."""

    def __init__(self, why: str, details: str = "") -> None:
        super().__init__(why)
        self.why, self.details = why, details


def checker(check: Callable[..., str]) -> Callable[..., None]:
    """Make a function that returns praise, or raises `NotYet`, into one that prints its verdict."""

    @functools.wraps(check)
    def told(*args: Any, **kwargs: Any) -> None:
        details = ""
        try:
            verdict = f"Yes: {check(*args, **kwargs)}"
        except NotYet as not_yet:
            verdict, details = f"Not yet: {not_yet.why}", not_yet.details
        print(textwrap.fill(verdict if len(verdict) <= LONGEST else f"{verdict[:LONGEST]} ...", COLUMNS))
        if details:
            print("\n".join(_cut(f"    {line}") for line in details.splitlines()))

    return told


def _shown(answer: Any) -> str:
    """What Python calls an answer, even if it is one that can't say it."""
    try:
        return repr(answer)
    except Exception as error:
        return f"an object of type {type(answer).__name__} that Python can't write down ({error})"


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS else f"{line[: COLUMNS - 4]} ..."


def a_number(answer: Any) -> float:
    """The number that `answer` is, of whatever type (12, 12.0, "12", numpy's 12); raises `NotYet` if it is none."""
    if answer is ...:
        raise NotYet("write your number of workers instead of the dots.")
    try:
        value = math.nan if isinstance(answer, bool) else float(answer)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise NotYet(f"your answer is {_shown(answer)}, and that is no number.")
    return value


def a_function(answer: Any) -> Callable[..., Any]:
    """`answer`, if it is a function; raises `NotYet` if it is something else."""
    if not callable(answer):
        raise NotYet(f"the answer should be a function, and it is {_shown(answer)}. Run the cell that defines it.")
    return answer
