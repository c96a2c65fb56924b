"""The folder that a crawl fills: pictures, and `manifest.jsonl` with a line for each of them.

A picture is written under a temporary name (see `landing`), then renamed, then gets its line, appended and flushed:
whatever kills the crawl, a finished picture stays known. What is the same as a picture that is here gets a line only.
One crawl at a time writes a folder.
"""

from __future__ import annotations

import hashlib
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dqlab.crawl import kinds, landing
from dqlab.crawl.dimensions import dimensions
from dqlab.crawl.images import Image
from dqlab.crawl.landing import Landing
from dqlab.crawl.manifest import PART, VERSION, Entry, Manifest, mark
from dqlab.crawl.names import dated, folded, names
from dqlab.errors import BadInput, DqlabError

__all__ = ["Store"]


class Store:
    """
    The folder `out`, made if need be. A context manager, as leaving it tidies the folder up.

    `keep_duplicates`: a file for each address, though it holds what another one does. `keep_old`: a picture that has
    changed since is kept under a dated name.
    """

    def __init__(self, out: str | os.PathLike[str], *, keep_duplicates: bool = False, keep_old: bool = False) -> None:
        self.folder = Path(out)
        self.keep_duplicates, self.keep_old = keep_duplicates, keep_old
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
        self._sweep()
        self.landing = Landing(self.folder / PART)
        self.manifest = Manifest(self.folder)
        #: marks of the names of files here, whoever wrote them
        self._taken = {mark(folded(path.name)) for path in self.folder.iterdir()}

    def has(self, url: str) -> bool:
        """Say whether the picture at `url` lies here, whole."""
        return self.entry(url) is not None

    def entry(self, url: str) -> Entry | None:
        """Return the line of the picture at `url` if it lies here, whole."""
        entry = self.manifest.get(url)
        if entry is None or entry.error is not None or entry.path is None:
            return None
        file = self.folder / entry.path
        if not file.is_file() or file.stat().st_size != entry.bytes:
            return None
        return entry if entry.version >= VERSION else self._looked_at(entry, file.read_bytes())

    def add(self, image: Image, attempts: int = 1) -> Entry:
        """Keep `image`, or the reason why there is none, and return its line."""
        before = self.entry(image.url)
        if image.unchanged and before:
            return before
        if image.error is not None and before:  # what is here stays
            return entry_of(image, attempts)
        with writing(self.folder):
            entry = entry_of(image, attempts, *(self._place(image, before) if image.error is None else ()))
            self.manifest.add(entry)
        return entry

    def close(self) -> None:
        """Leave the folder without temporary files and with one line for each address."""
        try:
            with writing(self.folder):
                self._sweep()
                self.manifest.close()
        finally:
            self.manifest.abandon()
            self._unlock()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.folder} with {len(self.manifest.paths)} pictures>"

    def _looked_at(self, entry: Entry, body: bytes) -> Entry | None:
        """Return the line of an older version as one of today's if its file is a whole picture."""
        kind = kinds.kind_of(body)
        if kind is None or kinds.fault(body) or hashlib.sha256(body).hexdigest() != entry.sha256:
            return None
        width, height = dimensions(body) or (None, None)
        entry = replace(entry, content_type=kind.content_type, width=width, height=height, version=VERSION)
        self.manifest.add(entry)
        return entry

    def _place(self, image: Image, before: Entry | None) -> tuple[str, str | None, str | None]:
        """Write a picture where it belongs, unless its content is here; return its sum, path, and whose copy it is."""
        digest = image.landed.sha256 if image.landed else hashlib.sha256(image.body).hexdigest()
        if before and before.sha256 == digest:
            self.landing.leave(image.landed)
            return digest, before.path, before.duplicate_of
        if before:
            self._set_aside(before)
        twin = None if self.keep_duplicates else self.manifest.same(digest)
        if twin and twin.path and twin.url != image.url and self._holds(twin.path, image):
            self.landing.leave(image.landed)
            return digest, twin.path, twin.duplicate_of or twin.url
        path = self._name(image)
        self._write(path, image)
        self._taken.add(mark(folded(path)))
        return digest, path, None

    def _set_aside(self, before: Entry) -> None:
        """Make room for a new version of a picture: the file of the old one goes, or gets a dated name."""
        name = str(before.path)
        if mark(folded(name)) in self.manifest.shared:  # it is another address's too
            return
        file = self.folder / name
        if self.keep_old:
            when = time.localtime(file.stat().st_mtime)
            new = next(other for other in dated(name, when) if mark(folded(other)) not in self._taken)
            os.replace(file, self.folder / new)
            self._taken.add(mark(folded(new)))
        else:
            file.unlink()
        self._taken.discard(mark(folded(name)))

    def _name(self, image: Image) -> str:
        """Choose the file name: the one this address had, or the first that is free or holds the same already."""
        before = self.manifest.get(image.url)
        for name in names(image.url, image.content_type or ""):
            place = mark(folded(name))
            if place not in self._taken or (before and before.path == name and place not in self.manifest.shared):
                return name
            # written by a crawl that was killed before it could write the line
            if place not in self.manifest.paths and self._holds(name, image):
                return name
        raise DqlabError(f"every name for {image.url} is taken in {self.folder}", "crawl into an empty folder")

    def _holds(self, name: str, image: Image) -> bool:
        file = self.folder / name
        if not file.is_file() or file.is_symlink() or file.stat().st_size != image.size:
            return False
        return file.read_bytes() == (Path(self.landing.file(image.landed)).read_bytes() if image.landed else image.body)

    def _write(self, name: str, image: Image) -> None:
        part = self.landing.file(image.landed) if image.landed else os.path.join(self.folder, PART + name)
        try:
            if not image.landed:
                Path(part).write_bytes(image.body)
            os.replace(part, os.path.join(self.folder, name))
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    def _sweep(self) -> None:
        for part in list(self.folder.glob(f"{PART}*")):
            if part.is_dir():
                landing.remove(part)
            else:
                part.unlink(missing_ok=True)


def entry_of(
    image: Image, attempts: int, digest: str | None = None, path: str | None = None, duplicate_of: str | None = None
) -> Entry:
    """Return the line of `image`, which lies at `path`, or of the reason why there is none."""
    return Entry(
        url=image.url,
        path=path,
        bytes=image.size if digest else 0,
        sha256=digest,
        content_type=image.content_type,
        seconds=round(image.seconds, 4),
        worker=image.worker,
        error=image.error,
        width=image.width,
        height=image.height,
        referer=image.referer,
        etag=image.etag,
        last_modified=image.last_modified,
        duplicate_of=duplicate_of,
        attempts=attempts,
        version=VERSION,
    )


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
    """Let other crawls in."""
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
