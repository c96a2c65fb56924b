"""Calls of dqlab's own clients on the plain queues that are done once, however often they are made. Pure.

    thread ──get no. 7──> the answer is written ──> told ──> the thread counts on
           ──get no. 7──> the same answer       (its connection broke, or the master died)
           ──get no. 8──> the last one has come, and is forgotten

A connection says whose it is (`claim`): from then on it holds what that thread holds, whatever the thread's last
connection was. A thread that has none is waited for while its client lives: what it holds stays in its hand, and a
result that it was given and has not confirmed is given to nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from dqlab.broker.clients import Client
from dqlab.broker.states import States
from dqlab.broker.tasks import Span
from dqlab.errors import Refused

__all__ = ["AnswerRow", "Holder", "NumberedCalls"]

#: the calls whose answers bring something
GET_TASK, GET_RESULT = "tasks.get", "results.get"


class AnswerRow(NamedTuple):
    """What a client's thread was answered last to a call like "tasks.get", and the number of that."""

    client: int
    thread: int
    call: str
    number: int
    answer: Any


class Holder:
    """A connection that has taken values: what it holds, oldest first."""

    def __init__(self, address: str, thread: tuple[int, int] | None = None) -> None:
        self.address = address
        self.thread = thread  #: numbers of the client, and of its thread, whose connection this is
        self.spans: deque[Span] = deque()
        self.counts_done = False  #: whether it says `task_done`, and only that settles
        self.until = 0.0  #: until when the client may be away


class NumberedCalls:
    """`holders` are those that have a connection, by what that is known by; a client may be away for `seconds`."""

    def __init__(self, states: States, holders: dict[Any, Holder], seconds: float) -> None:
        self.answers: dict[tuple[int, int, str], AnswerRow] = {}
        self.away: dict[tuple[int, int], Holder] = {}  #: what threads hold that have no connection now
        self._states, self._holders, self._seconds = states, holders, seconds
        self._connections: dict[tuple[int, int], Any] = {}

    def claim(self, connection: Any, address: str, thread: tuple[int, int]) -> None:
        """This connection, which has taken nothing yet, is the thread's from now on, with all that it holds."""
        if connection in self._holders:
            raise Refused("claim comes first on a connection, and once")
        hand = self.away.pop(thread, None) or self._holders.pop(self._connections.get(thread), None)
        hand = hand or Holder(address, thread)
        hand.address = address
        self._holders[connection], self._connections[thread] = hand, connection

    def do(self, connection: Any, call: str, number: int, attempt: Callable[[], Any]) -> Any:
        """What the thread's call of this number was answered, or what `attempt()` answers now; false: not done."""
        hand = self._holders.get(connection)
        if hand is None or hand.thread is None:
            return []  # it has another connection by now
        key = (*hand.thread, call)
        if key in self.answers:
            if self.answers[key].number == number:
                return self.answers[key].answer
            self._forget(key)
        answer = attempt()
        if answer:
            self.answers[key] = AnswerRow(*key, number, answer)
            self._changed(key)
        return answer

    def hang_up(self, hand: Holder, now: float) -> None:
        """The connection of a thread ended, which may have another one in a moment."""
        if hand.thread is not None:
            del self._connections[hand.thread]
            self.away[hand.thread], hand.until = hand, now

    def close(self, client: int) -> list[Holder]:
        """The client ends in order, and has all answers; return what it holds without a connection."""
        for key in [key for key in self.answers if key[0] == client]:
            self._forget(key)
        for thread in [thread for thread in self._connections if thread[0] == client]:
            self._holders[self._connections.pop(thread)].thread = None
        return [self.away.pop(thread) for thread in list(self.away) if thread[0] == client]

    def lost(self, now: float) -> tuple[list[Holder], list[Any]]:
        """What is in the hands of those who will not come back, and the results that they have not confirmed."""
        hands, results = [], []
        for thread, hand in list(self.away.items()):
            client = self._states.clients.get(thread[0])
            if client is not None and _lives(client):
                continue
            if hand.spans and (client is None or now >= hand.until):
                hands.append(hand)
                self.away[thread] = Holder(hand.address, thread)
                self.away[thread].until = hand.until
                self._forget((*thread, GET_TASK))  # others will be given that
            if client is None or now - max(client.left, hand.until) >= self._seconds:
                del self.away[thread]
                results += self._forget((*thread, GET_RESULT))
                for key in [key for key in self.answers if key[:2] == thread]:
                    self._forget(key)
        return hands, results

    def _forget(self, key: tuple[int, int, str]) -> Any:
        self._changed(key)
        row = self.answers.pop(key, None)
        return row.answer if row else []

    def _changed(self, key: tuple[int, int, str]) -> None:
        if self._states.changes is not None:
            self._states.changes.answered(key)

    # -- an earlier life of the master -------------------------------------------------------------------------

    def take_up(self, row: AnswerRow, now: float) -> None:
        """What a thread was answered then."""
        self.answers[row[:3]] = row
        self._wait_for((row.client, row.thread), now)

    def take_up_held(self, span: Span, now: float) -> None:
        """What the span's thread held then."""
        if span.thread is not None:
            self._wait_for(span.thread, now).spans.append(span)

    def _wait_for(self, thread: tuple[int, int], now: float) -> Holder:
        if thread not in self.away:
            hand = self.away[thread] = Holder(f"client {thread[0]}", thread)
            hand.until = now + self._seconds
        return self.away[thread]


def _lives(client: Client) -> bool:
    return client.connected and client.collector is not None
