"""One line of waiting spans for each queue; clients take turns, so that a million tasks of one don't starve another."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container

from dqlab.tasks import Span, State

__all__ = ["Line"]


class Line:
    """The ready spans of one queue. A span that is no longer ready is dropped when its turn comes."""

    def __init__(self) -> None:
        self.paused = False
        self._of: OrderedDict[int, deque[Span]] = OrderedDict()

    def append(self, client: int, span: Span) -> None:
        """To the end: new tasks."""
        self._of.setdefault(client, deque()).append(span)

    def appendleft(self, client: int, span: Span) -> None:
        """To the front: tasks that have waited once already."""
        self._of.setdefault(client, deque()).appendleft(span)

    def insert_after(self, client: int, span: Span, piece: Span) -> None:
        """Put a piece that was cut off ``span`` where it was."""
        line = self._of[client]
        line.insert(line.index(span) + 1, piece)

    def front(self, blocked: Container[int] = ()) -> tuple[int, Span] | None:
        """The client whose turn it is and its first span; clients in ``blocked`` wait."""
        for client in list(self._of):
            line = self._of[client]
            while line and line[0].state is not State.READY:
                line.popleft()
            if not line:
                del self._of[client]
            elif client not in blocked:
                return client, line[0]
        return None

    def take(self, client: int, n: int) -> Span:
        """At most ``n`` tasks of the client's first span; the rest stays at the front, and the turn passes on."""
        line = self._of[client]
        if n < len(line[0]):
            span = line[0].cut(line[0].lo, line[0].lo + n)
        else:
            span = line.popleft()
        if line:
            self._of.move_to_end(client)
        else:
            del self._of[client]
        return span
