"""What a client sends: runs, and single calls that are packed into runs on their way out; and who waits for them."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from dqlab.client.future import Future
from dqlab.client.future_run import FutureRun
from dqlab.errors import DqlabError, Refused
from dqlab.wire.messages import KEPT, Finished, Header, NewTasks, Options, Outcome

__all__ = ["LONGEST", "Sink", "Submission", "Waiting", "make_header", "pack", "tell"]

#: calls that are packed into one run at most
LONGEST = 2_000


class Sink(Protocol):
    """Who waits for the outcomes of a run."""

    def goes_out(self, first: int) -> bool:
        """The run is about to be sent, as tasks from `first` on; False if it need not be."""
        ...

    def deliver(self, lo: int, hi: int, outcome: Outcome) -> bool:
        """Tasks [lo, hi) are final; return whether that was the last of the run."""
        ...

    def gone(self, error: DqlabError) -> None:
        """There will be no outcome."""
        ...

    def forgotten(self, lo: int, hi: int, error: DqlabError) -> bool:
        """There will be no outcome of those of tasks [lo, hi) that have none; return as `deliver` does."""
        ...


class Waiting:
    """The runs that are out, by their first task, and who waits for each."""

    # Every step is one operation on the dictionary: the sender, the collector and a finalizer come here at any time.

    def __init__(self) -> None:
        self._sinks: dict[int, tuple[int, Sink]] = {}

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def add(self, first: int, count: int, sink: Sink) -> None:
        """From now on `sink` waits for `count` tasks from `first` on."""
        self._sinks[first] = count, sink

    def drop(self, first: int) -> None:
        """Nobody waits for the run any more."""
        self._sinks.pop(first, None)

    def ranges(self) -> list[tuple[int, int]]:
        """(first, count) of each run."""
        return [(first, count) for first, (count, _) in list(self._sinks.items())]

    def deliver(self, finished: Finished) -> None:
        """Some tasks of a run are final."""
        entry = self._sinks.get(finished.first)
        if entry is not None and entry[1].deliver(finished.lo, finished.hi, finished.outcome):
            self.drop(finished.first)

    def forgotten(self, first: int, lo: int, hi: int) -> None:
        """Tasks [lo, hi) of a run have ended while the client was away, and the master has forgotten how."""
        error = Refused(f"task {first + lo} has ended while this client was away, and the master forgot how", KEPT)
        entry = self._sinks.get(first)
        if entry is not None and entry[1].forgotten(lo, hi, error):
            self.drop(first)

    def fail(self, error: DqlabError) -> None:
        """None of them will have an outcome."""
        with contextlib.suppress(KeyError):
            while True:
                self._sinks.popitem()[1][1].gone(error)


@dataclass(slots=True, eq=False)
class Submission:
    """Tasks on their way to the master; `function` is the pickled function that their `header` names.

    `future` makes it a single call, and `payload` that call's arguments; the sender packs consecutive calls with one
    header into one run. `accepted`, a locked lock, is released when the master has taken it, or refused it because its
    backlog is full; without one it waits there.
    """

    first: int
    count: int
    header: Header
    function: bytes
    payload: bytes
    sink: Sink | None = None
    future: Future[Any] | None = None
    accepted: Any = None

    def encode(self) -> tuple[Any, ...]:
        """The tasks as they travel."""
        return NewTasks(first=self.first, count=self.count, header=self.header, payload=self.payload).encode()


@lru_cache(maxsize=1_000)
def make_header(options: Options, kind: str, function: str, python: str) -> Header:
    """The header of tasks with these options; one object for all that are alike, so that it is checked once."""
    chosen = {name: getattr(options, name) for name, _ in Options.checks}
    return Header(**chosen, kind=kind, function=function, python=python)


def pack(batch: list[Submission], longest: int = LONGEST) -> Iterator[Submission]:
    """Turn single calls into runs, up to `longest` consecutive ones of one header each; leave runs as they are."""
    together: list[Submission] = []
    for submission in batch:
        if together and (len(together) >= longest or not _continues(together[-1], submission)):
            yield _packed(together)
            together = []
        if submission.future is None:
            yield submission
        else:
            together.append(submission)
    if together:
        yield _packed(together)


def _continues(last: Submission, submission: Submission) -> bool:
    return (
        submission.future is not None
        and submission.first == last.first + 1
        and submission.header == last.header
        and submission.accepted is last.accepted is None
    )


def _packed(calls: list[Submission]) -> Submission:
    first = calls[0]
    sink = FutureRun([call.future for call in calls if call.future is not None])
    if len(calls) == 1:
        first.sink, first.future = sink, None
        return first
    payload = pickle.dumps([call.payload for call in calls], 5)
    return Submission(first.first, len(calls), replace(first.header, kind="calls"), first.function, payload, sink)


def tell(submission: Submission) -> None:
    """Whoever waits for the submission to be accepted, or refused, need wait no longer."""
    if submission.accepted is not None:
        submission.accepted.release()
