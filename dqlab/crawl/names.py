"""File names for pictures: readable, valid on every system, and never a way out of the folder.

names("http://host/dunes/01.jpg", "image/jpeg")     -> "dunes-01.jpg", then "dunes-01-8b1f2c3d.jpg", ...
"""

from __future__ import annotations

import hashlib
import itertools
import posixpath
import re
import time
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from dqlab.crawl.kinds import KINDS

__all__ = ["dated", "folded", "has_picture_name", "names"]

#: the endings that fit a content type, the first one for names without
SUFFIXES: dict[str, tuple[str, ...]] = {}
for kind in KINDS.values():
    SUFFIXES[kind.content_type] = SUFFIXES.get(kind.content_type, ()) + kind.suffixes
UNKNOWN = (".img",)
#: the end of an address, or of one before its query, that promises a picture
PICTURE_NAME = re.compile(
    rf"[^?#\s]*\.(?:{'|'.join(sorted({suffix[1:] for some in SUFFIXES.values() for suffix in some}))})(?:[?#]\S*)?",
    re.IGNORECASE,
)
#: bytes in UTF-8 of a name without its ending; every file system takes 255 in all
LONGEST = 120
#: names that Windows takes for devices, whatever ending they have
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def names(url: str, content_type: str) -> Iterator[str]:
    """Yield file names for the picture at `url`: the plain one, then ones that no other address gets."""
    parts = urlsplit(url)
    path = unquote(parts.path, errors="replace").rstrip("/")
    suffixes = SUFFIXES.get(content_type, UNKNOWN)
    bare, suffix = posixpath.splitext(path)
    if (suffix := suffix.lower()) in suffixes:
        path = bare
    else:  # a name must not promise what the file isn't
        suffix = suffixes[0]
    query = "-" + unquote(parts.query, errors="replace") if parts.query else ""
    stem = clean(path + query)
    yield stem + suffix
    mark = hashlib.sha256(url.encode()).hexdigest()
    for length in (8, 16, 64):
        yield f"{stem}-{mark[:length]}{suffix}"


def dated(name: str, when: time.struct_time) -> Iterator[str]:
    """Yield names for a picture that `name` stood for until `when`: "a.2026-01-31.png", then with the time of day."""
    path = PurePosixPath(name)
    yield f"{path.stem}.{time.strftime('%Y-%m-%d', when)}{path.suffix}"
    stamp = time.strftime("%Y-%m-%d-%H%M%S", when)
    yield f"{path.stem}.{stamp}{path.suffix}"
    for number in itertools.count(2):
        yield f"{path.stem}.{stamp}-{number}{path.suffix}"


def has_picture_name(reference: str) -> bool:
    """Say whether `reference`, an address or a part of one, ends like the name of a picture ("a/b.jpg?w=3")."""
    return PICTURE_NAME.fullmatch(reference.strip()) is not None


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
