"""The two plain queues as a connection sees them: the standard queue's public methods, for unchanged scripts.

What `task.get` hands out is leased to the connection; which of its next words settle that lease is decided here, and
what becomes of it in `dqlab.broker.plain_queues`.
"""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from dqlab.master.peer import LONGEST_WAIT, Peer
from dqlab.master.waiting_calls import Wait
from dqlab.wire.messages import PLAIN
from dqlab.wire.plain_data import check_plain

__all__ = ["ResultQueue", "TaskQueue"]


class _PlainQueue(ABC):
    """The standard queue's public methods, for proxies of unchanged scripts."""

    exposed: tuple[str, ...] = (
        "put", "get", "put_nowait", "get_nowait", "qsize", "empty", "full", "join", "task_done", "__str__", "__repr__",
        "put_some", "get_some", "idle",
    )  # fmt: skip

    def __init__(self, peer: Peer) -> None:
        self._peer, self._hub, self._broker = peer, peer.hub, peer.broker

    def put_nowait(self, item: Any) -> Wait:
        return self.put(item, False)

    def get_nowait(self) -> Wait:
        return self.get(False)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> Wait:
        """Wait for room as `get` waits for a value; `queue.Full` if there is none within ``timeout`` seconds."""
        return self._put_within([item], _seconds(block, timeout), _none_or_full)

    @abstractmethod
    def full(self) -> bool: ...

    def empty(self) -> bool:
        return self.qsize() == 0

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"<dqlab {type(self).__name__}, {self.qsize()} ready>"

    def get(self, block: bool = True, timeout: float | None = None) -> Wait:
        return Wait((self._topic,), self._take, _seconds(block, timeout), _first_or_empty)

    def get_some(self, timeout: float) -> Wait:
        """``[value]``, or ``[]`` if there is none within ``timeout`` seconds: for dqlab's own client."""
        return Wait((self._topic,), self._take, min(timeout, LONGEST_WAIT))

    def put_some(self, items: list[Any], timeout: float) -> Wait | bool:
        """Put all of them; False if there is no room for them within ``timeout`` seconds: for dqlab's own client."""
        items = list(items)
        return self._put_within(items, min(timeout, LONGEST_WAIT), bool) if items else True

    def _put_within(self, items: list[Any], timeout: float | None, shape: Callable[[Any], Any]) -> Wait:
        check_plain(items)
        return Wait((("plain room", None),), partial(self._put, items), timeout, shape)

    _topic: tuple[str, Any]

    @abstractmethod
    def _take(self, now: float) -> list[Any]: ...

    @abstractmethod
    def qsize(self) -> int: ...

    @abstractmethod
    def _put(self, items: list[Any], now: float) -> bool: ...


class TaskQueue(_PlainQueue):
    """``get_task_queue()``: what `get` hands out is leased to this connection until it settles or ends."""

    _topic = ("ready", PLAIN)

    def _put(self, items: list[Any], now: float) -> bool:
        return self._broker.plain_put(items, now)

    def _take(self, now: float) -> list[Any]:
        return self._broker.plain_get(id(self._peer), now)

    def qsize(self) -> int:
        """What is ready, as the standard queue counts: leased tasks must not fool a loop that then blocks in `get`."""
        return self._broker.ready(PLAIN)

    def full(self) -> bool:
        return self._broker.waiting(PLAIN) >= self._broker.backlog

    def empty(self) -> bool:
        self.task_done()
        return self.qsize() == 0

    def task_done(self) -> None:
        self._hub.do_now(self._broker.plain_settle, id(self._peer))

    def join(self) -> Wait:
        return self._all_ended(None, lambda ended: None)

    def idle(self, timeout: float | None) -> Wait:
        """Wait up to ``timeout`` seconds (None: for ever) until all plain tasks have ended; say whether they have."""
        return self._all_ended(timeout, bool)

    def _all_ended(self, timeout: float | None, shape: Callable[[Any], Any]) -> Wait:
        def all_ended(now: float) -> bool:
            self._broker.plain_settle(id(self._peer), now)
            return self._broker.unfinished([PLAIN]) == 0

        return Wait((("plain idle", None),), all_ended, timeout, shape)


class ResultQueue(_PlainQueue):
    """``get_result_queue()``: a `put` settles the lease of this connection, if it has one."""

    _topic = ("plain results", None)

    def _put(self, items: list[Any], now: float) -> bool:
        if not self._broker.plain_room(id(self._peer), len(items)):
            return False
        if not self._broker.plain_settle(id(self._peer), now):
            self._broker.unmatched += len(items)
        for item in items:
            self._broker.plain_result(item)
        return True

    def _take(self, now: float) -> list[Any]:
        return self._broker.plain_take()

    def full(self) -> bool:
        return len(self._broker.results) >= self._broker.backlog

    def qsize(self) -> int:
        return len(self._broker.results)

    def task_done(self) -> None:
        pass

    def join(self) -> None:
        pass

    def idle(self, timeout: float | None) -> bool:
        return True


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
        raise ValueError("'timeout' must be a non-negative number")
    return timeout if block else 0.0
