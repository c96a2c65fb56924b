"""What Content-Encoding did to a body, undone: piece by piece, so that a bomb is noticed before it is unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

__all__ = ["Garbled", "beginning", "unpacked"]

#: bytes that come out at a time
PIECE = 64 * 1024
#: the codings that are undone
KNOWN = ("gzip", "x-gzip", "deflate")
#: what stands there where nothing was done: the word for it, and what badly set servers and stores write
NOTHING = ("", "identity", "none", "binary", "utf-8", "utf8", "aws-chunked")
#: most codings that one body may have on top of each other
MOST = 3


class Garbled(ValueError):
    """The body isn't what its Content-Encoding says, or it was cut; the message says which."""


def unpacked(body: bytes, coding: str) -> Iterator[bytes]:
    """Yield what `body` was before it was packed as the header `coding` says. Raises Garbled."""
    names = [name for word in coding.split(",") if (name := word.strip().lower()) not in NOTHING]
    strange = next((name for name in names if name not in KNOWN), None)
    if strange is not None or len(names) > MOST:
        raise Garbled(f"its Content-Encoding {(strange or coding)[:40]!r} can't be undone")
    pieces: Iterable[bytes] = (body[at : at + PIECE] for at in range(0, len(body), PIECE))
    for name in reversed(names):
        pieces = inflated(pieces, name)
    yield from pieces


def beginning(body: bytes, coding: str, size: int) -> bytes:
    """Return the first `size` bytes of what `body` was before it was packed, as far as it can be unpacked."""
    if not coding:
        return bytes(body[:size])
    plain = bytearray()
    with suppress(Garbled):
        for piece in unpacked(body, coding):
            plain += piece
            if len(plain) >= size:
                break
    return bytes(plain[:size])


def inflated(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Undo one coding; gzip's check sum and length are looked at by zlib."""
    engine, started = None, False
    try:
        for piece in pieces:
            while piece:
                if engine is None:
                    engine = zlib.decompressobj(wbits(name, piece))
                elif engine.eof:
                    if not piece.startswith(b"\x1f\x8b"):  # padding behind the end
                        return
                    engine = zlib.decompressobj(wbits(name, piece))
                plain = engine.decompress(piece, PIECE)
                started |= bool(plain)
                yield plain
                piece = engine.unconsumed_tail or engine.unused_data
        if engine is None:
            return  # nothing is nothing, however it was packed
        while tail := engine.decompress(b"", PIECE):
            yield tail
    except zlib.error as error:
        raise Garbled(trouble(name, str(error), started)) from None
    if not engine.eof:
        raise Garbled(f"its end is missing ({name})")


def trouble(name: str, words: str, started: bool) -> str:
    """Return what is wrong with a body packed as `name`, by zlib's `words`; `started`: some of it could be unpacked."""
    if "incorrect data check" in words or "incorrect length check" in words:
        return f"it is damaged: its check sum doesn't match ({name})"
    if started or (name != "deflate" and "header" not in words):
        return f"it is damaged: it can't be unpacked to its end ({name})"
    return f"it isn't {name}, as its Content-Encoding says"


def wbits(name: str, start: bytes) -> int:
    """Return how zlib is told the format: of what is called deflate, half comes without zlib's header."""
    if name != "deflate":
        return 31
    has_header = len(start) > 1 and start[0] % 16 == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return 15 if has_header else -15
