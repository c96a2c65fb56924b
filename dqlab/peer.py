"""One connection of the master, and what hangs on it: when it ends, what it held goes back at once.

Of a worker's two connections one is its control line: heartbeats come in on it, commands go out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dqlab.hub import Hub
from dqlab.parties import Client, Worker
from dqlab.wire import PlainConnection

__all__ = ["LONGEST_WAIT", "ControlLines", "Peer"]

#: seconds that one call may wait in the master; clients that wait longer ask again
LONGEST_WAIT = 10.0

T = TypeVar("T")


class ControlLines:
    """The connections on which workers hear commands, by the worker's name."""

    def __init__(self) -> None:
        self._lines: dict[str, PlainConnection] = {}

    def take(self, name: str, conn: PlainConnection) -> None:
        """From now on commands to this worker go out on ``conn``."""
        self._lines[name] = conn

    def drop(self, name: str, conn: PlainConnection) -> None:
        """The connection ended; commands to the worker have no way any more, unless it has opened another."""
        if self._lines.get(name) is conn:
            del self._lines[name]

    def send(self, name: str, command: tuple[Any, ...]) -> None:
        """Send a worker a command, if it can be reached."""
        conn = self._lines.get(name)
        if conn is not None:
            try:
                conn.send(("command", command))
            except (OSError, ValueError):
                pass  # it is gone; its reader notices

    def send_all(self, command: tuple[Any, ...]) -> None:
        """Send every worker a command."""
        for name in list(self._lines):
            self.send(name, command)


class Peer:
    """One connection, and what hangs on it. ``about`` is what the master says of itself."""

    def __init__(self, conn: PlainConnection, hub: Hub, controls: ControlLines, about: dict[str, Any]) -> None:
        self.conn, self.hub, self.controls, self.about = conn, hub, controls, about
        self.broker = hub.broker
        self.accepted = False
        self.worker: Worker | None = None  #: the worker that joined here
        self.client: Client | None = None  #: the client that collects results here
        self.calls: dict[tuple[str, str], Callable[..., Any]] = {}  #: what it has called before
        self._objects: dict[type, Any] = {}

    def object(self, kind: type[T]) -> T:
        if kind not in self._objects:
            self._objects[kind] = kind(self)  # type: ignore[call-arg]
        return self._objects[kind]

    def alive(self) -> bool:
        """False once the peer has hung up (while it waits for an answer it sends nothing)."""
        return not self.conn.poll(0)

    def hang_up(self) -> None:
        """The connection ended: give back what it held."""
        self.hub.do_now(self.broker.plain_hang_up, id(self))
        if self.worker is not None:
            self.controls.drop(self.worker.name, self.conn)
            self.hub.do_now(self.broker.leave, self.worker, "its connection ended")
        if self.client is not None and self.client.collector == id(self):
            self.hub.do_now(self.broker.close_client, self.client.number)
