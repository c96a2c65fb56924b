"""The control line: a worker's second connection. Heartbeats go out on it from a thread of their own, commands come in.

So a worker that waits for the master, or for its child, keeps its leases, and hears at once what it is to do.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

from dqlab.wire.connection import PlainConnection
from dqlab.wire.request import request

__all__ = ["ControlLine"]

#: heartbeats in one lease
BEATS = 3
#: halves of a lease without a word of the master, after which it is taken for gone
SILENT = 4
#: seconds that the threads may take to end
END = 5.0


class ControlLine:
    """Turns a connection into the control line of worker `name`, whose leases end `lease` seconds after a beat.

    `hear(line, kind, ...)` is called, in a thread, with "command" and the command; with "expired" when the master has
    given the leases to others; and with "lost" at the end of the connection.
    """

    def __init__(self, conn: PlainConnection, name: str | None, lease: float, hear: Callable[..., None]) -> None:
        self._conn, self._lease, self._hear = conn, lease, hear
        self._words: queue.SimpleQueue[str | None] = queue.SimpleQueue()  #: what to say before the next beat is due
        self._sending = threading.Lock()
        try:
            request(conn, "control", name)
        except BaseException:
            conn.close()
            raise
        self._threads = [
            threading.Thread(target=target, name=f"dqlab-{name}", daemon=True)
            for name, target in (("beat", self._beat), ("control", self._listen))
        ]
        for thread in self._threads:
            thread.start()

    def say(self, word: str) -> None:
        """Say one word in place of the next beat; may be called from a signal handler."""
        self._words.put(word)

    def tell(self, kind: str, value: Any = None) -> None:
        """Send one message; on a connection that is gone nobody hears it."""
        with contextlib.suppress(OSError, ValueError), self._sending:
            self._conn.send((kind, value))

    def close(self) -> None:
        """End both threads and the connection."""
        self._words.put(None)
        self._conn.hang_up()
        for thread in self._threads:
            thread.join(END)
        self._conn.close()

    def _beat(self) -> None:
        while True:
            try:
                word = self._words.get(timeout=self._lease / BEATS)
            except queue.Empty:
                word = "beat"
            if word is None:
                return
            self.tell(word)

    def _listen(self) -> None:
        silent = 0  # in halves of a lease, so that our own sleep (a frozen machine) does not count as the master's
        with contextlib.suppress(EOFError, OSError, ValueError):
            while silent < SILENT:
                if not self._conn.poll(self._lease / 2):
                    silent += 1
                    continue
                silent, (kind, value) = 0, self._conn.recv()
                if kind == "command":
                    self._hear(self, "command", value)
                elif not value:  # what a beat is answered with
                    self._hear(self, "expired")
        self._hear(self, "lost")
