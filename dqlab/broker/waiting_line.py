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
        #: by client, and by the Python that alone can read them ("": any)
        self._of: OrderedDict[int, dict[str, deque[Span]]] = OrderedDict()
        self._behind: dict[Span, Span] = {}  #: pieces whose turn comes directly after that of another span
        self.waiting = self._cancelled = 0  #: spans that are here, and how many of them were cancelled

    def append(self, client: int, span: Span) -> None:
        """To the end: new tasks."""
        self.waiting += 1
        self._of.setdefault(client, {}).setdefault(span.run.header.python, deque()).append(span)

    def appendleft(self, client: int, span: Span) -> None:
        """To the front: tasks that have waited once already."""
        self.waiting += 1
        self._of.setdefault(client, {}).setdefault(span.run.header.python, deque()).appendleft(span)

    def insert_after(self, span: Span, piece: Span) -> None:
        """Put a piece that was cut off `span` where it was."""
        # To find the place in a long line would take long.
        if span in self._behind:
            self._behind[piece] = self._behind[span]
        self._behind[span] = piece
        self.waiting += 1

    def front(self, blocked: Container[int] = (), python: str = "") -> tuple[int, Span] | None:
        """The client whose turn it is and its first span; clients in `blocked` wait, and so does what only another
        Python than this can read: the client's next comes before it."""
        for client in list(self._of):
            found = None
            for needs, line in list(self._of[client].items()):
                while line and line[0].state is not READY:
                    self._pop(line)
                    self._cancelled -= 1
                if not line:
                    self._drop(client, needs)
                elif (not python or needs in ("", python)) and (found is None or line[0].first < found.first):
                    found = line[0]
            if found is not None and client not in blocked:
                return client, found
        return None

    def pythons(self) -> set[str]:
        """Those that alone can read some of what waits."""
        lines = (item for lines in self._of.values() for item in lines.items())
        return {needs for needs, line in lines if needs and any(span.state is READY for span in line)}

    def take(self, client: int, n: int, python: str = "") -> Span:
        """At most `n` tasks of the client's first span that needs this Python; the rest stays at the front, and the
        turn passes on."""
        line = self._of[client][python]
        if n < len(line[0]):
            span = line[0].cut(line[0].lo, line[0].lo + n)
        else:
            span = self._pop(line)
        self._of.move_to_end(client)
        if not line:
            self._drop(client, python)
        return span

    def _drop(self, client: int, python: str) -> None:
        del self._of[client][python]
        if not self._of[client]:
            del self._of[client]

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
            for lines in self._of.values():
                lines.update({needs: deque(self._ready(line)) for needs, line in lines.items()})
            self._behind.clear()
            self.waiting, self._cancelled = sum(len(line) for of in self._of.values() for line in of.values()), 0

    def _ready(self, line: deque[Span]) -> Iterator[Span]:
        for first in line:
            span: Span | None = first
            while span is not None:
                if span.state is READY:
                    yield span
                span = self._behind.get(span)
