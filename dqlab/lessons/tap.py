"""A tap on the wire: it stands between a client and a master, passes every message on, and notes it.

    with Tap(master.connection.port) as tap:
        ...                                 # a client connects to tap.port instead of the master's
        tap.mark("put")                     # what was said since the last mark belongs to "put"
    tap.counts(), tap.show("put")

A message of `multiprocessing.connection` is four bytes of length and then so many bytes. The first six on each
connection are the handshake, in which both sides prove that they have the key.
"""

from __future__ import annotations

import pickle
import socket
import threading
from typing import Any, NamedTuple, Self

from dqlab.wire.connection import load_plain

__all__ = ["Message", "Tap"]

#: messages of a handshake: challenge, digest and verdict, in both directions
HANDSHAKE = 6


class Message(NamedTuple):
    """One message: "->" to the master or "<-" from it, on the how-many-eth connection, how many-eth there.

    `data` is the message, or its beginning where the tap keeps no more; `size` is how many bytes it had.
    """

    direction: str
    data: bytes
    connection: int
    number: int
    size: int

    @property
    def in_handshake(self) -> bool:
        """Whether the message is part of the handshake."""
        return self.number < HANDSHAKE

    def __str__(self) -> str:
        return f"{self.direction} {self.size:4} bytes  {said(self.data)}"


def said(data: bytes) -> Any:
    """What a message says, as a value if it is plain data."""
    try:
        return load_plain(data)
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError):
        return data[:40]


class Tap:
    """Listens on `port`, a free one, and relays to the master's `target` port on this machine.

    Of each message it keeps the first `keep` bytes (None: all).
    """

    def __init__(self, target: int, keep: int | None = None) -> None:
        self.sections: dict[str, list[Message]] = {}
        self._target, self._keep, self._lock = target, keep, threading.Lock()
        self._now: list[Message] = []
        self._numbers: list[int] = []
        self._asked: dict[int, Any] = {}
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.mark("the rest")
        for sock in [self._listener, *self._open]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already
            sock.close()

    def mark(self, name: str) -> None:
        """Give the messages since the last mark a name."""
        with self._lock:
            self.sections[name], self._now = self._now, []

    def before_reply(self, connection: int, request: Any, reply: Any) -> None:
        """Called before a reply is passed on, with it and its request as values; a subclass may act.

        `connection` says on the how-many-eth they were said.
        """

    def carried(self, name: str) -> int:
        """How many bytes a section has, in both directions."""
        return sum(message.size for message in self.sections[name])

    def counts(self) -> None:
        """Print how many messages each section has."""
        for name, messages in self.sections.items():
            handshakes = sum(message.in_handshake for message in messages)
            print(f"{name:16} {len(messages):3} messages, {handshakes:2} of them handshakes")

    def show(self, name: str) -> None:
        """Print a section's messages, without handshakes."""
        for message in self.sections[name]:
            if not message.in_handshake:
                print(message)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                master = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            number = len(self._numbers)
            self._numbers.append(0)
            self._open += [client, master]
            for source, sink, direction in ((client, master, "->"), (master, client, "<-")):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._relay, args=(source, sink, direction, number), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, direction: str, connection: int) -> None:
        """Pass messages on, one by one, each noted before it goes."""
        stream = source.makefile("rb")
        try:
            while head := stream.read(4):
                size = int.from_bytes(head, "big", signed=True)
                more = stream.read(8) if size == -1 else b""
                data = stream.read(int.from_bytes(more, "big") if more else size)
                with self._lock:
                    kept = data[: self._keep]
                    message = Message(direction, kept, connection, self._numbers[connection], len(data))
                    self._now.append(message)
                    self._numbers[connection] += 1
                self._hear(message)
                sink.sendall(head + more + data)
        except (OSError, ValueError):
            pass  # one side was cut off; so is the other
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _hear(self, message: Message) -> None:
        """Put request and reply together; on one connection they take turns."""
        if not message.in_handshake:
            if message.direction == "->":
                self._asked[message.connection] = said(message.data)
            else:
                connection = message.connection
                self.before_reply(connection, self._asked.get(connection), said(message.data))
