"""The plain pair: what unchanged BaseManager scripts see of the broker, a task queue and a result queue. Pure.

What `task.get` handed out is leased to the connection it went out on, without a deadline (a plain worker sends no
heartbeats): the connection's next word settles it, its end gives the task back.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from dqlab.ledger import Ledger
from dqlab.parties import Client
from dqlab.tasks import PLAIN, Run, Span, State

__all__ = ["PlainPair"]


class PlainPair(Ledger):
    """``max_attempts`` holds for plain tasks that a worker with a handler has; plain scripts may try for ever.

    The result queue is bounded as the task queue is: once ``backlog`` results wait, no more tasks are given out.
    """

    def __init__(self, max_attempts: int, backlog: int, now: float) -> None:
        super().__init__(backlog, now)
        self.max_attempts = max_attempts
        self.results: deque[Any] = deque()  #: the plain result queue
        self.unmatched = 0  #: plain results that no lease was waiting for
        self._held_plain: dict[Any, Span] = {}  #: connection -> what its `get` handed out
        self._plain: Client | None = None

    def plain_put(self, values: list[Any], now: float) -> bool:
        """Values from `task.put`: plain tasks, one for each. False if there is no room for them now."""
        if self._plain is None:
            self._plain = self.open_client()
            self._plain.plain = True
        client = self._plain
        first = max(client.last + 1, client.first)
        run = Run(first, len(values), PLAIN, "plain", "", values, "", self.max_attempts - 1, None, self.max_attempts)
        return self.submit(client.number, run, now)

    def plain_get(self, holder: Any, now: float) -> list[Any]:
        """``[value]`` of the next plain task, leased to a connection without a deadline; ``[]`` if there is none."""
        self.plain_settle(holder, now)
        line = self._line(PLAIN)
        turn = None if self._held_back(PLAIN) else line.front()
        if turn is None:
            return []
        span = line.take(turn[0], 1)
        span.worker = None
        span.attempt += 1
        self._move(span, State.LEASED, now)
        self._held_plain[holder] = span
        self._note(span, "leased", now)
        self.signals.add(("plain room", None))
        return [span.run.payload[span.lo]]

    def plain_settle(self, holder: Any, now: float) -> bool:
        """The connection is through with the task that it holds, if it holds one."""
        span = self._held_plain.pop(holder, None)
        if span is None:
            return False
        self._rate.add(1, now)
        self._latency.add(now - span.run.submitted, 1)
        self._note(span, "done", now, seconds=now - span.since)
        self._finish(span, State.DONE, None, now)
        return True

    def plain_hang_up(self, holder: Any, now: float) -> None:
        """The connection ended: what it held goes back, as often as it takes."""
        span = self._held_plain.pop(holder, None)
        if span is not None:
            span.attempt = 0  # a lost connection never dead-letters a plain task
            self._redeliver(span, "", "its connection ended", now)

    def plain_result(self, value: Any) -> None:
        """A value for the plain result queue; `unmatched` counts those that no lease was waiting for."""
        self.results.append(value)
        self.signals.add(("plain results", None))

    def plain_room(self, holder: Any, count: int) -> bool:
        """Whether the result queue takes values from a connection; what settles a lease it always takes."""
        return holder in self._held_plain or not self.results or len(self.results) + count <= self.backlog

    def plain_take(self) -> list[Any]:
        """``[value]`` of the next plain result; ``[]`` if there is none."""
        if not self.results:
            return []
        if self._held_back(PLAIN):
            self.signals.add(("ready", PLAIN))
        self.signals.add(("plain room", None))
        return [self.results.popleft()]

    def _held_back(self, queue: str) -> bool:
        """Whether nothing of a queue is given out now: it is paused, or nobody reads the plain results."""
        return self._line(queue).paused or (queue == PLAIN and len(self.results) >= self.backlog)
