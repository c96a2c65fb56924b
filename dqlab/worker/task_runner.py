"""How the child runs its tasks: one after another, each result reported together with others or at once."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, Protocol

from dqlab.wire.connection import beside
from dqlab.wire.messages import ATOMS, CALLS
from dqlab.worker.result_pickling import ResultPickler
from dqlab.worker.shared_numbers import BEGUN, LIMIT, STARTED

__all__ = ["FLUSH", "Reporter", "Stretch", "TaskRunner"]

#: seconds after which results are sent although there is more to do
FLUSH = 0.05
#: seconds of one task from which on its result does not wait for others: the next may take much longer
EAGER = 0.01


class Reporter(Protocol):
    """Who hears what becomes of the tasks."""

    def say(self, message: Any) -> None:
        """Take a message, to be sent soon."""

    def deliver(self) -> None:
        """Send all messages now."""

    def flush_printed(self) -> None:
        """Take what the task has printed."""

    def end_copy(self, exc: BaseException | None) -> NoReturn:
        """A copy of the process that a task has forked came out of that task."""


class Running(Protocol):
    """What code can learn of the task that it is run for."""

    task: int


class Stretch(NamedTuple):
    """A job to run: tasks [lo, hi) of a run, whose first task has the id ``first``."""

    number: int  #: of the job in its feed
    base: int  #: position of item 0 in the feed
    first: int
    lo: int
    hi: int
    kind: str
    timeout: float | None
    careful: bool


class TaskRunner:
    """Runs tasks. ``numbers`` are shared with the worker, which sees there how far we are and where to stop."""

    def __init__(self, numbers: Any, current: Running, reporter: Reporter) -> None:
        self._numbers, self._current, self._reporter = numbers, current, reporter
        self.results = ResultPickler()
        self.forked = False  #: whether this is a copy of the process, made by a task

    def run(self, stretch: Stretch, function: Callable[..., Any], items: list[Any]) -> None:
        """The inner loop. A tiny task costs little more than its call: two stores, a load and a look at the clock."""
        number, base, first, lo, hi, kind, timeout, careful = stretch
        cursor, clock, current, reporter, atoms = self._numbers, time.perf_counter, self._current, self._reporter, ATOMS
        do, start, task = self._caller(kind, function), (0 if kind == "plain" else lo), first - base
        results: list[Any] = []
        began = since = clock()
        flush_at, look = lo, 0.0  #: the first item that is not sent yet; when to look whether it has to be
        for position, item in enumerate(items[start : start + hi - lo], base + lo):
            if timeout is not None:  # before `BEGUN`: the worker would take the last task's start for this one's
                cursor[STARTED] = time.monotonic_ns()
            cursor[BEGUN] = position
            if position >= cursor[LIMIT]:
                hi = position - base
                break
            current.task = task + position
            try:
                value = do(item)
                if self.forked:
                    reporter.end_copy(None)
                results.append(value if type(value) in atoms else self.results.freeze(value, kind))
            except BaseException as exc:
                if self.forked:
                    reporter.end_copy(exc)
                i = position - base
                self._flush(number, flush_at, i, results, kind, since)
                reporter.flush_printed()
                reporter.say(("failed", number, i, i + 1, self.results.describe(exc), clock() - began))
                results, flush_at, since = [], i + 1, clock()
            now = clock()
            if now > look:
                if now - since > FLUSH or now - began > EAGER or careful:
                    reporter.flush_printed()
                    self._flush(number, flush_at, position - base + 1, results, kind, since)
                    reporter.deliver()
                    results, flush_at, since = [], position - base + 1, clock()
                # No sooner can a task have taken long, or the first one wait for long.
                look = 0.0 if careful else min(now + EAGER, since + FLUSH)
            began = now
        reporter.flush_printed()
        self._flush(number, flush_at, hi, results, kind, since)

    def _flush(self, number: int, lo: int, hi: int, results: list[Any], kind: str, since: float) -> None:
        """Send the results of items [lo, hi)."""
        if lo < hi:
            seconds = time.perf_counter() - since
            self._reporter.say(("done", number, lo, hi, beside(self.results.pack(results, kind)), seconds))

    def _caller(self, kind: str, function: Callable[..., Any]) -> Callable[[Any], Any]:
        """What to do with one item of a run, see `messages.KINDS`."""
        loads, dump = pickle.loads, self.results.dump
        if kind == "maps":
            return lambda item: function(loads(item))
        if kind == "star":
            return lambda item: function(*item)
        if kind == "stars":
            return lambda item: function(*loads(item))
        if kind not in CALLS:
            return function

        def call(item: bytes) -> bytes:
            args, kwargs = loads(item)
            return dump(function(*args, **kwargs))

        return call
