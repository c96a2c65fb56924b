"""One line of waiting spans for each queue; clients take turns, so that a million tasks of one don't starve another."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container, Iterator

from dqlab.broker import topics
from dqlab.broker.tasks import READY, Span

__all__ = ["WaitingLine"]

#: cancelled spans that may wait with the others, beyond as many as there are others
CANCELLED = 100


class WaitingLine:
    """The ready spans of one queue. A span that was cancelled is dropped when its turn comes, or when they are many."""

    def __init__(self, queue: str) -> None:
        self.queue, self.paused = queue, False
        self.news = topics.ready(queue)  #: what to say when something here can be had
        self._of: OrderedDict[int, deque[Span]] = OrderedDict()
        self._behind: dict[Span, Span] = {}  #: pieces whose turn comes directly after that of another span
        self.waiting = self._cancelled = 0  #: spans that are here, and how many of them were cancelled

    def append(self, client: int, span: Span) -> None:
        """To the end: new tasks."""
        self.waiting += 1
        self._of.setdefault(client, deque()).append(span)

    def appendleft(self, client: int, span: Span) -> None:
        """To the front: tasks that have waited once already."""
        self.waiting += 1
        self._of.setdefault(client, deque()).appendleft(span)

    def insert_after(self, span: Span, piece: Span) -> None:
        """Put a piece that was cut off `span` where it was."""
        # To find the place in a long line would take long.
        if span in self._behind:
            self._behind[piece] = self._behind[span]
        self._behind[span] = piece
        self.waiting += 1

    def front(self, blocked: Container[int] = (), python: str = "") -> tuple[int, Span] | None:
        """The client whose turn it is and its first span; clients in `blocked` wait, and those whose first span only
        another Python than this can read."""
        for client in list(self._of):
            line = self._of[client]
            while line and line[0].state is not READY:
                self._pop(line)
                self._cancelled -= 1
            if not line:
                del self._of[client]
            elif client not in blocked and (not python or line[0].run.header.python in ("", python)):
                return client, line[0]
        return None

    def pythons(self) -> set[str]:
        """Those that alone can read what comes next of a client."""
        return {line[0].run.header.python for line in self._of.values() if line and line[0].state is READY} - {""}

    def take(self, client: int, n: int) -> Span:
        """At most `n` tasks of the client's first span; the rest stays at the front, and the turn passes on."""
        line = self._of[client]
        if n < len(line[0]):
            span = line[0].cut(line[0].lo, line[0].lo + n)
        else:
            span = self._pop(line)
        if line:
            self._of.move_to_end(client)
        else:
            del self._of[client]
        return span

    def _pop(self, line: deque[Span]) -> Span:
        span = line.popleft()
        if span in self._behind:
            line.appendleft(self._behind.pop(span))
        self.waiting -= 1
        return span

    def cancelled(self) -> None:
        """A span that waits here was cancelled."""
        self._cancelled += 1
        if 2 * self._cancelled > self.waiting + CANCELLED:
            lines = {client: deque(self._ready(line)) for client, line in self._of.items()}
            self._of = OrderedDict((client, line) for client, line in lines.items() if line)
            self._behind.clear()
            self.waiting, self._cancelled = sum(map(len, lines.values())), 0

    def _ready(self, line: deque[Span]) -> Iterator[Span]:
        for first in line:
            span: Span | None = first
            while span is not None:
                if span.state is READY:
                    yield span
                span = self._behind.get(span)
