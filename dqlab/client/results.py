"""What became of a task, at the client: the value that its result's pickle holds, or the exception that it ends in."""

from __future__ import annotations

import concurrent.futures
import linecache
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures.process import _RemoteTraceback
from itertools import repeat
from typing import Any

from dqlab.errors import TaskFailed, TaskTimeout
from dqlab.wire.messages import CALLS, PLAIN, Failure, Found, Outcome
from dqlab.wire.plain_data import load_plain

__all__ = ["Load", "load_error", "load_results", "loader", "raise_outcome", "unpack"]

#: a frame of a traceback under which no source stands
_BARE_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in .+\n(?!    )', re.MULTILINE)


#: what makes a value of a result's bytes
Load = Callable[[Any], Any]


def loader(results: str) -> Load:
    """How results are read at a master whose setting `results` is this: as any pickle, or as plain data."""
    return load_plain if results == PLAIN else pickle.loads


def _remote_traceback(text: str) -> Exception:
    """The worker's traceback, as the cause of the exception that a task raised: of the class that a pool has there."""
    told: Any = f'\n"""\n{_with_source(text)}"""'  # a text, whatever typeshed says
    return _RemoteTraceback(told)


def load_error(task: int, outcome: Outcome, load: Load = pickle.loads) -> BaseException:
    """The exception that a failed task ends in: its own, or `TaskFailed` where it had no chance to raise one, or where
    nothing but plain data is read."""
    failure = Failure.decode(outcome.result)
    kind, data, text, summary = failure.kind, failure.exception, failure.traceback, failure.summary
    attempts = outcome.attempts
    if kind == "error" and data is not None and load is pickle.loads:
        try:
            exc = pickle.loads(data)
            if isinstance(exc, BaseException):
                exc.__cause__ = _remote_traceback(text)
                return exc
        except Exception as broken:
            summary = f"{summary} (the exception itself could not be loaded here: {broken!r})"
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    message = f"task {task} failed after {times}: {summary}"
    cls = TaskTimeout if kind == "timeout" else TaskFailed
    error = cls(message, summary, attempts, tuple(map(tuple, outcome.history)))
    if text:
        error.__cause__ = _remote_traceback(text)
    return error


def _with_source(text: str) -> str:
    """The worker's traceback, with the lines of source that only we have: those of a notebook's cells, say."""

    def complete(frame: re.Match[str]) -> str:
        line = linecache.getline(frame["file"], int(frame["line"])).strip()
        return f"{frame[0]}    {line}\n" if line else frame[0]

    return _BARE_FRAME.sub(complete, text)


def unpack(result: Any, count: int, load: Load = pickle.loads) -> list[Any]:
    """The pickled results of `count` calls."""
    return [result] if count == 1 else load(result)


class LoadedResults:
    """The results of a part of a `map`, each loaded when it is asked for: none is referred to once it is given out.

    An interrupt while one is loaded loses none: the next turn loads it again.
    """

    def __init__(self, pickles: tuple[bytes, ...], load: Load) -> None:
        self._pickles, self._at, self._load = pickles, 0, load

    def __iter__(self) -> LoadedResults:
        return self

    def __next__(self) -> Any:
        if self._at == len(self._pickles):
            raise StopIteration
        value = self._load(self._pickles[self._at])
        self._at += 1
        return value


def load_results(result: Any, load: Load = pickle.loads) -> Iterator[Any]:
    """The results of a part of a `map`: a pickled list of atoms, or a pickled tuple of pickles."""
    loaded = load(result)
    if isinstance(loaded, tuple):
        return LoadedResults(loaded, load)
    # In C, and none of them is referred to any more once it is given out.
    loaded.reverse()
    return map(loaded.pop, repeat(-1, len(loaded)))


def raise_outcome(task: int, found: Found, load: Load = pickle.loads) -> Any:
    """Return the result of a final task, or raise what became of it."""
    outcome = found.outcome
    if outcome.state == "done":
        if found.kind == PLAIN:
            return None  # its result went to the plain queue
        if found.kind in CALLS:
            return load(unpack(outcome.result, found.count, load)[found.index])
        results = load(outcome.result)
        return load(results[found.index]) if isinstance(results, tuple) else results[found.index]
    if outcome.state == "cancelled":
        raise concurrent.futures.CancelledError
    raise load_error(task, outcome, load)
