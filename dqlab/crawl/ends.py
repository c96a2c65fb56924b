"""Whether a picture has its end: what was cut on its way, or lies cut on the server, is no picture.

Each function takes a body of its kind. What follows the end doesn't matter: many cameras append something.
A JPEG XL without boxes has no mark of its end, nor a length that can be had without decoding it: there a cut shows only
by what the server said of its answer's length.
"""

from __future__ import annotations

import codecs
import re
import struct
import zlib
from collections.abc import Iterator

__all__ = [
    "bmp_ends",
    "boxes_end",
    "gif_ends",
    "icons_end",
    "j2k_ends",
    "jpeg_ends",
    "jpeg_segments",
    "is_wide",
    "narrow",
    "png_ends",
    "psd_ends",
    "qoi_ends",
    "riff_ends",
    "svg_ends",
    "svgz_ends",
    "tiff_directories",
    "tiff_ends",
    "tiff_values",
]

#: bytes that are unpacked at a time
PIECE = 1 << 20
#: bytes at the end of an SVG in which its last element closes
TAIL = 4096
SVG_END = re.compile(rb"(?:</(?:\w+:)?svg\s*>|/>)(?:\s|<!--.*?-->|<\?.*?\?>)*\Z", re.DOTALL | re.IGNORECASE)
#: the markers of a JPEG: the beginning of the compressed data, and the end of the picture
SCAN, END = 0xDA, b"\xff\xd9"
#: the tags of a TIFF that say where its strips or tiles begin, and how many bytes each has; the last ones are JPEG XR's
BEGINNINGS, LENGTHS = (273, 324, 0xBCC0), (279, 325, 0xBCC1)
#: the bytes by which a TIFF, or a JPEG XR, says that it is one with places of four bytes
TIFF_MARKS = (b"*\0", b"\0*", b"\xbc\x01")
#: pictures of one TIFF that are looked at
TIFF_PICTURES = 1000
#: bytes of a number in a TIFF, by its type, where that isn't one
TIFF_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def png_ends(body: bytes) -> bool:
    """Whether a PNG has its last chunk, IEND."""
    at = 8
    while at + 8 <= len(body):
        size, name = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
        at += 12 + size
        if name == b"IEND":
            return at <= len(body)
    return False


def jpeg_ends(body: bytes) -> bool:
    """Look for the end behind the first scan: before it, a thumbnail may have an end of its own."""
    scan = next((at for at, marker in jpeg_segments(body) if marker == SCAN), None)
    return scan is not None and body.find(END, scan) >= 0


