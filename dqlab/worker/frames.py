"""Frames: how a worker and its child talk, over pipes. A length, a pickle, and the payloads beside it."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Generator
from typing import Any, BinaryIO

__all__ = ["FrameReader", "read_frame", "write_frame"]

_HEAD = struct.Struct("<QI")  #: bytes of the pickle, number of payloads beside it
_SIZE = struct.Struct("<Q")
#: bytes that are read at once; what is longer is read into the memory where it stays
AHEAD = 1 << 14

#: makes a message of its pickle and the payloads beside it
Load = Callable[[bytes, list[Any]], Any]


def _load(data: bytes, buffers: list[Any]) -> Any:
    return pickle.loads(data, buffers=buffers)


def read_frame(stream: BinaryIO, load: Load = _load) -> Any:
    """The next message; `EOFError` at the end."""
    size, count = _HEAD.unpack(_read(stream, _HEAD.size))
    data = _read(stream, size)
    return load(bytes(data), [_read(stream, _SIZE.unpack(_read(stream, 8))[0]) for _ in range(count)])


def _read(stream: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    if stream.readinto(data) < size:  # type: ignore[attr-defined]
        raise EOFError
    return data


class FrameReader:
    """Reads what has arrived, and never waits for the rest of a frame: whoever writes it may have been stopped.

    `stream` is not buffered; its `read` and `readinto` return None where nothing has come (see `inbox.readable`).
    """

    def __init__(self, stream: Any, load: Load = _load) -> None:
        self._stream, self._load = stream, load
        self._ahead = b""  #: what has come and is in no piece yet
        self._large: bytearray | None = None  #: a piece that is read in place
        self._got = 0  #: how much of that there is
        self.messages: list[Any] = []  #: those that are complete, for the caller to take
        self._between = True  #: whether the next piece begins a frame
        self._pieces = self._put_together()
        self._wanted = next(self._pieces)  #: bytes of the piece that comes next

    def read(self) -> None:
        """Take in what has come, perhaps nothing; `EOFError` at the end, and whatever else makes no sense raises.

        The messages before that are among `messages` all the same.
        """
        if self._large is None:
            more = self._stream.read(AHEAD)
            if more is None:
                return
            if not more:
                raise EOFError
            if self._between and not self._ahead and _is_one(more):  # as they mostly come
                self.messages.append(self._load(more[_HEAD.size :], []))
                return
            self._ahead += more
        elif self._has_read_in_place(self._large):
            self._take(self._large)
        while self._large is None and len(self._ahead) >= self._wanted:
            piece, self._ahead = self._ahead[: self._wanted], self._ahead[self._wanted :]
            self._take(piece)

    def _take(self, piece: bytes | bytearray) -> None:
        self._large, self._wanted = None, self._pieces.send(piece)
        if self._wanted > max(AHEAD, len(self._ahead)):
            self._large, self._got = bytearray(self._wanted), len(self._ahead)
            self._large[: self._got], self._ahead = self._ahead, b""

    def _has_read_in_place(self, large: bytearray) -> bool:
        while self._got < len(large):
            with memoryview(large)[self._got :] as rest:
                got = self._stream.readinto(rest)
            if got is None:
                return False
            if not got:
                raise EOFError
            self._got += got
        return True

    def _put_together(self) -> Generator[int, bytes | bytearray, None]:
        """Say how long the next piece is, and be given it, again and again."""
        while True:
            self._between = True
            size, count = _HEAD.unpack((yield _HEAD.size))
            self._between = False
            data = yield size
            beside = []
            for _ in range(count):
                beside.append((yield _SIZE.unpack((yield _SIZE.size))[0]))
            self.messages.append(self._load(bytes(data), beside))


def _is_one(data: bytes) -> bool:
    """Whether that is one frame with nothing beside it."""
    return len(data) > _HEAD.size and _HEAD.unpack_from(data) == (len(data) - _HEAD.size, 0)


def write_frame(stream: BinaryIO, message: Any) -> None:
    """Send one message, and the payloads that `wire.beside` has marked in it."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(message, 5, buffer_callback=buffers.append)
    stream.write(_HEAD.pack(len(data), len(buffers)))
    stream.write(data)
    for buffer in buffers:
        with buffer.raw() as raw:
            stream.write(_SIZE.pack(raw.nbytes))
            stream.write(raw)
    stream.flush()
