"""An answer as it comes: its header is read here, by a deadline as its body is, and interim answers are passed over.

    with bounded(Bounds(end=time.monotonic() + 60, timeout=10)) as bounds:
        session().get(...)                 # on this thread
    bounds.network                         # where the server was

The header is read by few lines: `http.client` takes as long for that as for all else, and stops at a line that is none,
where browsers go on.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bounds", "Response", "bounded", "current", "trust", "wait_at_most"]

#: interim answers (1xx) that are passed over before the one that counts
INTERIM = 20
#: bytes that are taken from a socket at once: most pictures in one piece
BUFFER = 64 * 1024
#: bytes of a header, and of one line of it
HEAD, LINE = 256 * 1024, 64 * 1024
#: fields that are lists: a second one goes on where the first one ended
LISTS = ("link", "x-robots-tag", "content-encoding", "transfer-encoding")


@dataclass
class Bounds:
    """
    What holds for the requests of one thread: monotonic seconds at which they `end`, seconds of silence (`timeout`).

    `reach`: the networks in which servers may be, None for all; `network` becomes the one of the last connection, and
    `heard` when something came last (monotonic seconds).
    """

    end: float = math.inf
    timeout: float = 10.0
    reach: frozenset[str] | None = None
    network: str | None = None
    heard: float = field(default_factory=time.monotonic)


current = threading.local()


@contextmanager
def bounded(bounds: Bounds) -> Iterator[Bounds]:
    """Let `bounds` hold for what this thread asks."""
    outer = getattr(current, "bounds", None)
    current.bounds = bounds
    try:
        yield bounds
    finally:
        current.bounds = outer


def trust(sock: Any, seconds: float) -> None:
    """Make `sock`, which sends within so many seconds or not at all, one whose waits the system ends, if it can."""
    if sys.platform != "win32":
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time_value(seconds))
        wait_at_most(sock, seconds)


def time_value(seconds: float) -> bytes:
    """Return seconds as the system has them."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6) or 1)


def wait_at_most(sock: Any, seconds: float) -> None:
    """
    Let `sock` wait for an answer so long. The system ends the wait, where it can: Python would ask it before each call
    whether there is something, and give the GIL away for that.
    """
    if sock.gettimeout() is None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time_value(seconds))
    elif sock.gettimeout() != seconds:
        sock.settimeout(seconds)


class Reader(io.RawIOBase):
    """Reads from a socket as long as the thread's bounds allow, however slowly the bytes drip."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        bounds = getattr(current, "bounds", None) or Bounds()
        left = bounds.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        wait_at_most(self.sock, min(bounds.timeout, left))
        try:
            size = self.sock.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError("timed out") from None
        bounds.heard = time.monotonic()
        return size


class Source:
    """A socket as `http.client` wants it, read through a `Reader`."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(Reader(self.sock), BUFFER)


class Headers(dict[str, str]):
    """The fields of a header by their names, in whatever case; of several with one name the first, or all of a list."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        for name, value in pairs:
            key = name.lower()
            if key not in self:
                self[key] = value
            elif key in LISTS:
                self[key] += f", {value}"

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field `name`, or `default`."""
        return super().get(name.lower(), default)

    def get_all(self, name: str, default: Any = None) -> Any:
        """Return all values of `name` in a list, or `default`; as cookie jars ask for them."""
        return [value for other, value in self.pairs if other.lower() == name.lower()] or default


class Response(http.client.HTTPResponse):
    """
    An answer that is read through a `Reader`. Of its header, what makes no sense is passed over.

    When its body has ended, its `_connection` goes back to the `_pool`; when it is closed before, that is closed.
    """

    _pool: Any = None
    _connection: Any = None
    retries: Any = None  # urllib3 notes here what is never used

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(Source(sock), *args, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read the header, and learn from it where the body ends."""
        version, self.status, self.reason = self._read_status()
        self.code = self.status
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(version)
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = head(self.fp)  # type: ignore[assignment]
        bare = self.status in (http.client.NO_CONTENT, http.client.NOT_MODIFIED)
        coding = self.headers.get("transfer-encoding", "").lower().rpartition(",")[2].strip()
        self.chunked = coding == "chunked" and not bare
        self.chunk_left = None
        length = self.headers.get("content-length", "")
        if len(same := {one.strip() for one in length.split(",")}) == 1 and "," in length:  # a proxy's "5, 5" is 5
            length = self.headers["content-length"] = same.pop()
        self.length = 0 if bare else int(length) if length.isdecimal() and not self.chunked else None
        ends = self._check_close()  # type: ignore[attr-defined]
        self.will_close = ends or (not self.chunked and self.length is None)

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line of the answer that counts; http.client itself passes over 100 only."""
        for _ in range(INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason.strip()
            head(self.fp)
        raise http.client.BadStatusLine("interim answers without end")

    @property
    def length_remaining(self) -> int | None:
        """The bytes of the body that are still to come; None if nobody knows."""
        return self.length

    @property
    def version_string(self) -> str:
        """The protocol, for logs."""
        return f"HTTP/{self.version / 10}"

    def read1(self, n: int = -1) -> bytes:
        """Return what is there of the body, `n` bytes at most; b"" at its end, and where the connection ends."""
        piece = super().read1(n)
        if self.length == 0 or (self.chunked and self.fp is None):
            self.release(keep=not self.will_close)
        return piece

    def drain_conn(self) -> None:
        """Read what is left: so the connection can be kept."""
        with suppress(OSError, http.client.HTTPException):
            while self.read1(BUFFER):
                pass

    def release(self, keep: bool) -> None:
        """Give the connection back, if it is one to `keep`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if not keep:
                connection.close()
            self._pool._put_conn(connection)

    def close(self) -> None:
        """End: what is left of the body is not read any more."""
        super().close()
        self.release(keep=False)


def head(file: Any) -> Headers:
    """Read a header to its end. Raises LineTooLong if it has none that makes sense."""
    lines: list[bytes] = []
    left = HEAD
    while (line := file.readline(LINE + 1)) not in (b"\r\n", b"\n", b""):
        left -= len(line)
        if left < 0 or len(line) > LINE:
            raise http.client.LineTooLong("header")
        if line[:1] in b" \t" and lines:  # it goes on
            lines[-1] += b" " + line.strip()
        else:
            lines.append(line.strip())
    fields = (line.decode("latin-1").partition(":") for line in lines)
    return Headers([(name.strip(), value.strip()) for name, colon, value in fields if colon and name])
