"""The two plain queues as a connection sees them: the standard queue's public methods, for unchanged scripts.

What `task.get` hands out is held by the connection until it answers or ends: see `dqlab.broker.plain_queues`.
"""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from dqlab.broker import topics
from dqlab.broker.topics import Topic
from dqlab.errors import Refused
from dqlab.master.peer import LONGEST_WAIT, Peer
from dqlab.master.waiting_calls import Wait
from dqlab.wire.messages import PLAIN
from dqlab.wire.methods import Misused
from dqlab.wire.plain_data import check_plain

__all__ = ["ResultQueue", "StandardQueue", "TaskQueue"]


class StandardQueue(ABC):
    """The standard queue's public methods, for proxies of unchanged scripts."""

    _topic: Topic  #: what is news for those who wait in `get`

    @abstractmethod
    def _put(self, items: list[Any], now: float) -> bool: ...

    @abstractmethod
    def _take(self, now: float) -> list[Any]: ...

    @abstractmethod
    def qsize(self) -> int:
        """How many values can be had."""

    @abstractmethod
    def full(self) -> bool:
        """Whether a `put` would have to wait."""

    def empty(self) -> bool:
        """Whether no value can be had now."""
        return self.qsize() == 0

    def put_nowait(self, item: Any) -> Wait:
        """The same as `put(item, False)`."""
        return self.put(item, False)

    def get_nowait(self) -> Wait:
        """The same as `get(False)`."""
        return self.get(False)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> Wait:
        """Wait for room as `get` waits for a value; `queue.Full` if there is none within `timeout` seconds."""
        return self._put_within([item], _seconds(block, timeout), _none_or_full)

    def get(self, block: bool = True, timeout: float | None = None) -> Wait:
        """The next value; `queue.Empty` if there is none within `timeout` seconds."""
        return Wait((self._topic,), self._take, _seconds(block, timeout), _first_or_empty, early=True)

    def _put_within(self, items: list[Any], timeout: float | None, shape: Callable[[Any], Any]) -> Wait:
        for item in items:
            check_plain(item)
        return Wait((topics.ROOM,), partial(self._put, items), timeout, shape)

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"<dqlab {type(self).__name__}, {self.qsize()} ready>"


class _PairQueue(StandardQueue):
    """One of the plain two: a connection has objects of its own, and dqlab's own client some methods more."""

    _name: str
    _end: Topic  #: is news for those who wait in `join`

    @abstractmethod
    def _ended(self, now: float) -> bool: ...

    def __init__(self, peer: Peer) -> None:
        self._peer, self._waiting, self._plain = peer, peer.waiting, peer.broker.plain
        self._states, self._holder = peer.broker.states, id(peer)

    def get_some(self, timeout: float) -> Wait:
        """`[value]`, or `[]` if there is none within `timeout` seconds: for dqlab's own client."""
        return Wait((self._topic,), self._take, min(timeout, LONGEST_WAIT), early=True)

    def put_some(self, items: list[Any], timeout: float) -> Wait | bool:
        """Put all of them; False if there is no room for them within `timeout` seconds: for dqlab's own client."""
        items = list(items)
        return self._put_within(items, min(timeout, LONGEST_WAIT), bool) if items else True

    def join(self) -> Wait:
        """Wait until all values have ended: a task as any does, a result when it is taken."""
        return Wait((self._end,), self._ended, None, lambda ended: None)

    def idle(self, timeout: float | None) -> Wait:
        """Wait for the same up to `timeout` seconds (None: for ever); say whether it is so."""
        return Wait((self._end,), self._ended, timeout, bool)

    # With a journal a client counts its calls: one that was made already isn't made again, but answered as it was.

    def claim(self, thread: int) -> None:
        """This connection is that of one of the client's threads, and has what that had on an earlier one."""
        peer = self._peer
        if peer.client is None:
            raise Refused("this connection is no client's", "say the client's token")
        self._waiting.do(self._plain.numbered.claim, self._holder, peer.address, (peer.client.number, thread))

    def get_once(self, number: int, timeout: float) -> Wait:
        """The same as `get_some`, and told once it is written."""
        take = partial(self._once, f"{self._name}.get", number, self._take)
        return Wait((self._topic,), take, min(timeout, LONGEST_WAIT))

    def put_once(self, number: int, items: list[Any], timeout: float) -> Wait | bool:
        """The same as `put_some`, and done once."""
        wait = self.put_some(items, timeout)
        if isinstance(wait, Wait):
            wait.attempt = partial(self._once, f"{self._name}.put", number, wait.attempt)
        return wait

    def _once(self, call: str, number: int, method: Callable[[float], Any], now: float) -> Any:
        answer = self._plain.numbered.do(self._holder, call, number, partial(method, now))
        self._plain.told(self._holder)  # or will be, as the answer is written
        return answer


class TaskQueue(_PairQueue):
    """`get_task_queue()`: what `get` hands out is held by this connection until it answers or ends."""

    _name, _topic, _end = "tasks", topics.ready(PLAIN), topics.IDLE

    def _put(self, items: list[Any], now: float) -> bool:
        journal = self._waiting.journal
        return (journal is None or not journal.full) and self._plain.put(items, now)

    def _take(self, now: float) -> list[Any]:
        return self._plain.get(self._holder, self._peer.address, now)

    def qsize(self) -> int:
        """What is ready, as the standard queue counts: leased tasks must not fool a loop that then blocks in `get`."""
        return self._states.ready_in(PLAIN)

    def full(self) -> bool:
        """Whether a `put` would have to wait."""
        return self._states.waiting_in(PLAIN) >= self._states.backlog

    def task_done(self) -> None:
        """The oldest value that this connection holds is done."""
        self._waiting.do_now(self._plain.task_done, self._holder)

    def _ended(self, now: float) -> bool:
        return self._states.unfinished([PLAIN]) == 0


class ResultQueue(_PairQueue):
    """`get_result_queue()`: a `put` settles the oldest value that this connection holds, if it holds one."""

    _name, _topic, _end = "results", topics.PLAIN_RESULTS, topics.ROOM

    def _put(self, items: list[Any], now: float) -> bool:
        return self._plain.answer(self._holder, self._peer.address, items, now)

    def _take(self, now: float) -> list[Any]:
        return self._plain.take_result(self._holder)

    def full(self) -> bool:
        """Whether a `put` that settles nothing would have to wait."""
        return self._plain.held_back

    def qsize(self) -> int:
        """How many results wait."""
        return len(self._plain.results)

    def task_done(self) -> None:
        """Nothing: a result is done when it is taken."""

    def _ended(self, now: float) -> bool:
        return not self._plain.results


def _first_or_empty(found: list[Any]) -> Any:
    if not found:
        raise queue.Empty
    return found[0]


def _none_or_full(done: bool) -> None:
    if not done:
        raise queue.Full


def _seconds(block: bool, timeout: float | None) -> float | None:
    """How long a call of the standard queue waits; None: without limit."""
    if block and timeout is not None and not timeout >= 0:
        raise Misused(ValueError, "'timeout' must be a non-negative number")
    return timeout if block else 0.0
