"""The lock around the broker, and who waits for what.

The broker is pure and single-threaded; the master has a thread for each connection. `Hub.do` runs one broker method
under the lock with the time of now; `Hub.wait` blocks a thread until an attempt succeeds, the time-out passes or its
peer hangs up. The broker's `signals` say which waiting threads to wake.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from dqlab.broker import Broker

__all__ = ["Hub"]

#: seconds between two looks at what is due
TICK = 0.02
#: seconds after which a waiting thread looks whether its peer is still there
LOOK = 1.0

Topic = tuple[str, Any]
Bell = queue.SimpleQueue[None]

log = logging.getLogger("dqlab")


class Hub:
    """``send_command(worker, command)`` is called, outside the lock, for each command that the broker gives."""

    def __init__(self, broker: Broker, send_command: Callable[[str, tuple[Any, ...]], None]) -> None:
        self.broker = broker
        # Seconds since the epoch that never jump: what events show must not run backwards.
        offset = time.time() - time.monotonic()
        self.now = lambda: time.monotonic() + offset
        self._lock = threading.Lock()
        self._waiting: dict[Topic, dict[Bell, tuple[Topic, ...]]] = {}  #: who waits longest first, and for what else
        self._send_command = send_command
        self._commands: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        for name, target in (("courier", self._carry_commands), ("housekeeper", self._tick)):
            threading.Thread(target=target, name=f"dqlab-{name}", daemon=True).start()

    def do(self, method: Callable[..., Any], *args: Any) -> Any:
        """Run ``method(*args)`` of the broker under the lock."""
        with self._lock:
            try:
                return method(*args)
            finally:
                if self.broker.signals:
                    self._wake()

    def do_now(self, method: Callable[..., Any], *args: Any) -> Any:
        """The same, with the time as the last argument."""
        with self._lock:
            try:
                return method(*args, self.now())
            finally:
                if self.broker.signals:
                    self._wake()

    def wait(
        self, topics: Iterable[Topic], attempt: Callable[[float], Any], timeout: float | None, alive: Callable[[], bool]
    ) -> Any:
        """Return ``attempt(now)`` as soon as it is true, or what it is after ``timeout`` seconds (None: no limit).

        Raises `EOFError` when ``alive()`` says that nobody is there to hear the answer.
        """
        topics = tuple(topics)
        deadline = None if timeout is None else self.now() + timeout
        woken = False
        while True:
            with self._lock:
                result = attempt(self.now())
                if self.broker.signals:
                    self._wake()
                if result and woken:  # it may have been woken for something else, which another one could take
                    self._ring(topics)
                left = LOOK if deadline is None else min(LOOK, deadline - self.now())
                if result or left <= 0 or self._closed.is_set():
                    return result
                bell: Bell = queue.SimpleQueue()
                for topic in topics:
                    self._waiting.setdefault(topic, {})[bell] = topics
            try:
                bell.get(timeout=left)
                woken = True
            except queue.Empty:
                if not alive():
                    self._give_up(bell, topics)
                    raise EOFError from None
            finally:
                with self._lock:
                    self._forget(bell, topics)

    def _give_up(self, bell: Bell, topics: tuple[Topic, ...]) -> None:
        with self._lock:
            self._forget(bell, topics)
            if not bell.empty():  # it was rung just now: let another one hear it
                self._ring(topics)

    def _forget(self, bell: Bell, topics: tuple[Topic, ...]) -> None:
        for topic in topics:
            waiting = self._waiting.get(topic, {})
            waiting.pop(bell, None)
            if not waiting:
                self._waiting.pop(topic, None)

    def _wake(self) -> None:
        signals, self.broker.signals = self.broker.signals, set()
        for kind, name in signals:
            worker = self.broker.workers.get(name) if kind == "command" else None
            while worker and worker.commands:
                self._commands.put((name, worker.commands.popleft()))
        if self._waiting:
            self._ring(signals)

    def _ring(self, topics: Iterable[Topic]) -> None:
        """Wake who waits for one of the topics, each once, so that two signals wake two."""
        for topic in topics:
            waiting = self._waiting.get(topic, {})
            for bell in list(islice(waiting, self._enough(*topic))):
                self._forget(bell, waiting[bell])
                bell.put(None)

    def _enough(self, kind: str, name: Any) -> int:
        """How many of those that wait there is something for."""
        if kind == "ready":
            return self.broker.counts.get(name, {}).get("ready", 0)
        return len(self.broker.results) if kind == "plain results" else 1_000_000

    def _carry_commands(self) -> None:
        while item := self._commands.get():
            self._send_command(*item)

    def _tick(self) -> None:
        seen = 0
        while not self._closed.wait(TICK):
            try:
                self.do_now(self.broker.tick)
            except Exception:  # a master whose clock stopped would redeliver nothing any more
                log.exception("a tick failed", extra={"action": "tick"})
            if self.broker.events.last != seen:
                seen = self.broker.events.last
                with self._lock:
                    self._ring([("events", None)])

    def close(self) -> None:
        """Wake everybody, with what there is; nobody waits after this."""
        self._closed.set()
        self._commands.put(None)
        with self._lock:
            for waiting in self._waiting.values():
                for bell in waiting:
                    bell.put(None)
