"""The shelf: outcomes that are kept, within bounds, for whoever asks for them by task id."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from dqlab.tasks import Span

__all__ = ["Shelf", "size_of"]

#: what is kept at most: tasks, bytes, seconds
KEEP_TASKS, KEEP_BYTES, KEEP_SECONDS = 100_000, 256 << 20, 3600.0


class Shelf:
    """Finished spans, the longest kept first."""

    def __init__(self) -> None:
        self._spans: deque[Span] = deque()
        self._tasks = self._bytes = 0

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def keep(self, span: Span) -> None:
        """Put a span on the shelf, unless it is there."""
        if span.kept:
            return
        span.kept = True
        self._spans.append(span)
        self._tasks += len(span)
        self._bytes += size_of(span.result)

    def take_back(self, spans: Iterable[Span]) -> None:
        """Take spans off the shelf: they are not final any more."""
        gone = set(map(id, spans))
        kept, self._spans = self._spans, deque()
        self._tasks = self._bytes = 0
        for span in kept:
            span.kept = False
            if id(span) not in gone:
                self.keep(span)

    def overdue(self, now: float) -> Iterator[Span]:
        """Take off, one by one, what is beyond the bounds."""
        while self._spans and (
            self._tasks > KEEP_TASKS or self._bytes > KEEP_BYTES or now - self._spans[0].since > KEEP_SECONDS
        ):
            span = self._spans.popleft()
            span.kept = False
            self._tasks -= len(span)
            self._bytes -= size_of(span.result)
            yield span


def size_of(value: Any) -> int:
    """Bytes of a payload or an outcome, as far as they matter."""
    if isinstance(value, bytes | bytearray | memoryview):
        return len(value)
    return len(value[1] or b"") + len(value[2]) if isinstance(value, tuple) else 0
