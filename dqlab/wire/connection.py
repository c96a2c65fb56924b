"""The wire: BaseManager's own protocol over TCP, but nothing except plain data is ever unpickled.

A message is what `multiprocessing.connection` sends: a length and a pickle. The plain `Connection` unpickles
whatever arrives, so that whoever holds the key can run code in the receiver. `PlainConnection` sends the same
bytes and reads them with `dqlab.wire.plain_data`, which knows the plain values and raises at any other name.
The serializer's name never crosses the wire, so unchanged BaseManager clients talk to it without noticing.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Callable
from multiprocessing import AuthenticationError, connection
from typing import Any

from dqlab.errors import AuthenticationFailed, BadInput, ConnectionFailed
from dqlab.wire.address import place
from dqlab.wire.plain_data import load_plain, pickled

__all__ = ["PlainConnection", "PlainListener", "dial", "load_plain", "pack"]

#: seconds that a dialled master may take to answer at all (TCP and handshake)
DIAL_TIMEOUT = 10.0
#: connections that the kernel may hold before they are accepted
BACKLOG = 256
#: seconds of silence, then seconds between probes, and their number, until TCP calls a peer dead
KEEPALIVE = (15, 5, 3)


#: what stands instead of a message whose payloads follow it
_FOLLOWED = "#FOLLOWED"
#: payloads that may follow one message
MOST_BESIDE = 1 << 16
#: bytes that are sent, and read, at once if there are as many
AHEAD = 1 << 14
#: how a message begins: its size in bytes, or -1 and a longer size (as `multiprocessing.connection` has it)
_SIZE, _LONG_SIZE = struct.Struct("!i"), struct.Struct("!Q")
#: whether the system reads into memory that exists; Windows does not
_READS_IN_PLACE = hasattr(os, "readv")
#: bytes of memory that are set aside at once for a payload that has only been announced
ANNOUNCED = 1 << 26


def pack(obj: Any, protocol: int = 5) -> list[Any]:
    """What is to be written for a plain value, piece by piece: its message, and the payloads that follow it (from
    protocol 5 of pickle on), each behind its size. What is short is one piece."""
    data, buffers = pickled(obj, protocol)
    if not buffers and len(data) <= AHEAD:
        return [_SIZE.pack(len(data)) + data]
    messages: list[Any] = [pickle.dumps((_FOLLOWED, len(buffers), data), 5)] if buffers else [data]
    messages += [buffer.raw() for buffer in buffers]
    pieces = [piece for message in messages for piece in (_head(len(message)), message)]
    return [b"".join(pieces)] if sum(map(len, pieces)) <= AHEAD else pieces


def _head(size: int) -> bytes:
    return _SIZE.pack(size) if size < 1 << 31 else _SIZE.pack(-1) + _LONG_SIZE.pack(size)


class PlainConnection(connection.Connection):
    """A `multiprocessing.connection.Connection` that reads plain data only.

    Payloads that `beside` has marked follow their message, each as a message of its own.
    """

    address = ""  #: of the machine at the other end, where that has connected
    proof: bytes | None = None  #: goes with the first request: that we are what we said (see `greeting`)
    _ahead: bytes = b""  #: what was read together with the last message

    def recv(self) -> Any:
        """Return the next value; `EOFError` when the other side has closed."""
        return self.load(self.recv_bytes())

    def load(self, data: bytes | bytearray) -> Any:
        """The value of a message, which `recv_bytes` has returned just now; payloads that follow it are received."""
        value = load_plain(data)
        if isinstance(value, tuple) and len(value) == 3 and value[0] == _FOLLOWED:
            _, count, message = value
            if type(count) is not int or not 0 < count <= MOST_BESIDE:
                raise pickle.UnpicklingError(f"{count!r} payloads beside one message")
            buffers = [self.recv_bytes() for _ in range(count)]
            return load_plain(message, buffers)
        return value

    def send(self, obj: Any) -> None:
        """Send one plain value."""
        self.send_parts(pack(obj))

    def send_parts(self, parts: list[Any]) -> None:
        """Send what `pack` has made of a value; `OSError` once the connection is closed or the other side gone."""
        self._check_closed()  # type: ignore[attr-defined]
        for part in parts:
            self._send(part)  # type: ignore[attr-defined]

    def recv_bytes(self, maxlength: int | None = None) -> Any:
        """The next message as bytes, or a bytearray if it is large, read into the memory where it stays."""
        if not _READS_IN_PLACE:
            return super().recv_bytes(maxlength)
        start = _SIZE.size
        ahead = self._read_ahead(start)
        (size,) = _SIZE.unpack_from(ahead)
        if size == -1:
            start += _LONG_SIZE.size
            ahead = self._read_ahead(start)
            (size,) = _LONG_SIZE.unpack_from(ahead, _SIZE.size)
        if size < 0 or (maxlength is not None and size > maxlength):
            raise OSError(f"a message of {size} bytes")
        if size > AHEAD:
            return self._read_in_place(start, size)
        end = start + size
        if len(ahead) < end:
            ahead = self._read_ahead(end)
        self._ahead = ahead[end:]
        return ahead[start:end]

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether there is something to receive within `timeout` seconds."""
        return bool(self._ahead) or super().poll(timeout)

    def _read_ahead(self, size: int) -> bytes:
        # A size and its message, and what follows it, mostly arrive together, and a read costs as much as a task.
        while len(self._ahead) < size:
            more = os.read(self.fileno(), AHEAD)
            if not more:
                raise EOFError
            self._ahead += more
        return self._ahead

    def _read_in_place(self, start: int, size: int) -> bytearray:
        ahead = self._ahead[start : start + size]
        data, read = bytearray(min(size, ANNOUNCED)), len(ahead)
        data[:read], self._ahead = ahead, self._ahead[start + size :]
        while read < size:
            if read == len(data):
                data += bytes(min(size - read, read))
            with memoryview(data)[read:] as rest:
                got = os.readv(self.fileno(), [rest])
            if not got:
                raise EOFError
            read += got
        return data

    def acknowledge(self) -> None:
        """Acknowledge what has arrived at once: a plain client holds its next words back until then, for 40 ms."""
        if hasattr(socket, "TCP_QUICKACK"):
            with _socket_of(self) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def hang_up(self) -> None:
        """End the connection from any thread: whoever blocks in `recv` gets `EOFError` at once."""
        try:
            with _socket_of(self) as sock:
                sock.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError):
            pass


