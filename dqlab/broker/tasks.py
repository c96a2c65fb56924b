"""What the broker moves: runs of tasks, cut into spans that are each in one state.

A *run* is what one message brought: consecutive tasks with one function and one payload (`submit` makes runs of
one task, `map` runs of thousands). A *span* is a stretch of a run whose tasks share a state. One Python object per
task would cost more than the tasks themselves; a run that moves as a whole is one object, and as soon as a part of it
fails, is cancelled or taken back, the span is cut, so that whatever is visible is true for each single task.

    run    [ 0 . . . . . . . . . . . . . . . 15 ]   one payload, one function
    spans  [ done     ][ leased, w1 ][failed][ ready ]
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from enum import StrEnum
from typing import Any

from dqlab.broker.change_listener import ChangeListener
from dqlab.broker.printed import parted
from dqlab.errors import BadInput
from dqlab.wire.messages import Header
from dqlab.wire.printed import Shown

__all__ = ["CANCELLED", "DELAYED", "DONE", "FAILED", "FINAL", "LEASED", "READY", "Run", "Span", "State"]

#: deliveries that ended badly, and characters of each one's reason, that are remembered of a task
HISTORY, REASON_CHARS = 100, 1_000


class State(StrEnum):
    """Where a task is."""

    __hash__ = str.__hash__  # that of an `Enum` is a function of Python, and states are looked up for each task

    READY = "ready"  #: waits for a worker
    DELAYED = "delayed"  #: waits for its back-off to pass
    LEASED = "leased"  #: a worker has the right to it
    DONE = "done"  #: ended well
    FAILED = "failed"  #: ended badly (dead-lettered), never retried by itself
    CANCELLED = "cancelled"  #: taken back by its client before it started


#: under names of their own, because those of an `Enum` are looked up by a function of Python before 3.12
READY, DELAYED, LEASED, DONE, FAILED, CANCELLED = State
FINAL = frozenset({DONE, FAILED, CANCELLED})


class Span:
    """The tasks `first + lo` .. `first + hi - 1` of a run, all in one state."""

    __slots__ = (
        "attempt", "deaths", "due", "errors", "history", "hi", "lo", "printed", "result", "run", "since", "state",
        "suspect", "thread", "token", "worker",
    )  # fmt: skip

    def __init__(self, run: Run, lo: int, hi: int) -> None:
        self.run, self.lo, self.hi = run, lo, hi
        self.state = READY
        self.attempt = 0  #: deliveries so far
        self.errors = self.deaths = 0  #: exceptions and lost workers so far
        self.history: tuple[tuple[str, str], ...] = ()  #: (worker, reason) of the last deliveries that ended badly
        self.suspect = False  #: whether one of them, nobody knows which, ended its process: delivered one by one
        self.worker: str | None = None
        self.thread: tuple[int, int] | None = None  #: of the client whose plain `get` it was, while leased by that
        self.token = 0  #: the lease, while leased
        self.due = 0.0  #: when a delayed task is ready again
        self.since = 0.0  #: when the state was entered
        self.result: Any = None  #: bytes of a result list, or the `Failure`, once final
        self.printed: tuple[Shown, ...] = ()  #: what its deliveries have printed, as far as they had an end

    @property
    def first(self) -> int:
        """Id of the first task."""
        return self.run.first + self.lo

    def __len__(self) -> int:
        return self.hi - self.lo

    def __lt__(self, other: Span) -> bool:
        return self.lo < other.lo

    def __repr__(self) -> str:
        tasks = f"Task {self.first}" if len(self) == 1 else f"Tasks {self.first}..{self.first + len(self) - 1}"
        return f"<{tasks} {self.state} attempt {self.attempt}>"

    def ended_badly(self, worker: str, reason: str) -> None:
        """Remember that a delivery did."""
        self.history = (*self.history[1 - HISTORY :], (worker, reason[:REASON_CHARS]))

    def begin_anew(self) -> None:
        """As if it had never been delivered."""
        self.attempt, self.errors, self.deaths, self.history, self.result = 0, 0, 0, (), None
        self.suspect, self.printed = False, ()

    def has_end(self, lo: int, hi: int) -> bool:
        """Whether [lo, hi) begins or ends this span, or is all of it."""
        return self.lo <= lo < hi <= self.hi and (lo == self.lo or hi == self.hi)

    def cut(self, lo: int, hi: int) -> Span:
        """Take [lo, hi), which begins or ends this span (or is all of it), out of it and return it."""
        if not self.has_end(lo, hi):
            raise BadInput(f"[{lo}, {hi}) is not an end of {self!r}")
        if lo == self.lo and hi == self.hi:
            return self
        piece = Span(self.run, lo, hi)
        for name in (
            "state", "attempt", "deaths", "errors", "history", "suspect", "worker", "token", "due", "since", "result",
        ):  # fmt: skip
            setattr(piece, name, getattr(self, name))
        if self.printed:
            piece.printed, self.printed = parted(self.printed, piece.first, piece.first + len(piece))
        if lo == self.lo:
            self.lo = hi
        else:
            self.hi = lo
        insort(self.run.spans, piece)
        if self.run.changes is not None:
            self.run.changes.span(self)
            self.run.changes.span(piece)
        return piece


class Run:
    """Consecutive tasks `first` .. `first + count - 1` of one client, with all that they have in common."""

    __slots__ = ("changes", "count", "first", "header", "max_attempts", "open", "payload", "spans", "submitted")

    def __init__(
        self, first: int, count: int, header: Header, payload: Any, max_attempts: int, submitted: float
    ) -> None:
        self.first, self.count, self.header = first, count, header
        self.payload = payload  #: the items, as their kind has them
        self.max_attempts = max_attempts  #: deliveries after which a task that keeps losing its worker is failed
        self.submitted = submitted
        self.changes: ChangeListener | None = None  #: who hears of them, where there is a journal
        self.open = count  #: tasks that may run yet or again: not done, cancelled or forgotten
        self.spans = [Span(self, 0, count)]

    @property
    def queue(self) -> str:
        """The queue in which its tasks wait."""
        return self.header.queue

    def span_of(self, task: int) -> Span | None:
        """The span that holds `task`, None if it was forgotten."""
        index = task - self.first
        i = bisect_right(self.spans, index, key=_low) - 1
        return self.spans[i] if i >= 0 and self.spans[i].lo <= index < self.spans[i].hi else None

    def spans_in(self, lo: int, hi: int) -> list[Span]:
        """The spans that hold some of the items [lo, hi)."""
        start, stop = bisect_right(self.spans, lo, key=_low) - 1, bisect_left(self.spans, hi, key=_low)
        return [span for span in self.spans[max(0, start) : stop] if span.hi > lo]

    def drop(self, span: Span) -> bool:
        """Forget a span; False if it was forgotten before."""
        i = bisect_left(self.spans, span.lo, key=_low)
        if i == len(self.spans) or self.spans[i] is not span:
            return False
        del self.spans[i]
        if self.changes is not None:
            self.changes.dropped(span)
        return True


def _low(span: Span) -> int:
    return span.lo
