"""The plain pair: what unchanged BaseManager scripts see of the broker, a task queue and a result queue. Pure.

    put ──> waiting value ──get──> held by a script's connection ──its next word──> done
                 │                           │ its end
                 └────> span of a run <──────┘      ──lease──> a worker with a handler ──ack──> done

A value that one script puts and another takes is no more than that: a script knows no attempts, outcomes or time-outs,
and its calls should cost what BaseManager's own do. Only a worker's lease, or a script that went away with its task,
makes a run of it. What `get` handed out is leased to the connection it went out on, without a deadline (a plain worker
sends no heartbeats): the connection's next word settles it, its end gives the task back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from typing import Any, NamedTuple

from dqlab.broker.clients import CLIENT_IDS, Client
from dqlab.broker.states import Ledger
from dqlab.broker.tasks import Run, Span, State
from dqlab.broker.waiting_line import Line
from dqlab.wire.messages import PLAIN

__all__ = ["PlainPair"]


class _Put:
    """What one `put` brought: of its ``values``, those from ``at`` on wait; the first has the task id ``first``."""

    __slots__ = ("at", "first", "submitted", "values")

    def __init__(self, first: int, values: list[Any], submitted: float) -> None:
        self.first, self.submitted, self.at = first, submitted, 0
        self.values = tuple(values)  # of strings and numbers, which the garbage collector need not go through again


class _Held(NamedTuple):
    """A value that a script has taken, and when."""

    task: int
    value: Any
    submitted: float
    since: float


class _PlainLine(Line):
    """The plain queue's line: spans, and behind them ``puts``, of which ``make`` makes spans when a worker asks."""

    def __init__(self, make: Callable[[_Put], tuple[int, Span]]) -> None:
        super().__init__()
        self.puts: deque[_Put] = deque()
        self._make = make

    def front(self, blocked: Container[int] = ()) -> tuple[int, Span] | None:
        turn = super().front(blocked)  # which drops what was cancelled: only now `waiting` says what is here
        if turn is None and not self.waiting and self.puts:
            self.make_span()
            turn = super().front(blocked)
        return turn

    def make_span(self) -> None:
        """Put the next values into line as a span."""
        self.append(*self._make(self.puts.popleft()))

    def take_value(self, now: float) -> _Held | None:
        """The next value, unless there is none or a span comes before it."""
        if self.waiting or not self.puts:
            return None
        put = self.puts[0]
        at = put.at
        put.at += 1
        if put.at == len(put.values):
            self.puts.popleft()
        return _Held(put.first + at, put.values[at], put.submitted, now)


class PlainPair(Ledger):
    """``max_attempts`` holds for plain tasks that a worker with a handler has; plain scripts may try for ever.

    The result queue is bounded as the task queue is: once ``backlog`` results wait, no more tasks are given out.
    """

    def __init__(self, max_attempts: int, backlog: int, now: float) -> None:
        super().__init__(backlog, now)
        self.max_attempts = max_attempts
        self.results: deque[Any] = deque()  #: the plain result queue
        self.unmatched = 0  #: plain results that no lease was waiting for
        self._held_plain: dict[Any, _Held | Span] = {}  #: connection -> what its `get` handed out
        self._plain: Client | None = None
        self._lines[PLAIN] = self._plain_line = _PlainLine(
            lambda put: self._as_run(put.first + put.at, list(put.values[put.at :]), put.submitted)
        )

    def plain_put(self, values: list[Any], now: float) -> bool:
        """Values from `task.put`: plain tasks, one for each. False if there is no room for them now."""
        client = self._plain_client()
        first = max(client.last + 1, client.first)
        if not self._admit(client, PLAIN, first, len(values), now):
            return False
        self._plain_line.puts.append(_Put(first, values, now))
        return True

    def plain_get(self, holder: Any, now: float) -> list[Any]:
        """``[value]`` of the next plain task, leased to a connection without a deadline; ``[]`` if there is none."""
        self.plain_settle(holder, now)
        if self._held_back(PLAIN):
            return []
        held = self._plain_line.take_value(now)
        if held is None:
            return self._get_span(holder, now)
        self._held_plain[holder] = held
        self._recount(PLAIN, 1, State.READY, State.LEASED)
        self.events.add(now, "leased", PLAIN, held.task, 1, None, 1)
        self.signals.add(("plain room", None))
        return [held.value]

    def _get_span(self, holder: Any, now: float) -> list[Any]:
        turn = self._plain_line.front()
        if turn is None:
            return []
        self._held_plain[holder] = span = self._plain_line.take(turn[0], 1)
        span.worker = None
        span.attempt += 1
        self._move(span, State.LEASED, now)
        self._note(span, "leased", now)
        self.signals.add(("plain room", None))
        return [span.run.payload[span.lo]]

    def plain_settle(self, holder: Any, now: float) -> bool:
        """The connection is through with the task that it holds, if it holds one."""
        held = self._held_plain.pop(holder, None)
        if held is None:
            return False
        self._rate.add(1, now)
        if isinstance(held, Span):
            self._latency.add(now - held.run.submitted, 1)
            self._note(held, "done", now, seconds=now - held.since)
            self._finish(held, State.DONE, None, now)
            return True
        self._latency.add(now - held.submitted, 1)
        self._recount(PLAIN, 1, State.LEASED, State.DONE)
        self.events.add(now, "done", PLAIN, held.task, 1, None, 1, now - held.since)
        self.signals.add(("plain idle", None))
        return True

    def plain_hang_up(self, holder: Any, now: float) -> None:
        """The connection ended: what it held goes back, as often as it takes."""
        held = self._held_plain.pop(holder, None)
        if held is None:
            return
        span = held if isinstance(held, Span) else self._as_run(held.task, [held.value], held.submitted)[1]
        span.state = State.LEASED
        span.attempt = 0  # a lost connection never dead-letters a plain task
        self._redeliver(span, "", "its connection ended", now)

    def find(self, task: int) -> Span | None:
        span = super().find(task)
        if span is None and self._plain is not None and task // CLIENT_IDS == self._plain.number:
            return self._picture_of(task, self._plain)
        return span

    def _picture_of(self, task: int, client: Client) -> Span | None:
        """A span that shows where a value is, if it is anywhere; nobody else has it."""
        span = Span(self._run(task, [None]), 0, 1)
        put = self._plain_line.puts[0] if self._plain_line.puts else None
        if put is not None and put.first + put.at <= task <= client.last:  # they wait in the order of their ids
            return span
        if any(isinstance(held, _Held) and held.task == task for held in self._held_plain.values()):
            span.state, span.attempt = State.LEASED, 1
            return span
        return None

    def cancel(self, first: int, count: int, now: float) -> list[tuple[int, int]]:
        if self._plain is not None and first // CLIENT_IDS == self._plain.number:
            while self._plain_line.puts:
                self._plain_line.make_span()
        return super().cancel(first, count, now)

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
        return self._lines[queue].paused or (queue == PLAIN and len(self.results) >= self.backlog)

    def _plain_client(self) -> Client:
        """Whose tasks the plain ones are."""
        if self._plain is None:
            self._plain = self.open_client()
            self._plain.plain = True
        return self._plain

    def _as_run(self, first: int, values: list[Any], submitted: float) -> tuple[int, Span]:
        """Values as a run of the plain client; returns the client's number and the run's only span."""
        client = self._plain_client()
        return client.number, client.remember(self._run(first, values), submitted)

    def _run(self, first: int, values: list[Any]) -> Run:
        return Run(first, len(values), PLAIN, "plain", "", values, "", self.max_attempts - 1, None, self.max_attempts)
