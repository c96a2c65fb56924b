"""The folder that a crawl fills: pictures, and `manifest.jsonl` with a line for each of them.

A picture is written under a temporary name, then renamed, then gets its line, appended and flushed: whatever kills the
crawl, a finished picture stays known, and at worst the last line is torn, which reading skips. Opening and closing
write the manifest anew (again by renaming), one line for each address. One crawl at a time writes a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dqlab.crawl.images import Image
from dqlab.crawl.names import folded, names
from dqlab.errors import BadInput, DqlabError

__all__ = ["MANIFEST", "Entry", "Store", "read_manifest"]

MANIFEST = "manifest.jsonl"
#: what the name of an unfinished file begins with
PART = ".dqlab-part-"


@dataclass(frozen=True)
class Entry:
    """A line of the manifest. `path` is relative to the folder, `seconds` what the download took, `error` why not."""

    url: str
    path: str | None
    bytes: int
    sha256: str | None
    content_type: str | None
    seconds: float
    worker: str | None
    error: str | None

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


class Store:
    """The folder `out`, made if need be. A context manager, as leaving it tidies the folder up."""

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self.folder = Path(out)
        with writing(self.folder):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise BadInput(f"{self.folder} is not a folder", "name another --out") from error
            self._unlock = weakref.finalize(self, unlock, lock(self.folder))
            try:
                self._open()
            except BaseException:  # whose traceback may keep this object, and so the lock, for long
                self._unlock()
                raise

    def _open(self) -> None:
        """Learn what is here, and begin to write."""
        self.entries = {entry.url: entry for entry in read_manifest(self.folder)}
        self._sweep()
        self._taken = {folded(path.name) for path in self.folder.iterdir()} | {folded(MANIFEST)}
        self._owned = {folded(entry.path) for entry in self.entries.values() if entry.path}
        self._rewrite()
        self._manifest = open(self.folder / MANIFEST, "a", encoding="utf-8", newline="\n")

    def has(self, url: str) -> bool:
        """Say whether the picture at `url` lies here, whole."""
        entry = self.entries.get(url)
        if entry is None or entry.error is not None or entry.path is None:
            return False
        file = self.folder / entry.path
        return file.is_file() and file.stat().st_size == entry.bytes

    def add(self, image: Image) -> Entry:
        """Keep `image`, or the reason why there is none, and return its line."""
        path, size, digest = None, 0, None
        with writing(self.folder):
            if image.error is None:
                path, size, digest = self._name(image), len(image.body), hashlib.sha256(image.body).hexdigest()
                self._write(path, image.body)
                self._taken.add(folded(path))
                self._owned.add(folded(path))
            seconds = round(image.seconds, 4)
            entry = Entry(image.url, path, size, digest, image.content_type, seconds, image.worker, image.error)
            self.entries[image.url] = entry
            self._manifest.write(entry.line())
            self._manifest.flush()
        return entry

    def close(self) -> None:
        """Leave the folder without temporary files and with one line for each address."""
        try:
            with writing(self.folder):
                self._manifest.close()
                self._sweep()
                self._rewrite()
        finally:
            self._unlock()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.folder} with {sum(entry.error is None for entry in self.entries.values())} pictures>"

    def _name(self, image: Image) -> str:
        """Choose the file name: the one this address had, or the first that is free or holds the same already."""
        before = self.entries.get(image.url)
        for name in names(image.url, image.content_type or ""):
            if folded(name) not in self._taken or (before and before.path == name):
                return name
            # written by a crawl that was killed before it could write the line
            if folded(name) not in self._owned and self._holds(name, image.body):
                return name
        raise DqlabError(f"every name for {image.url} is taken in {self.folder}", "crawl into an empty folder")

    def _holds(self, name: str, body: bytes) -> bool:
        file = self.folder / name
        return file.is_file() and not file.is_symlink() and file.read_bytes() == body

    def _write(self, name: str, body: bytes) -> None:
        part = self.folder / f"{PART}{name}"
        try:
            part.write_bytes(body)
            os.replace(part, self.folder / name)
        finally:
            part.unlink(missing_ok=True)

    def _rewrite(self) -> None:
        self._write(MANIFEST, "".join(entry.line() for entry in self.entries.values()).encode())

    def _sweep(self) -> None:
        for part in self.folder.glob(f"{PART}*"):
            part.unlink(missing_ok=True)


def read_manifest(folder: Path) -> list[Entry]:
    """Return the lines of the manifest in `folder`, the last one of each address; what is no such line is left out."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    entries: dict[str, Entry] = {}
    for line in text.split("\n"):
        if entry := parsed(line):
            entries[entry.url] = entry
    return list(entries.values())


def parsed(line: str) -> Entry | None:
    """Return the line's entry; None if it is torn or can't be ours, above all if its path isn't a plain name."""
    try:
        fields: dict[str, Any] = json.loads(line)
        entry = Entry(**fields)
        path = fields["path"]
        plain = path is None or (path == Path(path).name and path != MANIFEST)
    except (ValueError, TypeError):
        return None
    return entry if plain and isinstance(fields["url"], str) else None


def lock(folder: Path) -> int | None:
    """Keep other crawls out of `folder` until `unlock`, or until this process ends, however it does."""
    try:
        import fcntl
    except ImportError:  # Windows, where nobody replaces a manifest that another has open
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DqlabError(f"another crawl writes in {folder}", "wait for its end, or name another --out") from None
    except OSError:  # a file system that knows no locks
        pass
    return descriptor


def unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the system's errors (no space left, no permission) into ours."""
    try:
        yield
    except OSError as error:
        hint = "what has arrived stays; name another --out, or mend that and go on"
        raise DqlabError(f"can't write in {folder}: {error.strerror or error}", hint) from error
