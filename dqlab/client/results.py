"""What became of a task, at the client: the value that its result's pickle holds, or the exception that it ends in."""

from __future__ import annotations

import concurrent.futures
import linecache
import pickle
import re
from typing import Any

from dqlab.errors import TaskFailed, TaskTimeout
from dqlab.wire.messages import CALLS, PLAIN, Failure, Found, Outcome

__all__ = ["RemoteTraceback", "load_error", "raise_outcome", "unpack"]

#: a frame of a traceback under which no source stands
_BARE_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in .+\n(?!    )', re.MULTILINE)


class RemoteTraceback(Exception):
    """The worker's traceback, as the cause of the exception that a task raised."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def load_error(task: int, outcome: Outcome) -> BaseException:
    """The exception that a failed task ends in: its own, or `TaskFailed` where it had no chance to raise one."""
    failure = Failure.decode(outcome.result)
    kind, data, text, summary = failure.kind, failure.exception, failure.traceback, failure.summary
    attempts = outcome.attempts
    if kind == "error" and data is not None:
        try:
            exc = pickle.loads(data)
            if isinstance(exc, BaseException):
                exc.__cause__ = RemoteTraceback(_with_source(text))
                return exc
        except Exception as broken:
            summary = f"{summary} (the exception itself could not be loaded here: {broken!r})"
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    message = f"task {task} failed after {times}: {summary}"
    cls = TaskTimeout if kind == "timeout" else TaskFailed
    error = cls(message, summary, attempts, tuple(map(tuple, outcome.history)))
    if text:
        error.__cause__ = RemoteTraceback(_with_source(text))
    return error


def _with_source(text: str) -> str:
    """The worker's traceback, with the lines of source that only we have: those of a notebook's cells, say."""

    def complete(frame: re.Match[str]) -> str:
        line = linecache.getline(frame["file"], int(frame["line"])).strip()
        return f"{frame[0]}    {line}\n" if line else frame[0]

    return _BARE_FRAME.sub(complete, text)


def unpack(result: Any, count: int) -> list[Any]:
    """The pickled results of `count` calls."""
    return [result] if count == 1 else pickle.loads(result)


def raise_outcome(task: int, found: Found) -> Any:
    """Return the result of a final task, or raise what became of it."""
    outcome = found.outcome
    if outcome.state == "done":
        if found.kind == PLAIN:
            return None  # its result went to the plain queue
        if found.kind in CALLS:
            return pickle.loads(unpack(outcome.result, found.count)[found.index])
        return pickle.loads(outcome.result)[found.index]
    if outcome.state == "cancelled":
        raise concurrent.futures.CancelledError
    raise load_error(task, outcome)
