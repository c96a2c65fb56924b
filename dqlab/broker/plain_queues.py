"""The plain queues: what unchanged BaseManager scripts see of the broker, a task queue and a result queue. Pure.

    put ──> ready ──get──> held by a connection ──its answer──> done
              ^                    │ its end: killed
              ├────────────────────┤
              └── not answered <── owed by its address <── its end: in order

A script says nothing of what becomes of a value that it took. What it does is all there is: it answers (`result.put`),
it drops its proxy (`decref`) and its connection ends. So a *holder* is a connection, which holds what it took, oldest
first; each answer settles the oldest. A connection that ends without a decref of its address just before was killed or
cut: all that it held goes back at once. One that ends after a decref let go in order, and its answer may come on
another connection (a script that keeps no proxy has one for each call): for a while its address *owes* what it held.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from typing import Any

from dqlab.broker import topics
from dqlab.broker.clients import Client
from dqlab.broker.numbered_calls import Holder, NumberedCalls
from dqlab.broker.states import States
from dqlab.broker.tasks import Run, Span
from dqlab.wire.messages import PLAIN, Failure, Header
from dqlab.wire.methods import Misused
from dqlab.wire.pills import is_pill

__all__ = ["PlainQueues"]

#: values in one connection's hand; beyond these the oldest counts as done
MOST_HELD = 100
#: seconds before the end of a connection in which a decref of its address means that it let go in order
IN_ORDER = 1.0
#: seconds for which an address may owe an answer (one lease, if that is longer)
OWED_SECONDS = 60.0
#: how often a value may stay unanswered before it is among the failures
MOST_UNANSWERED = 3
#: addresses of which it is remembered that they have answered
MOST_ADDRESSES = 10_000


class Address:
    """What is known of all connections from one address together."""

    def __init__(self) -> None:
        self.making = 0  #: proxies that are being made: each begins with a decref of its own
        self.decref = float("-inf")  #: when one of them last dropped a proxy
        self.answers = 0  #: how many came, ever
        self.loose = 0  #: answers that settled nothing: what the next that lets go had in hand
        self.owed: deque[tuple[float, Span]] = deque()  #: (when it is due, what is not answered yet), oldest first


class PlainQueues:
    """`max_attempts` holds for plain tasks that a worker with a handler has; `pills` are stop signs besides None.

    The result queue is bounded as the task queue is: once the backlog of results waits, no more tasks are given out.
    """

    def __init__(self, states: States, max_attempts: int, lease: float, pills: Iterable[Any] = ()) -> None:
        self.results: deque[Any] = deque()  #: the plain result queue
        self.taken = 0  #: how many were ever taken from it
        #: with a journal, (serial, value) of the result that a connection was given and may not have heard yet
        self.untold: dict[Any, tuple[int, Any]] | None = None
        self.stops: dict[Any, Span] = {}  #: and the stop sign
        self.unmatched = 0  #: results that nobody had taken a value for
        self.refused = 0  #: results that the master did not take
        self.told_done = 0  #: how often scripts have said `task_done`
        self._states, self._pills = states, list(pills)
        self._pill_types = {type(None), *map(type, self._pills)}
        self._header = Header(queue=PLAIN, kind=PLAIN, retries=max_attempts - 1, max_attempts=max_attempts)
        self._max_attempts, self._owed_seconds = max_attempts, max(OWED_SECONDS, lease)
        self._holders: dict[Any, Holder] = {}
        self.numbered = NumberedCalls(states, self._holders, self._owed_seconds)
        self._addresses: OrderedDict[str, Address] = OrderedDict()
        self._client: Client | None = None
        self._line = states.line(PLAIN)

    # -- the task queue ----------------------------------------------------------------------------------------

    def put(self, values: list[Any], now: float) -> bool:
        """Values from `task.put`: plain tasks, one for each. False if there is no room for them now."""
        states, client = self._states, self._client
        if not states.has_room(PLAIN, len(values)):
            return False
        if client is None:
            self.take_up_client(client := states.clients.open())
        states.admit(client, Run(client.last + 1, len(values), self._header, values, self._max_attempts, now), now)
        return True

    @property
    def held_back(self) -> bool:
        """Whether nobody reads the results, so that no more tasks are given out."""
        return len(self.results) >= self._states.backlog

    def get(self, holder: Any, address: str, now: float) -> list[Any]:
        """`[value]` of the next plain task, held by a connection from `address` from now on; `[]` if there is none."""
        turn = None if self._line.paused or self.held_back else self._line.front()
        if turn is None:
            return []
        span = self._line.take(turn[0], 1)
        value = span.run.payload[span.lo]
        self._states.lease(span, None, now)
        self._states.signals.add(topics.ROOM)
        if type(value) in self._pill_types and is_pill(value, self._pills):
            self.stops[holder] = span  # whoever takes a stop sign goes home, and answers nothing
            if self.untold is None:
                self.told(holder)
            return [value]
        hand = self._holders.get(holder)
        if hand is None:
            hand = self._holders[holder] = Holder(address)
        span.thread = hand.thread
        hand.spans.append(span)
        if len(hand.spans) > MOST_HELD:
            self._done(hand.spans.popleft(), now)
        return [value]

    def task_done(self, holder: Any, now: float) -> None:
        """A script is through with the oldest value in its hand, and only that settles from now on; `Misused` if with
        more than were put, or came twice."""
        if self.told_done >= sum(self._states.counts_of(PLAIN).values()):
            raise Misused(ValueError, "task_done() called too many times")
        self.told_done += 1
        hand = self._holders.get(holder)
        if hand is not None:
            hand.counts_done = True
            if hand.spans:
                self._done(hand.spans.popleft(), now)

    def _done(self, span: Span, now: float) -> None:
        self._states.done(span, None, now - span.since, now)

    # -- the result queue --------------------------------------------------------------------------------------

    def answer(self, holder: Any, address: str, values: list[Any], now: float) -> bool:
        """Values from `result.put`; each settles the oldest value in hand, or owed. False if there is no room."""
        hand, known = self._holders.get(holder), self._addresses.get(address)
        settles = bool((hand and hand.spans) or (known and known.owed))
        if not settles and self.results and len(self.results) + len(values) > self._states.backlog:
            return False
        for _ in values:
            self._settle(hand, address, now)
        self.add_results(values)
        return True

    def refuse(self, holder: Any, reason: str, now: float) -> None:
        """The master did not take what a connection sent: if that was an answer, its task has failed by it."""
        self.refused += 1
        hand = self._holders.get(holder)
        if hand is not None and hand.spans:
            failure = Failure(kind="lost", summary=f"its result was refused: {reason}")
            self._states.fail(hand.spans.popleft(), failure, now)

    def _settle(self, hand: Holder | None, address: str, now: float) -> None:
        known = self._address(address)
        known.answers += 1
        if hand is not None and hand.counts_done:
            return
        if hand is not None and hand.spans:
            self._done(hand.spans.popleft(), now)
        elif known.owed:
            self._done(known.owed.popleft()[1], now)
        else:
            known.loose += 1
            self.unmatched += 1

    def add_results(self, values: Iterable[Any]) -> None:
        """Values for the result queue."""
        self.results.extend(values)
        self._states.signals.add(topics.PLAIN_RESULTS)

    def take_result(self, holder: Any = None) -> list[Any]:
        """`[value]` of the next result, for a connection; `[]` if there is none."""
        if not self.results:
            return []
        if self.held_back:
            self._states.signals.add(self._line.news)
        self._states.signals.add(topics.ROOM)
        value = self.results.popleft()
        if self.untold is not None and holder is not None:
            self.untold[holder] = self.taken, value
        self.taken += 1
        return [value]

    def told(self, holder: Any) -> bool:
        """A connection has been sent the result, or the stop sign, that it was given; say whether there was one."""
        result, span = (self.untold or {}).pop(holder, None), self.stops.pop(holder, None)
        if span is not None:
            self._done(span, span.since)
        return result is not None or span is not None

    # -- an earlier life of the master -------------------------------------------------------------------------

    def take_up_client(self, client: Client) -> None:
        """The plain tasks of then are this client's."""
        self._client = client
        client.plain = True

    def take_up_results(self, results: Iterable[Any], taken: int) -> None:
        """The results that nobody has taken yet, and how many were taken before."""
        self.results.extend(results)
        self.taken = taken

    # -- connections end ---------------------------------------------------------------------------------------

    def create(self, address: str) -> None:
        """Somebody at an address makes a proxy; the manager's own reference to it is dropped a moment later."""
        self._address(address).making += 1

    def decref(self, address: str, now: float) -> None:
        """Somebody at an address has dropped a proxy: a connection of it that ends now ends in order."""
        known = self._address(address)
        if known.making:
            known.making -= 1
        else:
            known.decref = now

    def hang_up(self, holder: Any, now: float) -> None:
        """The connection ended: what it held goes back, or is owed by its address; a client's thread may come back."""
        self.told(holder)
        hand = self._holders.pop(holder, None)
        if hand is not None and hand.thread is not None:
            self.numbered.hang_up(hand, now)
        elif hand is not None and hand.spans:
            if now - self._address(hand.address).decref > IN_ORDER:
                self._go_back(hand, "its connection ended", now)
            else:
                self._let_go(hand, now)

    def close(self, client: int, address: str, now: float) -> None:
        """A client ends in order, and with it what its threads hold, as that of scripts does."""
        self.decref(address, now)
        for hand in self.numbered.close(client):
            self._let_go(hand, now)

    def _go_back(self, hand: Holder, reason: str, now: float) -> None:
        for span in reversed(hand.spans):
            span.attempt = 0  # a lost connection never dead-letters a plain task
            self._states.redeliver(span, "", reason, now)

    def _let_go(self, hand: Holder, now: float) -> None:
        known = self._address(hand.address)
        while hand.spans and known.loose:
            known.loose -= 1
            self.unmatched -= 1
            self._done(hand.spans.popleft(), now)
        consumer = len(hand.spans) > 1 and not known.answers
        for span in hand.spans:
            if consumer:
                self._done(span, now)
            else:
                known.owed.append((now + self._owed_seconds, span))

    def tick(self, now: float) -> None:
        """What has been owed for too long goes to the end of the line, and the third time among the failures."""
        for known in self._addresses.values():
            while known.owed and known.owed[0][0] <= now:
                self._give_up(known.owed.popleft()[1], now)
        while len(self._addresses) > MOST_ADDRESSES:
            name, known = self._addresses.popitem(last=False)
            if known.owed:
                self._addresses[name] = known
                break
        if self.numbered.away:
            hands, results = self.numbered.lost(now)
            for hand in hands:
                self._go_back(hand, "its client is gone", now)
            if results:
                self.add_results(results)

    def _give_up(self, span: Span, now: float) -> None:
        reason = f"taken, and not answered for {self._owed_seconds:g} s"
        span.attempt = 0
        span.errors += 1
        span.ended_badly("", reason)
        if span.errors >= MOST_UNANSWERED:
            summary = f"taken {MOST_UNANSWERED} times and never answered; if it is a stop sign, name it with --pill"
            self._states.fail(span, Failure(kind="lost", summary=summary), now)
        else:
            self._states.redeliver(span, "", reason, now, at_end=True)

    def _address(self, address: str) -> Address:
        if address not in self._addresses:
            self._addresses[address] = Address()
        return self._addresses[address]

    # -- what is going on --------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """How many values scripts hold and owe, by address, and what came that nobody waited for."""
        held: Counter[str] = Counter()
        for hand in (*self._holders.values(), *self.numbered.away.values()):
            held[hand.address] += len(hand.spans)
        owed = {name: len(known.owed) for name, known in self._addresses.items() if known.owed}
        return {
            "unmatched": self.unmatched,
            "plain": {"held": {name: n for name, n in held.items() if n}, "owed": owed, "refused": self.refused},
        }
