"""Outcomes that are kept, within bounds, for whoever asks for them by task id, or comes back for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from dqlab.broker.tasks import FAILED, Span
from dqlab.wire.checks import BUFFERS
from dqlab.wire.messages import Failure
from dqlab.wire.printed import chars_in

__all__ = ["KEEP_SECONDS", "KeptOutcomes", "outcome_size", "size_of"]

#: what is kept at most: bytes, seconds, tasks whose outcome their client has, spans whose outcome somebody may need
KEEP_BYTES, KEEP_SECONDS, KEEP_TASKS, KEEP_SPANS = 256 << 20, 3600.0, 100_000, 100_000


class KeptOutcomes:
    """Finished spans, the longest kept first.

    Some are needed: what a client that is away has not read, and what failed, which may be requeued. All others are
    spare: they make room first, so that a busy client's results don't push out what another one will come back for.
    """

    def __init__(self) -> None:
        self._spare: OrderedDict[Span, tuple[float, int]] = OrderedDict()  #: since when, and how many bytes
        self._needed: OrderedDict[Span, tuple[float, int]] = OrderedDict()
        self._spare_tasks = self._bytes = 0

    def keep(self, span: Span, now: float, unread: bool = False) -> None:
        """Keep a span, unless it is kept already."""
        if span in self._spare or span in self._needed:
            return
        size = outcome_size(span)
        if span.state is FAILED:
            size += size_of(span.run.payload) * len(span) // span.run.count
        if unread or span.state is FAILED:
            self._needed[span] = now, size
        else:
            self._spare[span] = now, size
            self._spare_tasks += len(span)
        self._bytes += size

    def is_spare(self, span: Span) -> bool:
        """Whether a span is kept although its client has its outcome."""
        return span in self._spare

    def take_back(self, spans: Iterable[Span]) -> None:
        """Take those of the spans that are kept out: somebody else has them now."""
        for span in spans:
            for group in (self._spare, self._needed):
                if span in group:
                    self._take(group, span)

    def _take(self, group: OrderedDict[Span, tuple[float, int]], span: Span) -> None:
        self._bytes -= group.pop(span)[1]
        if group is self._spare:
            self._spare_tasks -= len(span)

    def failed(self) -> Iterator[Span]:
        """The failed spans, the longest kept first."""
        return (span for span in self._needed if span.state is FAILED)

    def overdue(self, now: float) -> Iterator[Span]:
        """Take off, one by one, what is beyond the bounds."""
        while group := self._too_full(now):
            span = next(iter(group))
            self._take(group, span)
            yield span

    def _too_full(self, now: float) -> OrderedDict[Span, tuple[float, int]] | None:
        if self._spare and (self._spare_tasks > KEEP_TASKS or self._bytes > KEEP_BYTES or _old(self._spare, now)):
            return self._spare
        if self._needed and (len(self._needed) > KEEP_SPANS or self._bytes > KEEP_BYTES or _old(self._needed, now)):
            return self._needed
        return None


def _old(group: OrderedDict[Span, tuple[float, int]], now: float) -> bool:
    return now - next(iter(group.values()))[0] > KEEP_SECONDS


def outcome_size(span: Span) -> int:
    """Bytes of the outcome of a final span, with what its tasks have printed, as far as they matter."""
    return size_of(span.result) + chars_in(span.printed) if span.printed else size_of(span.result)


def size_of(value: Any) -> int:
    """Bytes of a payload or an outcome, as far as they matter."""
    if isinstance(value, BUFFERS):
        return len(value)
    return len(value.exception or b"") + len(value.traceback) if isinstance(value, Failure) else 0