def _socket_of(conn: connection.Connection) -> socket.socket:
    """A second handle on the connection's socket, to be closed by the caller."""
    sock = socket.socket(fileno=conn.fileno())
    try:
        return sock.dup()
    finally:
        sock.detach()


def _tune(sock: socket.socket) -> None:
    # Without TCP_NODELAY a message of more than 16 KiB goes out in two writes and waits 40 ms for an acknowledgement.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), KEEPALIVE, strict=True):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class PlainListener:
    """Listens on a TCP address (IPv4 or IPv6) and accepts `PlainConnection`s."""

    def __init__(self, address: tuple[str, int]) -> None:
        host, port = address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]

    def accept(self) -> PlainConnection:
        """Return the next connection, not authenticated yet."""
        sock, address = self._socket.accept()
        _tune(sock)
        sock.setblocking(True)
        conn = PlainConnection(sock.detach())
        conn.address = address[0]
        return conn

    def close(self) -> None:
        """Stop listening; a blocked `accept` ends with `OSError`."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # some systems refuse this for a listening socket; close() is enough there
        self._socket.close()


def dial(
    address: tuple[str, int],
    authkey: bytes,
    timeout: float = DIAL_TIMEOUT,
    make: Callable[[int], connection.Connection] = PlainConnection,
) -> Any:
    """Connect to a BaseManager at `address` and prove that both sides hold `authkey`.

    Raises `ConnectionFailed` where nobody answers within `timeout` seconds, `AuthenticationFailed` where the
    key is another.
    """
    where = place(*address)
    try:
        sock = socket.create_connection(address, timeout)
    except OSError as exc:
        raise ConnectionFailed(f"no master answers at {where}: {exc.strerror or exc}", "is it running there?") from exc
    except ValueError as exc:  # what can be no name of a host
        raise BadInput(f"host {address[0]!r} in {where!r}: {exc}", "a name or an address") from exc
    _tune(sock)
    sock.setblocking(True)
    conn = make(sock.detach())
    try:
        _handshake(conn, authkey, timeout)
    except AuthenticationError as exc:
        conn.close()
        raise AuthenticationFailed(f"the master at {where} has another key", "use its connection file") from exc
    except (EOFError, OSError, ValueError, AssertionError) as exc:  # the last is how Python 3.11 says so
        conn.close()
        raise ConnectionFailed(f"what answers at {where} is not a master, or it hung up: {exc!r}") from exc
    return conn


class _Patient:
    """The connection that a handshake sees: it waits for each message only until a deadline."""

    def __init__(self, conn: connection.Connection, timeout: float) -> None:
        self._conn, self._timeout = conn, timeout
        self.send_bytes = conn.send_bytes

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        if not self._conn.poll(self._timeout):
            raise OSError("no answer to the handshake")
        return self._conn.recv_bytes(maxlength)


def _handshake(conn: connection.Connection, authkey: bytes, timeout: float) -> None:
    patient: Any = _Patient(conn, timeout)
    connection.answer_challenge(patient, authkey)
    connection.deliver_challenge(patient, authkey)
