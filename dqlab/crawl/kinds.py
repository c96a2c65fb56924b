"""What a file is, by its bytes: one table of beginnings, and whether the end of it is there.

kind_of(body)        -> Kind("image/png", (".png", ".apng")), or None if it is no picture
fault(body)          -> "its end is missing", or None if the picture is whole
described(body)      -> "a web page", for what is no picture
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from dqlab.crawl import ends

__all__ = ["Kind", "described", "fault", "is_web_page", "kind_of"]

CUT = "its end is missing"
#: bytes at the beginning in which a file shows what it is
HEAD = 4096
#: the brands of ISO base media files that are pictures, and what they are
BRANDS = {
    b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"heim": "heic", b"heis": "heic",
    b"hevc": "heic", b"hevx": "heic", b"mif1": "heic", b"msf1": "heic",
}  # fmt: skip
#: what may stand before the first element of an XML document
PROLOGUE = rb"(?:\xef\xbb\xbf)?(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE(?!\s+html)[^>\[]*(?:\[.*?\]\s*)?>)*"
SVG = re.compile(PROLOGUE + rb"<(?:\w+:)?svg[\s/>]", re.DOTALL | re.IGNORECASE)
#: elements with which HTML begins, with or without a head
TAGS = rb"html|head|body|title|script|style|meta|link|base|center|div|span|p|a|img|h[1-6]|br|hr|table|ul|form|iframe"
HTML = re.compile(PROLOGUE + rb"<(?:!doctype html|(?:" + TAGS + rb")[\s/>])", re.DOTALL | re.IGNORECASE)
#: the sizes that the second header of a BMP may have, in bytes
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


@dataclass(frozen=True)
class Kind:
    """A kind of picture: its content type, the endings that fit (the first for names without), and how it ends."""

    content_type: str
    suffixes: tuple[str, ...]
    #: says whether a body of this kind has its end
    is_whole: Callable[[bytes], bool] = lambda body: True


KINDS = {
    "png": Kind("image/png", (".png", ".apng"), ends.png_ends),
    "jpeg": Kind("image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), ends.jpeg_ends),
    "gif": Kind("image/gif", (".gif",), ends.gif_ends),
    "webp": Kind("image/webp", (".webp",), ends.riff_ends),
    "avif": Kind("image/avif", (".avif", ".avifs"), ends.boxes_end),
    "heic": Kind("image/heic", (".heic", ".heif", ".hif"), ends.boxes_end),
    "jxl": Kind("image/jxl", (".jxl",)),
    "jxl boxes": Kind("image/jxl", (".jxl",), ends.boxes_end),
    "jp2": Kind("image/jp2", (".jp2", ".jpf", ".jpx"), ends.boxes_end),
    "j2k": Kind("image/j2c", (".j2k", ".j2c", ".jpc"), ends.j2k_ends),
    "jxr": Kind("image/jxr", (".jxr", ".wdp", ".hdp"), ends.tiff_ends),
    "bmp": Kind("image/bmp", (".bmp", ".dib"), ends.bmp_ends),
    "tiff": Kind("image/tiff", (".tif", ".tiff"), ends.tiff_ends),
    "ico": Kind("image/x-icon", (".ico",), ends.icons_end),
    "cur": Kind("image/x-icon", (".cur",), ends.icons_end),
    "psd": Kind("image/vnd.adobe.photoshop", (".psd", ".psb"), ends.psd_ends),
    "qoi": Kind("image/qoi", (".qoi",), ends.qoi_ends),
    "svg": Kind("image/svg+xml", (".svg",), ends.svg_ends),
    "svgz": Kind("image/svg+xml", (".svgz",), ends.svgz_ends),
}
#: where the beginning lies, the beginning, and the kind that has it
MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (8, b"WEBPVP8", "webp"),
    (0, b"\xff\x0a", "jxl"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "jxl boxes"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (0, b"\xff\x4f\xff\x51", "j2k"),
    (0, b"II\xbc\x01", "jxr"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"\0\0\1\0", "ico"),
    (0, b"\0\0\2\0", "cur"),
    (0, b"8BPS", "psd"),
    (0, b"qoif", "qoi"),
)
#: the same for what is no picture, in words
OTHERS = (
    (4, b"ftyp", "a film"),
    (0, b"\x1aE\xdf\xa3", "a film"),
    (8, b"AVI ", "a film"),
    (0, b"FLV", "a film"),
    (0, b"OggS", "a sound"),
    (0, b"ID3", "a sound"),
    (8, b"WAVE", "a sound"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\3\4", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data"),
)


def looks_like_bmp(body: bytes) -> bool:
    """Whether what begins with BM has a header that a BMP may have."""
    return len(body) >= 18 and body[14] in BMP_HEADERS


def looks_like_icons(body: bytes) -> bool:
    """Whether a list of icons begins here: a Targa picture has the same first bytes."""
    count, first = int.from_bytes(body[4:6], "little"), int.from_bytes(body[18:22], "little")
    return count > 0 and (len(body) < 22 or first >= 6 + 16 * count)


#: a second look at what begins with few bytes
LOOKS = {"bmp": looks_like_bmp, "ico": looks_like_icons, "cur": looks_like_icons}


def kind_of(body: bytes) -> Kind | None:
    """Return what kind of picture `body` is by its first bytes; None if it is none that is known."""
    for offset, magic, name in MAGIC:
        if body.startswith(magic, offset) and LOOKS.get(name, bool)(body):
            return KINDS[name]
    if body[4:8] == b"ftyp":
        brands = [body[8:12], *(body[at : at + 4] for at in range(16, min(int.from_bytes(body[:4], "big"), HEAD), 4))]
        name = next((BRANDS[brand] for brand in brands if brand in BRANDS), "")
        return KINDS.get("avif" if b"avif" in brands else name)
    if body.startswith(b"\x1f\x8b"):
        return KINDS["svgz"] if SVG.match(unpacked(body[:HEAD])) else None
    return KINDS["svg"] if SVG.match(ends.narrow(body[:HEAD])) else None


def fault(body: bytes) -> str | None:
    """Return why the picture in `body` isn't whole; None if nothing speaks against it."""
    kind = kind_of(body)
    if not body:
        return "it is empty"
    if kind is None:
        return f"{described(body)}, not a picture"
    return None if kind.is_whole(body) else CUT


def described(body: bytes) -> str:
    """Return in a few words what `body` is that is no picture."""
    for offset, magic, words in OTHERS:
        if body.startswith(magic, offset):
            return words
    if is_web_page(body):
        return "a web page"
    if body.lstrip()[:1] == b"<":
        return "XML"
    if body.lstrip()[:1] in (b"{", b"["):
        return "JSON"
    return "text" if b"\0" not in body[:HEAD] and body[:HEAD].isascii() else "something unknown"


def is_web_page(body: bytes) -> bool:
    """Say whether `body` begins as HTML does."""
    return HTML.match(body[:HEAD]) is not None


def unpacked(start: bytes) -> bytes:
    """Return what the `start` of a gzip file unpacks to, as far as it goes."""
    try:
        return zlib.decompressobj(wbits=31).decompress(start, HEAD)
    except zlib.error:
        return b""
