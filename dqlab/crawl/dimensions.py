"""How wide and high a picture is, from its first bytes: nothing is decoded, so no bomb goes off."""

from __future__ import annotations

import re
import struct

from dqlab.crawl.ends import jpeg_segments, narrow, tiff_directories, tiff_values
from dqlab.crawl.kinds import kind_of

__all__ = ["dimensions"]

Size = tuple[int, int]

#: bytes in which the properties of an ISO base media file stand
PROPERTIES = 64 * 1024
#: the segments of a JPEG that say its size: those of a frame, without those of tables
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SVG_TAG = re.compile(rb"<(?:\w+:)?svg\b[^>]*>", re.IGNORECASE)
SVG_LENGTH = rb"""\s%s\s*=\s*["']\s*([\d.]+)(?:px)?\s*["']"""
SVG_BOX = re.compile(rb"""\sviewBox\s*=\s*["']\s*[-\d.]+[\s,]+[-\d.]+[\s,]+([\d.]+)[\s,]+([\d.]+)""", re.IGNORECASE)


def dimensions(body: bytes) -> Size | None:
    """Return width and height in pixels of the picture in `body`; None if its bytes don't say it."""
    kind = kind_of(body)
    measure = kind and MEASURES.get(kind.suffixes[0])
    try:
        size = measure(body) if measure else None
    except (LookupError, ValueError, struct.error):
        return None
    return size if size and min(size) > 0 else None


def png(body: bytes) -> Size | None:
    return struct.unpack_from(">II", body, 16) if body[12:16] == b"IHDR" else None


def jpeg(body: bytes) -> Size | None:
    for at, marker in jpeg_segments(body):
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", body, at + 5)
            return width, height
    return None


def gif(body: bytes) -> Size:
    return struct.unpack_from("<HH", body, 6)


def webp(body: bytes) -> Size:
    form = body[12:16]
    if form == b"VP8X":
        return 1 + int.from_bytes(body[24:27], "little"), 1 + int.from_bytes(body[27:30], "little")
    if form == b"VP8L":
        bits = int.from_bytes(body[21:25], "little")
        return 1 + bits % 2**14, 1 + (bits >> 14) % 2**14
    width, height = struct.unpack_from("<HH", body, 26)
    return width % 2**14, height % 2**14


def boxes(body: bytes) -> Size | None:
    """Return the largest size among the properties: the others are those of tiles and thumbnails."""
    head = body[:PROPERTIES]
    sizes = [struct.unpack_from(">II", head, match.end() + 4) for match in re.finditer(b"ispe", head)]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def jp2(body: bytes) -> Size | None:
    at = body.find(b"ihdr", 0, PROPERTIES)
    height, width = struct.unpack_from(">II", body, at + 4)
    return (width, height) if at >= 0 else None


def bmp(body: bytes) -> Size:
    width, height = struct.unpack_from("<HH" if body[14] == 12 else "<ii", body, 18)
    return width, abs(height)  # a negative height: the first row is the upper one


def tiff(body: bytes) -> Size | None:
    if body[2:4] not in (b"*\0", b"\0*"):
        return None  # a BigTIFF
    found = tiff_values(body, {256, 257}, next(tiff_directories(body)))
    return found[256][0], found[257][0]


def icon(body: bytes) -> Size:
    """Return the size of the largest; 0 stands for 256."""
    entries = range(6, 6 + 16 * int.from_bytes(body[4:6], "little"), 16)
    return max((body[at] or 256, body[at + 1] or 256) for at in entries)


def qoi(body: bytes) -> Size:
    return struct.unpack_from(">II", body, 4)


def psd(body: bytes) -> Size:
    height, width = struct.unpack_from(">II", body, 14)
    return width, height


def svg(body: bytes) -> Size | None:
    tag = SVG_TAG.search(narrow(body))
    if not tag:
        return None
    found = [re.search(SVG_LENGTH % name, tag[0], re.IGNORECASE) for name in (b"width", b"height")]
    width, height = (match and float(match[1]) for match in found)
    if width is None or height is None:
        box = SVG_BOX.search(tag[0])
        width, height = (float(box[1]), float(box[2])) if box else (0.0, 0.0)
    return round(width), round(height)


MEASURES = {
    ".png": png, ".jpg": jpeg, ".gif": gif, ".webp": webp, ".avif": boxes, ".heic": boxes, ".jp2": jp2, ".bmp": bmp,
    ".tif": tiff, ".ico": icon, ".cur": icon, ".qoi": qoi, ".psd": psd, ".svg": svg,
}  # fmt: skip
