"""One connection of the master, and what hangs on it: when it ends, what it held goes back at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from dqlab.parties import Client, Worker
from dqlab.wire import PlainConnection

if TYPE_CHECKING:
    from dqlab.manager import MasterServer

__all__ = ["LONGEST_WAIT", "Peer"]

#: seconds that one call may wait in the master; clients that wait longer ask again
LONGEST_WAIT = 10.0

T = TypeVar("T")


class Peer:
    """One connection, and what hangs on it."""

    def __init__(self, conn: PlainConnection, server: MasterServer) -> None:
        self.conn, self.server, self.hub = conn, server, server.hub
        self.broker = server.hub.broker
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
            self.server.drop_control(self.worker.name, self.conn)
            self.hub.do_now(self.broker.leave, self.worker, "its connection ended")
        if self.client is not None and self.client.collector == id(self):
            self.hub.do(self.broker.close_client, self.client.number)
