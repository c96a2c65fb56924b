"""The process in which an answer runs: it reads the function and its arguments, and writes down what came of it."""

from __future__ import annotations

import json
import linecache
import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

__all__ = ["main"]

#: frames of files in here are the lessons', not the learner's
OURS = str(Path(__file__).parents[1])


def main(folder: str) -> None:
    """Run what standard input holds; `folder` gets a file `begun` at the beginning and `outcome` at the end."""
    sys.path[:], sources = pickle.load(sys.stdin.buffer)
    for name, lines in sources.items():
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    myself = os.getpid()
    try:
        function, args = pickle.load(sys.stdin.buffer)
        sys.stdin = open(os.devnull)
        Path(folder, "begun").touch()
        outcome: dict[str, Any] = {"value": function(*args)}
    except BaseException as error:  # sys.exit() too is an end that a function should not take
        outcome = {"raised": _in_a_line(error), "traceback": _of_the_learner(error)}
    sys.stdout.flush()
    if os.getpid() == myself:  # and no copy of it that the function has forked
        new = Path(folder, "outcome.new")
        new.write_text(json.dumps(outcome, default=repr), "utf8")
        new.replace(Path(folder, "outcome"))
    os._exit(0)  # threads that the function has left end too


def _in_a_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]


def _of_the_learner(error: BaseException) -> str:
    """The traceback without the frames that are the checkers' own."""
    told = traceback.TracebackException.from_exception(error)
    told.stack = traceback.StackSummary.from_list([one for one in told.stack if not one.filename.startswith(OURS)])
    return "".join(told.format()).rstrip()
