"""One connection of the master, and what hangs on it: when it ends, what it held goes back at once.

Of a worker's two connections one is its control line: heartbeats come in on it, commands go out.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from dqlab.broker.clients import Client
from dqlab.broker.workers import Worker
from dqlab.master.waiting_calls import Answer, Wait, WaitingCalls, apart
from dqlab.wire.connection import PlainConnection, pack
from dqlab.wire.methods import Method, Misused

__all__ = ["DONE", "LONGEST_WAIT", "ControlLines", "Peer"]

#: seconds that one call may wait in the master; clients that wait longer ask again
LONGEST_WAIT = 10.0
#: bytes of an answer that any connection takes at once when nothing else is on its way there
SHORT = 1 << 16
#: messages of one connection of which the call is remembered, and bytes of such a one: a `get` has 60
REPEATED, REPEATED_BYTES = 100, 128
#: arguments that are the same whenever a call with them is repeated, and not what is put
UNCHANGING = frozenset({type(None), bool, int, float})
#: protocol of the pickles for unchanged scripts: every Python 3 can read it
SCRIPT_PROTOCOL = 4
#: what a queue raises, which a script is sent as it is
STANDARD = (queue.Empty, queue.Full, Misused)
#: the answer of a call that returns nothing, and its bytes for scripts and for dqlab's own
DONE = ("#RETURN", None)
_PACKED_DONE = {protocol: pack(DONE, protocol) for protocol in (SCRIPT_PROTOCOL, 5)}

T = TypeVar("T")


class Peer:
    """One connection, and what hangs on it. `about` is what the master says of itself."""

    def __init__(
        self, conn: PlainConnection, waiting: WaitingCalls, controls: ControlLines, about: dict[str, Any]
    ) -> None:
        self.waiting, self.controls, self.about = waiting, controls, about
        self.broker = waiting.broker
        self.address = conn.address  #: of the machine at the other end
        self.accepted = False
        self.role = ""  #: "client" or "worker", once it has proved that; "" for an unchanged script
        self.expected: bytes | None = None  #: the proof that must come with its first request
        self.waits: Wait | None = None  #: for what it has asked last
        self.tell: Callable[[Answer], None]  #: how others answer that
        self.worker: Worker | None = None  #: the worker that joined here
        self.client: Client | None = None  #: the client that this is
        self.methods: dict[tuple[str, str], tuple[Callable[..., Any], Method]] = {}  #: what it has called before
        self._has_taken = False  #: whether it was told a result, or a stop sign, which the journal may not know
        self._message: bytes | bytearray = b""  #: what it has sent last
        self._calls: dict[bytes | bytearray, Callable[[], Any]] = {}  #: by the message that has asked for them
        self._objects: dict[type, Any] = {}
        self._conn, self._thread = conn, threading.get_ident()
        self._sending = threading.Lock()  #: others send here too, and must not when it is closed and its number reused

    @property
    def raises(self) -> tuple[type[Exception], ...]:
        """The errors that it is sent as they are; the others come in words."""
        return STANDARD if not self.role else ()

    def object(self, kind: type[T]) -> T:
        """The object of a kind that belongs to this connection, made when first asked for."""
        if kind not in self._objects:
            self._objects[kind] = kind(self)  # type: ignore[call-arg]
        return self._objects[kind]

    def recv(self) -> Any:
        """The next message; `EOFError` when the peer has hung up, or has not waited for its answer."""
        self.recv_known()
        return self.load()

    def recv_known(self) -> Callable[[], Any] | None:
        """Receive the next message; the call that `remember` has kept for one of the same bytes.

        Where there is none, `load` has the value. `EOFError` as for `recv`.
        """
        if self._has_taken:
            self._write_taken()  # while its script is busy with that
        self._message = message = self._conn.recv_bytes()
        with self._sending:  # by another thread, which has yet to say that what it sent was taken
            pass
        if self._has_taken:
            self._write_taken()
        if self.waits is not None and self.waits.pending:
            raise EOFError
        return self._calls.get(message) if len(message) <= REPEATED_BYTES else None

    def load(self) -> Any:
        """The value of the message that was received last; one that is too long to be remembered is let go of."""
        message = self._message
        if len(message) > REPEATED_BYTES:
            self._message = b""
        return self._conn.load(message)

    def remember(self, perform: Callable[..., Any], arguments: Mapping[str, Any], answer: Any) -> None:
        """The last message asked for this call, and will whenever it comes again: it need not be read and checked."""
        if self._message and UNCHANGING.issuperset(map(type, arguments.values())):
            if len(self._calls) >= REPEATED:
                self._calls.clear()
            is_get = isinstance(answer, Wait)  # the same question each time
            self._calls[self._message] = (lambda: answer) if is_get else partial(perform, **arguments)

    def _write_taken(self) -> None:
        """Should the master die, no more than one result is given out again for each connection."""
        self._has_taken = False
        if self.waiting.journal is not None:
            self.waiting.journal.catch_up()

    def send(self, message: Any) -> None:
        """Send a message, from whatever thread; on a connection that has ended nobody hears it."""
        protocol = 5 if self.role else SCRIPT_PROTOCOL
        parts = _PACKED_DONE[protocol] if message is DONE else pack(message, protocol)
        # A peer that waits has read all before, so something short goes into the buffer of its connection at once. More
        # may take as long as a slow network does, which is nobody's business but the peer's.
        if threading.get_ident() == self._thread or sum(map(len, parts)) <= SHORT:
            self._send(parts)
        else:
            apart(partial(self._send, parts))

    def _send(self, parts: list[Any]) -> None:
        try:
            with self._sending:
                self._conn.send_parts(parts)
                if self.broker.plain.untold or self.broker.plain.stops:
                    self._has_taken = self.waiting.do(self.broker.plain.told, id(self))
        except (OSError, ValueError):
            pass  # it is gone; its own thread notices

    def cut_off(self) -> None:
        """End the connection: its own thread then gives back what it held."""
        self._conn.hang_up()

    def hang_up(self) -> None:
        """The connection ended: give back what it held."""
        if self.waits is not None:
            self.waiting.drop(self.waits)
        self._conn.hang_up()
        with self._sending:
            self._conn.close()
        self.waiting.do_now(self.broker.plain.hang_up, id(self))
        if self.worker is not None:
            self.controls.drop(self.worker.name, self)
            self.waiting.do_now(self.broker.leases.leave, self.worker, "its connection ended")
        if self.client is not None:
            self.waiting.do_now(self._client_left, self.client)

    def _client_left(self, client: Client, now: float) -> None:
        if client.collector == id(self):  # to be asked under the lock: it may be back on another connection
            self.broker.close_client(client, now)


class ControlLines:
    """The connections on which workers hear commands, by the worker's name."""

    def __init__(self) -> None:
        self._lines: dict[str, Peer] = {}

    def take(self, name: str, peer: Peer) -> None:
        """From now on commands to this worker go out to `peer`."""
        self._lines[name] = peer

    def drop(self, name: str, peer: Peer) -> None:
        """The connection ended; commands to the worker have no way any more, unless it has opened another."""
        if self._lines.get(name) is peer:
            del self._lines[name]

    def send(self, name: str, command: tuple[Any, ...]) -> None:
        """Send a worker a command, if it can be reached."""
        peer = self._lines.get(name)
        if peer is not None:
            peer.send(("command", command))

    def send_all(self, command: tuple[Any, ...]) -> None:
        """Send every worker a command."""
        for name in list(self._lines):
            self.send(name, command)
