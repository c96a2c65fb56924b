"""The body of an answer: whole, unpacked and within bounds, or not at all; what was cut on its way is asked again."""

from __future__ import annotations

import ctypes
import functools
import http
import http.client
import math
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, cast

from dqlab.crawl.coding import Garbled, beginning, unpacked
from dqlab.crawl.failures import FetchFailed, NoRoom

if TYPE_CHECKING:
    from dqlab.crawl.response import Response

__all__ = ["PARTIAL", "RANGE", "Purse", "Share", "body_of"]

#: bytes read at a time, and those by which a kind is told
CHUNK, HEAD = 64 * 1024, 4096
#: bytes from which on a body isn't copied
LARGE = 1_000_000
#: what glibc calls the size from which on a piece of memory is one of the system's own (`mallopt`)
MMAP_THRESHOLD = -3
#: the answers to who asks for a part
PARTIAL = (http.HTTPStatus.PARTIAL_CONTENT, http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
#: tries at a body that is cut on its way
TRIES = 3
#: asks for the same once more, with these headers; raises FetchFailed if it isn't given
Ask = Callable[[dict[str, str]], "AbstractContextManager[Response]"]
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Purse:
    """The bytes that the answers of one task may hold together; threads may share it."""

    def __init__(self, room: int) -> None:
        self.room = self.left = room
        self.holders = 0  # answers that may give back what they hold
        self.changed = threading.Condition()

    def share(self, end: float = math.inf) -> Share:
        """Return what an answer, which waits for room until `end` (monotonic seconds), holds of it: nothing yet."""
        return Share(self, end)


class Share:
    """What one answer holds of a purse. A context manager: in the end it is given back, unless it was kept."""

    def __init__(self, purse: Purse, end: float) -> None:
        self.purse, self.end = purse, end
        self.held = 0

    def hold(self, size: int, expected: int | None = None) -> None:
        """
        Hold `size` bytes; who holds none yet waits for room, as long as there are others who may give it back.

        Raises NoRoom, with what is `expected` in all, when there is none.
        """
        purse, more = self.purse, size - self.held
        with purse.changed:
            while not self.held and purse.left < more <= purse.room and purse.holders:
                if not purse.changed.wait(min(max(0.0, self.end - time.monotonic()), threading.TIMEOUT_MAX)):
                    break
            if more > purse.left:
                raise NoRoom(f"larger than the {purse.room} bytes that there is room for", expected)
            purse.left -= more
            self.note(size)

    def keep(self) -> None:
        """Let what is held be gone for good: the body stays in the task's result."""
        with self.purse.changed:
            self.note(0)

    def note(self, held: int) -> None:
        """Note what is held now, and let the others look."""
        self.purse.holders += bool(held) - bool(self.held)
        self.held = held
        self.purse.changed.notify_all()

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *exc: object) -> None:
        self.hold(0)


def body_of(response: Response, wants: Callable[[bytes], bool], share: Share, ask: Ask, most: int, end: float) -> bytes:
    """
    Return the body that `response` begins, unpacked; of what `wants` declines only the first bytes.

    `ask` asks the same address for more, `most` is bytes, `end` when it must be here, on the monotonic clock.
    """
    return Download(wants, share, ask, most, end).run(response)


class Cut(Exception):
    """The body ended before its end."""


