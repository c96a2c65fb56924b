"""Frames: how a worker and its child talk, over pipes. A length, a pickle, and the payloads beside it."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

__all__ = ["read_frame", "write_frame"]

_HEAD = struct.Struct("<QI")  #: bytes of the pickle, number of payloads beside it
_SIZE = struct.Struct("<Q")


def _load(data: bytes, buffers: list[Any]) -> Any:
    return pickle.loads(data, buffers=buffers)


def read_frame(stream: BinaryIO, load: Callable[[bytes, list[Any]], Any] = _load) -> Any:
    """The next message; `EOFError` at the end."""
    size, count = _HEAD.unpack(_read(stream, _HEAD.size))
    data = _read(stream, size)
    return load(bytes(data), [_read(stream, _SIZE.unpack(_read(stream, 8))[0]) for _ in range(count)])


def _read(stream: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    if stream.readinto(data) < size:  # type: ignore[attr-defined]
        raise EOFError
    return data


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