def jpeg_segments(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each segment of a JPEG lies, up to the first scan, and its marker."""
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        yield at, marker
        if marker == SCAN:
            return
        at += 2 + int.from_bytes(body[at + 2 : at + 4], "big")


def gif_ends(body: bytes) -> bool:
    """Walk from block to block to the trailer: what follows it doesn't matter."""

    def table(flags: int) -> int:
        return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0

    try:
        at = 13 + table(body[10])
        while body[at] != 0x3B:
            at += 2 if body[at] == 0x21 else 11 + table(body[at + 9])  # an extension, or a picture
            while body[at]:
                at += 1 + body[at]
            at += 1
    except IndexError:
        return False
    return True


def riff_ends(body: bytes) -> bool:
    """Whether a RIFF file (WebP) is as long as its head says."""
    return len(body) >= 8 + int.from_bytes(body[4:8], "little")


def boxes_end(body: bytes) -> bool:
    """Walk from box to box of an ISO base media file; the last one may be as long as it likes."""
    at = 0
    while at + 8 <= len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(body[at + 8 : at + 16], "big")
        if size == 0:
            return True
        if size < 8:
            return False
        at += size
    return at == len(body)


def icons_end(body: bytes) -> bool:
    """Whether each picture of an icon file lies within it."""
    entries = (body[at : at + 16] for at in range(6, 6 + 16 * int.from_bytes(body[4:6], "little"), 16))
    return all(
        len(entry) == 16 and int.from_bytes(entry[8:12], "little") + int.from_bytes(entry[12:16], "little") <= len(body)
        for entry in entries
    )


def svg_ends(body: bytes) -> bool:
    """Whether the last tag of an SVG closes it."""
    tail = narrow(body[:2] + body[2:][-2 * TAIL :]) if is_wide(body) else body[-TAIL:]
    return SVG_END.search(tail) is not None


def is_wide(text: bytes) -> bool:
    """Whether `text` says that it is UTF-16."""
    return text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def narrow(text: bytes) -> bytes:
    """Return `text` as UTF-8 if it says that it is UTF-16; else as it is."""
    return text.decode("utf-16", "ignore").encode() if is_wide(text) else text


def svgz_ends(body: bytes) -> bool:
    """Whether a packed SVG unpacks to its end, and closes."""
    packed, rest = zlib.decompressobj(wbits=31), body
    try:
        while rest and not packed.eof:
            packed.decompress(rest, PIECE)  # which isn't kept: it may be a bomb
            rest = packed.unconsumed_tail
    except zlib.error:
        return False
    return packed.eof


def j2k_ends(body: bytes) -> bool:
    """Whether a JPEG 2000 code stream has its end marker."""
    return body.rstrip(b"\0").endswith(END)


def qoi_ends(body: bytes) -> bool:
    """Whether a QOI picture has its eight last bytes."""
    return body.endswith(b"\0\0\0\0\0\0\0\1")


def bmp_ends(body: bytes) -> bool:
    """Whether the rows of a BMP are all there."""
    try:
        (start, size) = struct.unpack_from("<II", body, 10)
        width, height, _, depth = struct.unpack_from("<HHHH" if size == 12 else "<iiHH", body, 18)
        packing, length = struct.unpack_from("<II", body, 30) if size > 12 else (0, 0)
    except struct.error:
        return False
    if packing in (0, 3, 6):
        length = (width * depth + 31) // 32 * 4 * abs(height)
    return len(body) >= start + length


def psd_ends(body: bytes) -> bool:
    """Whether the rows of a Photoshop file's picture, behind its three sections, are all there."""
    try:
        version, channels, height, width, depth = struct.unpack_from(">H6xHIIH", body, 4)
        wide, at = version == 2, 26
        for size in ("I", "I", "Q" if wide else "I"):
            at += struct.calcsize(size) + struct.unpack_from(">" + size, body, at)[0]
        (packing,) = struct.unpack_from(">H", body, at)
        rows, length = channels * height, 0
        if packing == 0:
            length = rows * ((width * depth + 7) // 8)
        elif packing == 1:  # how long each row is stands before them
            sizes = f">{rows}{'I' if wide else 'H'}"
            length = struct.calcsize(sizes) + sum(struct.unpack_from(sizes, body, at + 2))
    except struct.error:
        return False
    return at + 2 + length <= len(body)


def tiff_ends(body: bytes) -> bool:
    """Whether the strips or tiles of the pictures of a TIFF or JPEG XR lie within it (of a BigTIFF nobody looks)."""
    if body[2:4] not in TIFF_MARKS:
        return True
    try:
        return all(
            strips_lie_within(body, tiff_values(body, {*BEGINNINGS, *LENGTHS}, at)) for at in tiff_directories(body)
        )
    except struct.error:
        return False


def strips_lie_within(body: bytes, found: dict[int, tuple[int, ...]]) -> bool:
    """Whether all that one directory's values point to is there."""
    starts, sizes = (next((found[tag] for tag in tags if tag in found), ()) for tags in (BEGINNINGS, LENGTHS))
    return all(start + size <= len(body) for start, size in zip(starts, sizes, strict=False))


def tiff_directories(body: bytes) -> Iterator[int]:
    """Yield where the directory of each picture of a TIFF begins. Raises struct.error if one isn't all there."""
    order = tiff_order(body)
    (at,) = struct.unpack_from(order + "I", body, 4)
    seen = set[int]()
    while (at or not seen) and at not in seen and len(seen) < TIFF_PICTURES:
        yield at
        seen.add(at)
        (count,) = struct.unpack_from(order + "H", body, at)
        (at,) = struct.unpack_from(order + "I", body, at + 2 + 12 * count)


def tiff_order(body: bytes) -> str:
    """Return the order of bytes in the numbers of a TIFF, as `struct` has it."""
    return "<" if body[:2] == b"II" else ">"


def tiff_values(body: bytes, tags: set[int], at: int) -> dict[int, tuple[int, ...]]:
    """Return the numbers that the TIFF directory `at` has for `tags`. Raises struct.error if it isn't all there."""
    order = tiff_order(body)
    (count,) = struct.unpack_from(order + "H", body, at)
    struct.unpack_from(order + "I", body, at + 2 + 12 * count)  # the place of the next directory
    found = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, form, number = struct.unpack_from(order + "HHI", body, entry)
        size = number * TIFF_SIZES.get(form, 1)
        place = entry + 8 if size <= 4 else struct.unpack_from(order + "I", body, entry + 8)[0]
        if place + size > len(body):
            raise struct.error("a value lies behind the end")
        if tag in tags:
            found[tag] = struct.unpack_from(f"{order}{number}{'H' if form == 3 else 'I'}", body, place)
    return found