class Download:
    """A body on its way."""

    def __init__(self, wants: Callable[[bytes], bool], share: Share, ask: Ask, most: int, end: float) -> None:
        self.wants, self.share, self.ask, self.most, self.end = wants, share, ask, most, end
        self.raw, self.size = bytearray(), 0  # as long as all of it is to be, and how much is there
        self.wanted: bool | None = None
        self.coding = ""
        self.total: int | None = None  # bytes, if that was said

    def run(self, response: Response) -> bytes:
        """Read to the end, with as many answers as that takes."""
        self.coding = response.headers.get("Content-Encoding", "")
        try:
            self.read(response)
        except Cut:
            self.again(response)
        if self.wanted is False:
            return self.head()
        del self.raw[self.size :]
        return self.unpack() if self.coding else settled(self.raw)

    def again(self, first: Response) -> None:
        """Ask for the rest, or if the server can't tell that it is still the same, for all of it."""
        mark = first.headers.get("ETag", "")
        mark = mark if mark and not mark.startswith("W/") else first.headers.get("Last-Modified", "")
        reached = self.size
        for _ in range(1, TRIES):
            rest = {"Range": f"bytes={self.size}-", "If-Range": mark} if mark and self.size else {}
            with self.ask(rest) as response:
                if response.status in PARTIAL:
                    if not self.continues(response, mark):
                        self.forget()
                        mark = ""  # and no part of it any more
                        continue
                else:
                    self.forget()
                    self.coding = response.headers.get("Content-Encoding", "")
                with suppress(Cut):
                    self.read(response)
                    if self.wanted is False or self.size >= (self.total or 0):  # some give a part of what was asked for
                        return
                reached = max(reached, self.size)
        raise FetchFailed(f"cut on its way after {reached} bytes, {TRIES} times")

    def continues(self, response: Response, mark: str) -> bool:
        """Say whether `response` goes on where the last one ended, with the version that has this `mark`."""
        place = RANGE.match(response.headers.get("Content-Range", ""))
        same = mark in (response.headers.get("ETag", mark), response.headers.get("Last-Modified"))
        if response.status != http.HTTPStatus.PARTIAL_CONTENT or place is None or not same:
            return False
        start, end = int(place[1]), int(place[2])
        known, self.total = self.total, int(place[3]) if place[3].isdecimal() else self.total
        is_all = response.length_remaining in (None, end + 1 - start)
        return start == self.size and is_all and known in (None, self.total)

    def read(self, response: Response) -> None:
        """Read what comes now. Raises Cut if it ends too early."""
        announced = response.headers.get("Content-Length", "")
        expected = self.size + int(announced[:18]) if announced.isdecimal() else None
        if not self.size:
            self.total = expected
        large = expected is not None and expected > self.most
        try:
            while chunk := response.read1(HEAD if large else CHUNK):
                self.take(chunk, None if large else expected)
                if self.wanted is None and (large or self.size >= HEAD):
                    self.wanted = self.is_wanted()
                if self.wanted is False:
                    return
                if large and self.wanted:
                    raise self.too_large()
        except (http.client.HTTPException, OSError, ValueError) as error:
            if time.monotonic() >= self.end:
                raise
            raise Cut from error
        if response.length_remaining:
            raise Cut
        if self.wanted is None:
            self.wanted = self.is_wanted()

    def take(self, chunk: bytes, expected: int | None) -> None:
        """Keep `chunk`, if it may be kept."""
        end = self.size + len(chunk)
        if end > self.most:
            raise self.too_large()
        if expected is not None and not self.size and expected > end:  # all of it at once: else it begins in vain
            self.share.hold(expected, expected)
            if expected >= LARGE:
                return_large_pieces()
            self.raw = bytearray(expected)  # to grow it would move it, again and again
        elif self.share.held < end:
            self.share.hold(end, expected)
        self.raw[self.size : end] = chunk
        self.size = end

    def forget(self) -> None:
        self.raw, self.size = bytearray(), 0
        self.share.hold(0)

    def is_wanted(self) -> bool:
        """Say whether the rest is worth reading; it is, too, if nothing can be told by the first bytes."""
        head = self.head()
        return self.wants(head) or (not head and self.size > 0)

    def head(self) -> bytes:
        """Return the first bytes, unpacked as far as that goes."""
        return beginning(bytes(self.raw[: min(self.size, HEAD)]), self.coding, HEAD)

    def unpack(self) -> bytes:
        """Return the body as it was before it was packed."""
        plain = bytearray()
        try:
            for piece in unpacked(bytes(self.raw), self.coding):
                if len(plain) + len(piece) > self.most:
                    raise self.too_large()
                self.share.hold(self.share.held + len(piece))
                plain += piece
        except Garbled as error:
            raise FetchFailed(str(error)) from error
        self.share.hold(len(plain))
        return settled(plain)

    def too_large(self) -> FetchFailed:
        return FetchFailed(f"larger than {self.most} bytes (--max-bytes)")


@functools.cache
def return_large_pieces() -> None:
    """Let large pieces of memory go back to the system when they are free; glibc keeps some for each thread."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another library, which knows no such thing
            ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, LARGE)


def settled(body: bytearray) -> bytes:
    """Return `body`, which nobody changes any more; a large one as it is, since a copy takes its room once more."""
    return bytes(body) if len(body) < LARGE else cast(bytes, body)
