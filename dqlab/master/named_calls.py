"""What a master serves besides the plain pair, by names that it was given: further queues and events for scripts.

There is one object of each name, which all connections share. What `get` gives is given: there are no leases.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from dqlab.broker import topics
from dqlab.master.queue_calls import StandardQueue
from dqlab.master.waiting_calls import Wait, WaitingCalls
from dqlab.wire.methods import Misused

__all__ = ["NamedEvent", "NamedQueue"]


class NamedQueue(StandardQueue):
    """A queue of plain values, bounded as the others are."""

    def __init__(self, waiting: WaitingCalls, name: str) -> None:
        self._waiting, self._states = waiting, waiting.broker.states
        self._topic, self._ended = topics.named(f"queue {name}"), topics.named(f"all of queue {name}")
        self._items: deque[Any] = deque()
        self._unfinished = 0  #: values that were put, and of which nobody has said `task_done`

    def _put(self, items: list[Any], now: float) -> bool:
        if self._items and len(self._items) + len(items) > self._states.backlog:
            return False
        self._items.extend(items)
        self._unfinished += len(items)
        self._states.signals.add(self._topic)
        return True

    def _take(self, now: float) -> list[Any]:
        if not self._items:
            return []
        self._states.signals.add(topics.ROOM)
        return [self._items.popleft()]

    def qsize(self) -> int:
        """How many values wait."""
        return len(self._items)

    def full(self) -> bool:
        """Whether a `put` would have to wait."""
        return len(self._items) >= self._states.backlog

    def task_done(self) -> None:
        """One of the values that were taken is done; `ValueError` if more are done than were put."""
        self._waiting.do(self._one_done)

    def _one_done(self) -> None:
        if not self._unfinished:
            raise Misused(ValueError, "task_done() called too many times")
        self._unfinished -= 1
        self._states.signals.add(self._ended)

    def join(self) -> Wait:
        """Wait until all values that were put are done."""
        return Wait((self._ended,), lambda now: not self._unfinished, None, lambda ended: None)


class NamedEvent:
    """What `threading.Event` is to threads, for scripts."""

    def __init__(self, waiting: WaitingCalls, name: str) -> None:
        self._waiting, self._states = waiting, waiting.broker.states
        self._topic, self._is_set = topics.named(f"event {name}"), False

    def set(self) -> None:
        """Whoever waits goes on, and from now on nobody waits."""
        self._waiting.do(self._turn, True)

    def clear(self) -> None:
        """From now on `wait` waits."""
        self._waiting.do(self._turn, False)

    def _turn(self, on: bool) -> None:
        self._is_set = on
        self._states.signals.add(self._topic)

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> Wait:
        """Wait until it is set, or for `timeout` seconds; say whether it is."""
        return Wait((self._topic,), lambda now: self._is_set, timeout, bool)
