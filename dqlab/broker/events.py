"""What happened, in order: a bounded ring of records, each with a sequence number and a time.

A record may stand for several consecutive tasks (`Record.count`), because the broker moves tasks in runs, and because
what it does with several runs at one instant is one record too; `expand` makes one dictionary per task of it when
somebody reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

__all__ = ["EventLog", "Record", "expand"]

#: records that the master remembers, and characters of printed text and reasons in them; older ones are forgotten
REMEMBERED, REMEMBERED_CHARS = 100_000, 32 << 20
#: characters of one text or reason; the rest is cut
TEXT_CHARS = 10_000
#: what may become one record for several runs, and seconds that a task may take for that: a longer one is told apart
TOGETHER, SHORT = frozenset({"submitted", "leased", "done"}), 0.001


class Record(NamedTuple):
    """One event. `task` is the first of `count` consecutive tasks; times and durations are in seconds."""

    seq: int
    time: float
    kind: str
    queue: str | None = None
    task: int | None = None
    count: int = 1  # type: ignore[assignment]  # of a record, not of a tuple
    worker: str | None = None
    attempt: int | None = None
    seconds: float | None = None
    reason: str | None = None
    text: str | None = None
    host: str | None = None
    pid: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields that this record has, as plain data."""
        return {name: value for name, value in zip(_FIELDS, self) if value is not None}  # noqa: B905  (hot)


_FIELDS = Record._fields
_REASON, _TEXT = _FIELDS.index("reason"), _FIELDS.index("text")


class EventLog:
    """The ring. `last` is the sequence number of the newest record, 0 before the first."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._ring: deque[tuple[Any, ...]] = deque()  #: the fields of a `Record`, which is made when read
        self._size = size
        self._chars = 0
        self._read = 0  #: the newest record that somebody has read, which must not change any more
        self.last = 0

    def begin_at(self, number: int) -> None:
        """Give the first record the number behind this one: those up to it are an earlier log's."""
        self.last = self._read = number

    def add(
        self, time: float, kind: str, queue: str | None = None, task: int | None = None, count: int = 1,
        worker: str | None = None, attempt: int | None = None, seconds: float | None = None,
        reason: str | None = None, text: str | None = None, host: str | None = None, pid: int | None = None,
    ) -> None:  # fmt: skip
        """Remember an event; the fields are those of `Record`."""
        ring = self._ring
        if ring and ring[-1][1] == time and self._extend((kind, queue, worker, attempt), task, count, seconds):
            return
        if text or reason:
            text, reason = text and text[:TEXT_CHARS], reason and reason[:TEXT_CHARS]
            self._chars += len(text or "") + len(reason or "")
        self.last += 1
        ring.append((self.last, time, kind, queue, task, count, worker, attempt, seconds, reason, text, host, pid))
        while len(ring) > self._size or self._chars > REMEMBERED_CHARS:
            oldest = ring.popleft()
            self._chars -= len(oldest[_REASON] or "") + len(oldest[_TEXT] or "")

    def _extend(self, what: tuple[Any, ...], task: int | None, count: int, seconds: float | None) -> bool:
        """Add the tasks to the newest record, of the same instant, if they follow on its own; say whether they do."""
        if what[0] not in TOGETHER or self.last == self._read:
            return False
        seq, time, kind, queue, first, n, worker, attempt, took, *rest = self._ring[-1]
        if (kind, queue, worker, attempt) != what or task != first + n:
            return False
        if seconds is not None:
            if seconds > SHORT * count or took > SHORT * n:
                return False
            took += seconds
        self._ring[-1] = (seq, time, kind, queue, first, n + count, worker, attempt, took, *rest)
        return True

    def since(self, seq: int, limit: int = 10_000) -> list[Record]:
        """The records after number `seq`, oldest first, at most `limit`."""
        self._read = self.last
        # From the new end: whoever follows asks for little, and a deque has no way in from the middle.
        found = list(islice(reversed(self._ring), max(0, self.last - seq)))
        return [Record._make(fields) for fields in found[: -limit - 1 : -1]]


def expand(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One dictionary per task: n tasks done in s seconds become n that took s/n each, one after another.

    Outcomes that were dropped have no task: their lease, which knew it, was gone.
    """
    for record in records:
        count = record.get("count", 1)
        single = {key: value for key, value in record.items() if key != "count"}
        if count == 1:
            yield single
            continue
        seconds = record.get("seconds")
        for i in range(count):
            one = dict(single, task=record["task"] + i) if "task" in record else dict(single)
            if seconds is not None and record["kind"] == "done":
                one.update(seconds=seconds / count, time=record["time"] - seconds * (count - 1 - i) / count)
            yield one
