"""The connections of one client to one master: dialled when needed, again when they broke, never to another master."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dqlab.errors import ConnectionFailed, DqlabError, MasterGone
from dqlab.wire.address import place
from dqlab.wire.connection import PlainConnection
from dqlab.wire.connection_file import Connection
from dqlab.wire.greeting import CLIENT
from dqlab.wire.reconnect import FINAL, Away, persist
from dqlab.wire.request import open_broker, request

__all__ = ["PATIENCE", "RETRY", "Connections"]

#: seconds for which a master that went away is looked for, unless others are given
PATIENCE = 10.0
#: seconds between two attempts to reach a master that is away, or to submit to a full backlog
RETRY = 0.02


class Connections:
    """Connections of one client to one master."""

    def __init__(self, connection: Connection, has_ended: Callable[[], bool], patience: float) -> None:
        self.connection = connection
        self.patience = patience  #: seconds for which a master that went away is looked for
        self._has_ended = has_ended  #: whether whoever owns the master knows that it is gone for good
        self.error: DqlabError | None = None  #: why there will be no more answers
        self.closed = False
        self.closing = False  #: whether nothing more is to be submitted
        self.about: dict[str, Any] = {}  #: what the master says of itself
        self.number: int | None = None  #: the client's number there, once it has one
        self.token: bytes | None = None  #: by which the master knows this client on each connection
        self._connections: dict[str, PlainConnection] = {}  #: by what was called on them first

    def dial(self) -> PlainConnection:
        """A new connection to the same master; `MasterGone` if it is known to have ended, or another one answers."""
        if self.error is not None:
            raise self.error
        try:
            conn = open_broker(
                self.connection.address, self.connection.authkey, CLIENT, client=self.number, token=self.token
            )
        except ConnectionFailed as exc:
            if self._has_ended():
                raise MasterGone("the master has ended") from exc
            raise
        about = request(conn, "about")
        if about["id"] != self.about.get("id", about["id"]):
            conn.close()
            raise MasterGone("another master answers there now")
        return conn

    def attempt(self, conn: PlainConnection | None, method: str, *args: Any) -> tuple[PlainConnection, Any]:
        """Call until it is answered; reconnect meanwhile, but not for longer than `patience` seconds."""
        here = conn

        def attempt() -> Any:
            nonlocal here
            if here is None:
                here = self._connections[method] = self.dial()
                if self.closed:
                    here.hang_up()
            return request(here, method, *args)

        def failed(error: Exception) -> bool:
            nonlocal here
            if here is not None:
                here.close()
            here = None
            return self.closed

        try:
            answer = persist(attempt, Away(self.patience, RETRY, RETRY), failed)
        except FINAL:
            raise
        except (EOFError, OSError) as exc:
            raise MasterGone(f"the master at {place(*self.connection.address)} is gone") from exc
        assert here is not None
        return here, answer

    def hang_up(self) -> None:
        """End all connections; whoever waits on one is told."""
        for conn in list(self._connections.values()):
            conn.hang_up()
