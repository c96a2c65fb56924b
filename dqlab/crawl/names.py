"""File names for pictures: readable, valid on every system, and never a way out of the folder.

names("http://host/dunes/01.jpg", "image/jpeg")     -> "dunes-01.jpg", then "dunes-01-8b1f2c3d.jpg", ...
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

__all__ = ["folded", "names"]

#: the endings that fit a content type, the first one for names without
JPEG, PNG = (".jpg", ".jpeg", ".jpe", ".jfif"), (".png",)
SUFFIXES = {
    "image/jpeg": JPEG,
    "image/jpg": JPEG,  # no such type, but many servers say it; the same with x-png
    "image/pjpeg": JPEG,
    "image/png": PNG,
    "image/x-png": PNG,
    "image/apng": (".apng", ".png"),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/avif": (".avif",),
    "image/heic": (".heic",),
    "image/jxl": (".jxl",),
    "image/bmp": (".bmp",),
    "image/x-ms-bmp": (".bmp",),
    "image/tiff": (".tif", ".tiff"),
    "image/svg+xml": (".svg",),
    "image/x-icon": (".ico",),
    "image/vnd.microsoft.icon": (".ico",),
}
UNKNOWN = (".img",)
#: bytes in UTF-8 of a name without its ending; every file system takes 255 in all
LONGEST = 120
#: names that Windows takes for devices, whatever ending they have
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def names(url: str, content_type: str) -> Iterator[str]:
    """Yield file names for the picture at `url`: the plain one, then ones that no other address gets."""
    parts = urlsplit(url)
    path = PurePosixPath(unquote(parts.path, errors="replace"))
    suffixes = SUFFIXES.get(content_type, UNKNOWN)
    suffix = path.suffix.lower()
    if suffix in suffixes:
        path = path.with_suffix("")
    else:  # a name must not promise what the file isn't
        suffix = suffixes[0]
    query = "-" + unquote(parts.query, errors="replace") if parts.query else ""
    stem = clean(str(path) + query)
    yield stem + suffix
    mark = hashlib.sha256(url.encode()).hexdigest()
    for length in (8, 16, 64):
        yield f"{stem}-{mark[:length]}{suffix}"


def clean(text: str) -> str:
    """Return `text` as one name: letters, digits, and `-_.` within; its end kept if it is too long."""
    letters = unicodedata.normalize("NFKC", text)
    kept = (letter if letter in "_." or unicodedata.category(letter)[0] in "LMN" else "-" for letter in letters)
    name = re.sub("-+", "-", "".join(kept)).strip("-.")
    name = name.encode()[-LONGEST:].decode(errors="ignore").strip("-.")
    return f"_{name}" if DEVICES.match(name) else name or "picture"


def folded(name: str) -> str:
    """Return what two names share that are one to a file system which ignores case."""
    return unicodedata.normalize("NFKC", name).casefold()
