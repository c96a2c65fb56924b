"""Where pictures lie until they have their names: a folder within the crawl's own, written by those who fetch them.

A worker on the machine of the crawl, or on one that shares its disk, finds that folder and writes into it; what remains
to be done is to rename the file. One that doesn't find it sends the bytes along with its outcome.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Landed", "Landing", "land", "remove"]

#: how a file is made that isn't there yet
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
#: what tells the files of this process from those of others, on other machines too, and from each other
ORIGIN, NUMBERS = secrets.token_hex(4), itertools.count()


@dataclass(frozen=True)
class Landed:
    """A body that has landed: the name of its file, how many bytes it has, and their SHA-256."""

    name: str
    bytes: int
    sha256: str


def land(body: bytes, place: str) -> Landed | None:
    """Write `body` into the folder `place` of some crawl; None if that isn't here, or can't be written to."""
    landed = Landed(f"{ORIGIN}-{os.getpid()}-{next(NUMBERS)}", len(body), hashlib.sha256(body).hexdigest())
    path = os.path.join(place, landed.name)
    try:
        file = os.open(path, NEW)
        try:
            whole = os.write(file, body) == len(body)
        finally:
            os.close(file)
    except OSError:
        whole = False
    if not whole:
        with suppress(OSError):
            os.unlink(path)
    return landed if whole else None


class Landing:
    """The folder `place` of one crawl; nobody else can have one of its name."""

    def __init__(self, place: Path) -> None:
        self.place = Path(f"{place}{secrets.token_hex(8)}").absolute()
        self.place.mkdir()

    def file(self, landed: Landed) -> str:
        """Where a picture lies; in this folder, whatever a worker says."""
        return os.path.join(self.place, os.path.basename(landed.name))

    def leave(self, landed: Landed | None) -> None:
        """Throw away what is still there of a picture."""
        if landed:
            with suppress(FileNotFoundError):
                os.unlink(self.file(landed))


def remove(place: Path) -> None:
    """Remove the folder `place`; who comes too late to write into it sends the bytes."""
    with suppress(OSError):  # under another name nobody finds it, and fills it again while it is emptied
        place = place.rename(place.with_name(f"{place.name}-gone"))
    shutil.rmtree(place, ignore_errors=True)
