"""What a client sends: runs, and single calls that are packed into runs on their way out; and who waits for them."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from dqlab.client.future import Future, FutureRun
from dqlab.errors import DqlabError, Refused
from dqlab.wire.connection import beside
from dqlab.wire.messages import KEPT

__all__ = ["LONGEST", "Sink", "Style", "Submission", "Waiting", "pack", "tell"]

#: calls that are packed into one run at most
LONGEST = 2_000


class Sink(Protocol):
    """Who waits for the outcomes of a run."""

    def goes_out(self, first: int) -> bool:
        """The run is about to be sent, as tasks from ``first`` on; False if it need not be."""

    def deliver(self, lo: int, hi: int, state: str, result: Any, attempts: int, history: list[Any]) -> bool:
        """Tasks [lo, hi) are final; return whether that was the last of the run."""

    def gone(self, error: DqlabError) -> None:
        """There will be no outcome."""

    def forgotten(self, lo: int, hi: int, error: DqlabError) -> bool:
        """There will be no outcome of those of tasks [lo, hi) that have none; return as `deliver` does."""


class Waiting:
    """The runs that are out, by their first task, and who waits for each."""

    # Every step is one operation on the dictionary: the sender, the collector and a finalizer come here at any time.

    def __init__(self) -> None:
        self._sinks: dict[int, tuple[int, Sink]] = {}

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def add(self, first: int, count: int, sink: Sink) -> None:
        """From now on ``sink`` waits for ``count`` tasks from ``first`` on."""
        self._sinks[first] = count, sink

    def drop(self, first: int) -> None:
        """Nobody waits for the run any more."""
        self._sinks.pop(first, None)

    def ranges(self) -> list[tuple[int, int]]:
        """(first, count) of each run."""
        return [(first, count) for first, (count, _) in list(self._sinks.items())]

    def deliver(self, first: int, lo: int, hi: int, outcome: list[Any]) -> None:
        """Tasks [lo, hi) of a run are final."""
        entry = self._sinks.get(first)
        if entry is not None and entry[1].deliver(lo, hi, *outcome):
            self.drop(first)

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
    """A run on its way to the master: ``style`` is what it has in common with others, ``payload`` its own.

    ``future`` makes it a single call, and ``payload`` that call's arguments; the sender packs consecutive calls of one
    style into one run. ``accepted``, a locked lock, is released when the master has taken it, or refused it because its
    backlog is full; without one it waits there.
    """

    first: int
    count: int
    style: Style
    payload: bytes
    sink: Sink | None = None
    future: Future[Any] | None = None
    accepted: Any = None


class Style(NamedTuple):
    """What the tasks of a run have in common, as in `tasks.Run`; ``pickled`` is the function that ``digest`` names."""

    queue: str
    kind: str
    digest: str
    python: str
    retries: int
    timeout: float | None
    max_attempts: int
    pickled: bytes

    def fields(self, payload: bytes) -> tuple[Any, ...]:
        """The fields of `tasks.Run` behind its ids."""
        return (
            self.queue, self.kind, self.digest, beside(payload), self.python, self.retries, self.timeout,
            self.max_attempts,
        )  # fmt: skip


def pack(batch: list[Submission], longest: int = LONGEST) -> Iterator[Submission]:
    """Turn single calls into runs, up to ``longest`` consecutive ones of one style into one; leave runs as they are."""
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
        and submission.style == last.style
        and submission.accepted is last.accepted is None
    )


def _packed(calls: list[Submission]) -> Submission:
    first = calls[0]
    sink = FutureRun([call.future for call in calls if call.future is not None])
    if len(calls) == 1:
        return Submission(first.first, 1, first.style, first.payload, sink, None, first.accepted)
    payload = pickle.dumps([call.payload for call in calls], 5)
    return Submission(first.first, len(calls), first.style._replace(kind="calls"), payload, sink)


def tell(submission: Submission) -> None:
    """Whoever waits for the submission to be accepted, or refused, need wait no longer."""
    if submission.accepted is not None:
        submission.accepted.release()
