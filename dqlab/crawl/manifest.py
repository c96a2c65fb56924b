"""`manifest.jsonl`: a line for each address that was fetched, appended while a crawl goes on.

Lines are found by the place where they begin, so that a million of them take a hundred megabytes and not two thousand.
A line that is torn, as the last one of a killed crawl may be, is passed over. If there are such lines, or several of
one address, opening and closing write the file anew (by renaming).
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dqlab.crawl.names import folded

__all__ = ["MANIFEST", "PART", "VERSION", "Entry", "Manifest", "mark", "read_manifest", "write_csv"]

MANIFEST, TABLE = "manifest.jsonl", "manifest.csv"
#: what the name of an unfinished file begins with
PART = ".dqlab-part-"
#: of a line; those before 2 were written without a look at the picture's bytes
VERSION = 2


@dataclass(frozen=True)
class Entry:
    """
    A line of the manifest: `url` is the address, `error` why there is no picture (None: there is one).

    `path` is relative to the folder, `bytes`, `sha256`, `width` and `height` (pixels; None: its bytes don't say) are
    the picture's, and so is `content_type`, whatever the server called it. `seconds` is how long the download took,
    `worker` who made it, `attempts` how often it was tried. `referer` is the page that showed it. `etag` and
    `last_modified` are what the server said of this version. A picture that is the same byte for byte as one that is
    here has that one's `path`, and `duplicate_of` is its address. `version` is that of the line.
    """

    url: str
    path: str | None
    bytes: int
    sha256: str | None
    content_type: str | None
    seconds: float
    worker: str | None
    error: str | None
    width: int | None = None
    height: int | None = None
    referer: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    duplicate_of: str | None = None
    attempts: int = 1
    version: int = 1

    def line(self) -> str:
        """Return it as JSON, with the line's end."""
        return json.dumps(vars(self)) + "\n"


class Manifest:
    """
    The manifest in `folder`, open for writing by one.

    `paths` and `shared` are the marks of the files that have a line, and of those that more than one address has.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / MANIFEST
        self._index()
        if self._stale:
            self._rewrite()
            self._index()
        self._lines, self._written = open(self.file, "ab"), open(self.file, "rb")

    def get(self, url: str) -> Entry | None:
        """Return the last line of `url`, if there is one."""
        entry = self._at(self._by_url.get(mark(url)))
        return entry if entry and entry.url == url else None

    def same(self, sha256: str) -> Entry | None:
        """Return a line of a picture with this content, if there is one."""
        entry = self._at(self._by_content.get(mark(sha256)))
        return entry if entry and entry.sha256 == sha256 else None

    def add(self, entry: Entry) -> None:
        """Append a line; it is on its way to the disk when this returns."""
        line = entry.line().encode()
        self._note(entry, self._end)
        self._end += len(line)
        self._lines.write(line)
        self._lines.flush()

    def close(self) -> None:
        """Leave one line for each address."""
        self.abandon()
        if self._stale:
            self._rewrite()

    def abandon(self) -> None:
        """Leave the file as it is."""
        self._lines.close()
        self._written.close()

    def _index(self) -> None:
        """Learn which line of the file is where."""
        self._by_url: dict[int, int] = {}
        self._by_content: dict[int, int] = {}
        self.paths, self.shared = set[int](), set[int]()
        self._stale, self._end = False, 0  # whether there are lines that no longer count, and the place of the next one
        for place, line in lines_of(self.file):
            if entry := parsed(line):
                self._note(entry, place)
            else:
                self._stale = True
            self._end = place + len(line)

    def _note(self, entry: Entry, place: int) -> None:
        url = mark(entry.url)
        self._stale |= url in self._by_url
        self._by_url[url] = place
        if entry.sha256 and entry.path:
            self._by_content.setdefault(mark(entry.sha256), place)
            (self.shared if entry.duplicate_of else self.paths).add(mark(folded(entry.path)))

    def _at(self, place: int | None) -> Entry | None:
        if place is None:
            return None
        self._written.seek(place)
        return parsed(self._written.readline())

    def _rewrite(self) -> None:
        """Write the file anew without the lines that another one of their address has followed."""
        kept = set(self._by_url.values())
        part = self.file.with_name(f"{PART}{MANIFEST}")
        try:
            with open(part, "wb") as new:
                new.writelines(line for place, line in lines_of(self.file) if place in kept)
            os.replace(part, self.file)
        finally:
            part.unlink(missing_ok=True)


def read_manifest(folder: Path) -> list[Entry]:
    """Return the lines of the manifest in `folder`, the last one of each address; what is no such line is left out."""
    return list({entry.url: entry for entry in entries_of(Path(folder) / MANIFEST)}.values())


def write_csv(folder: Path) -> Path:
    """Write the manifest in `folder` as a table beside it, and return its path."""
    file, part = folder / TABLE, folder / f"{PART}{TABLE}"
    try:
        with open(part, "w", encoding="utf-8", newline="") as table:
            rows = csv.DictWriter(table, [field.name for field in fields(Entry)])
            rows.writeheader()
            rows.writerows(vars(entry) for entry in entries_of(folder / MANIFEST))
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
    return file


def entries_of(file: Path) -> Iterator[Entry]:
    """Yield the lines of `file` that can be ours, several of one address among them."""
    for _, line in lines_of(file):
        if entry := parsed(line):
            yield entry


def lines_of(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line with the place where it begins."""
    try:
        lines = open(file, "rb")
    except FileNotFoundError:
        return
    place = 0
    with lines:
        for line in lines:
            yield place, line
            place += len(line)


def parsed(line: bytes) -> Entry | None:
    """Return the line's entry; None if it is torn or can't be ours, above all if its path isn't a plain name."""
    try:
        fields: dict[str, Any] = json.loads(line)
        entry = Entry(**fields)
        path = fields["path"]
        plain = path is None or (path == os.path.basename(path) and path not in ("", ".", "..", MANIFEST))
    except (ValueError, TypeError):
        return None
    return entry if plain and isinstance(fields["url"], str) else None


@functools.lru_cache(maxsize=64)  # of one picture's it is asked again and again
def mark(text: str) -> int:
    """Return eight bytes that stand for `text`."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest())
