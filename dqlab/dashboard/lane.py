"""A worker's line in the picture, and the bars on it: a bar per task, or per run of short ones.

A bar that is narrower on the screen than a few pixels is merged with its neighbours: a thousand tasks of a millisecond
are one bar that says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MERGED_SLICES", "Bar", "Lane", "Link", "rounded"]

#: slices that a bar of merged short tasks may cover before a new one begins
MERGED_SLICES = 10
#: leases that a lane remembers, to know since when it could work on a task
LEASES = 64


@dataclass(slots=True)
class Bar:
    """`count` tasks from `task` on, from `start` to `end` (seconds since the history's base)."""

    id: int
    start: float
    end: float
    kind: str  #: "done", "retry" (raised, comes again), "failed", "lost" (its worker died) or "cancelled"
    task: int
    count: int = 1
    busy: float = 0.0  #: seconds of work in it; less than its length if short tasks with gaps were merged
    text: str = ""  #: the reason, if it did not end well
    version: int = 0

    def absorb(self, bar: Bar, slice: float) -> bool:
        """Take in the bar that follows, if both are of short tasks that ended well; return whether it did."""
        if not (
            bar.kind == self.kind == "done"
            and (bar.end - bar.start) / bar.count < slice
            and (self.end - self.start) / self.count < slice
            and bar.start - self.end < slice
            and bar.end - self.start < MERGED_SLICES * slice
        ):
            return False
        self.end, self.count, self.busy = max(self.end, bar.end), self.count + bar.count, self.busy + bar.busy
        self.version = bar.version
        return True

    def as_list(self) -> list[Any]:
        """What a screen is told of it."""
        return [
            self.id,
            rounded(self.start),
            rounded(self.end),
            self.kind,
            self.task,
            self.count,
            rounded(self.busy),
            self.text,
        ]


@dataclass(slots=True)
class Lane:
    """One worker's line."""

    name: str
    host: str
    joined: float
    left: float | None = None
    end: str = ""  #: "stopped" or "died", once it left
    reason: str = ""
    task: int | None = None  #: what it works on now
    since: float = 0.0  #: when it began that
    bars: deque[Bar] = field(default_factory=deque)
    leases: deque[tuple[int, int, float]] = field(default_factory=lambda: deque(maxlen=LEASES))
    free_at: float = float("-inf")  #: the end of its latest bar
    told: float = float("-inf")  #: when it told of that, and how far what it had told before reached
    floor: float = float("-inf")
    version: int = 0

    def could_start(self, task: int) -> float:
        """The earliest instant at which it can have begun `task`: leased, and the one before ended."""
        leased = next((when for first, end, when in reversed(self.leases) if first <= task < end), self.joined)
        return max(self.free_at, leased)

    def draw(self, bar: Bar, slice: float) -> None:
        """Put a bar at the lane's end, where there is room for it; short ones are merged (`slice` in seconds)."""
        if self.task is not None and bar.task <= self.task < bar.task + bar.count:
            self.task = None
        bar.start = self._place(min(bar.start, bar.end), bar.end, bar.version)
        bar.busy = bar.end - bar.start
        self.free_at = max(self.free_at, bar.end)
        self.version = bar.version
        if not self.bars or not self.bars[-1].absorb(bar, slice):
            self.bars.append(bar)

    def _place(self, start: float, end: float, version: int) -> float:
        """When the task that is said to have taken from `start` to `end` can have begun.

        A worker does one task at a time, but tells of some late, or of several at once. Those lie one before the other,
        and none in what it had told of before.
        """
        if end != self.told:
            self.told, self.floor = end, min(self.free_at, end)
        start = limit = max(start, self.floor)
        for bar in reversed(self.bars):
            if bar.end <= limit:
                break
            begin = max(self.floor, limit - (bar.end - bar.start))
            bar.start, bar.end, bar.version = min(bar.start, begin), limit, version
            limit = bar.start
        return start

    def newer(self, since: int) -> list[Any]:
        """The bars that changed after version `since`, of which only the last ones can be newer."""
        latest = []
        for bar in reversed(self.bars):
            if bar.version <= since:
                break
            latest.append(bar.as_list())
        return latest[::-1]


@dataclass(slots=True)
class Link:
    """`count` tasks, `task` the first, lost by worker `source` and taken over by `target`."""

    source: str
    lost: float
    target: str
    taken: float
    task: int
    count: int = 1
    version: int = 0

    def as_list(self) -> list[Any]:
        """What a screen is told of it."""
        return [self.source, rounded(self.lost), self.target, rounded(self.taken), self.task, self.count]


def rounded(seconds: float) -> float:
    """Seconds to the millisecond: a screen shows no more."""
    return round(seconds, 3)
