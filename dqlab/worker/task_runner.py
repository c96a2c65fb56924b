"""How the child runs its tasks: one after another, each result reported together with others or at once."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from dqlab.wire.messages import ATOMS, CALLS, PLAIN, Header, Lease, beside
from dqlab.worker.client_names import load_values
from dqlab.worker.result_pickling import ResultPickler
from dqlab.worker.shared_numbers import BEGUN, LIMIT, STARTED

__all__ = ["FLUSH", "Reporter", "TaskRunner"]

#: seconds after which results are sent although there is more to do
FLUSH = 0.05
#: seconds of one task from which on its result does not wait for others: the next may take much longer
EAGER = 0.01
#: seconds of one task from which on it may have started something that printed
SHORT = 0.0003


class Reporter(Protocol):
    """Who hears what becomes of the tasks."""

    def say(self, message: Any) -> None:
        """Take a message, to be sent soon."""

    def deliver(self) -> None:
        """Send all messages now."""

    def end_output(self) -> None:
        """What was printed until now is the task's that is in hand."""

    def give_way(self) -> NoReturn:
        """End the process between two tasks, once all is said."""
        ...

    def end_copy(self, exc: BaseException | None) -> NoReturn:
        """A copy of the process that a task has forked came out of that task."""
        ...


class Running(Protocol):
    """What code can learn of the task that it is run for."""

    task: int


class Finished:
    """Results of a job that are not sent yet. Two threads come here: the one that runs tasks, and `TaskRunner`'s other.

    The first one appends to `results` without a lock; all else happens under it.
    """

    def __init__(self, number: int, lo: int, kind: str) -> None:
        self.number, self.kind = number, kind
        self.results: list[Any] = []
        self.since = time.perf_counter()  #: when the first of them began
        self._lo = lo  #: the task that the first of them is of
        self._lock = threading.Lock()

    def send(self, reporter: Reporter, pickler: ResultPickler) -> None:
        """Report those that there are."""
        with self._lock:
            count, now = len(self.results), time.perf_counter()
            if count:
                data = pickler.pack(self.results[:count], self.kind)
                reporter.say(("done", self.number, self._lo, self._lo + count, beside(data), now - self.since))
                del self.results[:count]
            self._lo, self.since = self._lo + count, now

    def skip(self) -> None:
        """The next task has no result."""
        with self._lock:
            self._lo, self.since = self._lo + 1, time.perf_counter()


class TaskRunner:
    """Runs tasks. `numbers` are shared with the worker, which sees there how far we are and where to stop."""

    def __init__(self, numbers: Any, current: Running, reporter: Reporter) -> None:
        self._numbers, self._current, self._reporter = numbers, current, reporter
        self.results = ResultPickler()
        self.forked = False  #: whether this is a copy of the process, made by a task
        self._finished: Finished | None = None

    def start(self) -> None:
        """From now on what has ended does not wait for what takes long."""
        threading.Thread(target=self._send_what_waits, name="dqlab-finished", daemon=True).start()

    def _send_what_waits(self) -> None:
        """What has ended does not wait for a task that takes long, prints for ever or never ends."""
        rest, seen = threading.Event(), None
        while True:
            rest.wait(FLUSH)
            finished = self._finished
            if finished is not None and finished is seen and time.perf_counter() - finished.since > FLUSH:
                if finished.results:
                    finished.send(self._reporter, self.results)
                self._reporter.deliver()  # what jobs before this one have left, too
            seen = finished

    def run(self, number: int, base: int, lease: Lease, function: Callable[..., Any], items: list[Any]) -> None:
        """Run the tasks of a lease, job `number` of its feed, in which item 0 of the run has the position `base`.

        The inner loop. A tiny task costs little more than its call: two stores, a load and a look at the clock.
        """
        lo, hi, kind, timeout, careful = lease.lo, lease.hi, lease.header.kind, lease.header.timeout, lease.careful
        cursor, clock, current, reporter, atoms = self._numbers, time.perf_counter, self._current, self._reporter, ATOMS
        do, start, task = self._caller(lease.header, function), (0 if kind == PLAIN else lo), lease.first - base
        self._finished = finished = Finished(number, lo, kind)
        results, began, look = finished.results, finished.since, 0.0
        for position, item in enumerate(items[start : start + hi - lo], base + lo):
            if timeout is not None:  # before `BEGUN`: the worker would take the last task's start for this one's
                cursor[STARTED] = time.monotonic_ns()
            cursor[BEGUN] = position
            if position >= cursor[LIMIT]:
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
                reporter.end_output()
                finished.send(reporter, self.results)
                reporter.say(("failed", number, i, i + 1, self.results.describe(exc).encode(), clock() - began))
                finished.skip()
                if kind == PLAIN and isinstance(exc, SystemExit):
                    reporter.say(("quit",))
                    reporter.give_way()
            now = clock()
            if now > look:
                goes_out = now - finished.since > FLUSH or now - began > EAGER or careful
                if goes_out or now - began > SHORT:
                    reporter.end_output()
                if goes_out:
                    finished.send(reporter, self.results)
                    reporter.deliver()
                # No sooner can a task have taken long, or the first one wait for long.
                look = 0.0 if careful else min(now + SHORT, finished.since + FLUSH)
            began = now
        self._finished = None
        reporter.end_output()
        finished.send(reporter, self.results)

    def _caller(self, header: Header, function: Callable[..., Any]) -> Callable[[Any], Any]:
        """What to do with one item of a run, see `messages.KINDS`."""
        # What any Python can read holds no function by value: it need not be looked for one.
        kind, loads, dump = header.kind, load_values if header.python else pickle.loads, self.results.dump
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
