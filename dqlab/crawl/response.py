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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bounds", "Response", "bounded", "current", "wait_at_most"]

#: interim answers (1xx) that are passed over before the one that counts
INTERIM = 20
#: bytes that are taken from a socket at once: most pictures in one piece
BUFFER = 64 * 1024
#: bytes of a header, and of one line of it
HEAD, LINE = 256 * 1024, 64 * 1024


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


def wait_at_most(sock: Any, seconds: float) -> None:
    """Let `sock` wait so long. To tell it what it knows would cost a call of the system, and a turn of the GIL."""
    if sock.gettimeout() != seconds:
        sock.settimeout(seconds)


class Reader(io.RawIOBase):
    """Reads from a socket as long as the thread's bounds allow, however slowly the bytes drip."""

    def __init__(self, raw: Any, sock: Any) -> None:
        self.raw, self.sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        bounds = getattr(current, "bounds", None) or Bounds()
        left = bounds.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        wait_at_most(self.sock, min(bounds.timeout, left))
        size = self.raw.readinto(buffer)
        bounds.heard = time.monotonic()
        return size

    def close(self) -> None:
        self.raw.close()
        super().close()


class Source:
    """A socket as `http.client` wants it, read through a `Reader`."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(Reader(self.sock.makefile("rb", buffering=0), self.sock), BUFFER)


class Response(http.client.HTTPResponse):
    """An answer that is read through a `Reader`. Of its header, what makes no sense is passed over."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(Source(sock), *args, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read the header, and learn from it where the body ends."""
        version, self.status, self.reason = self._read_status()
        self.code = self.status
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(version)
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = head(self.fp)
        self.chunked = self.headers.get("transfer-encoding", "").lower().rpartition(",")[2].strip() == "chunked"
        self.chunk_left = None
        length = self.headers.get("content-length", "")
        self.length = int(length) if length.isdecimal() and not self.chunked else None
        if self.status in (http.client.NO_CONTENT, http.client.NOT_MODIFIED):
            self.length = 0
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


def head(file: Any) -> http.client.HTTPMessage:
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
    message = http.client.HTTPMessage()
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and name:
            message[name.strip()] = value.strip()
    return message
