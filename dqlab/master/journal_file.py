"""A journal's file: made, opened, checked and locked; what is in it, and what one transaction writes.

It is SQLite with a write-ahead log, so that whoever looks into it sees the last transaction while the next is written:

    FILE             the tables (`journal_tables`), readable by their owner only
    FILE-wal, -shm   SQLite's own; they belong to it
    FILE.lock        held by the master that writes
    FILE.connection  the connection file, by which its workers and clients find it again
    FILE.v1          a copy of it as it was before a newer dqlab, which has other tables, took it up

`sync` "normal" survives the death of processes, a power cut may cost the last moments; "full" survives that too, with
an fsync for each transaction.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from dqlab.broker.changes import Batch
from dqlab.broker.revival import Remains
from dqlab.errors import BadInput, DqlabError
from dqlab.master.journal_tables import (
    APPLICATION,
    SCHEMA,
    UPGRADES,
    VERSION,
    apply_batch,
    read_fact,
    read_remains,
    write_fact,
)

__all__ = ["JournalFile", "beside", "compact", "read_journal"]

#: bytes of a master's id
ID_BYTES = 8
#: transactions after which functions that no run needs are swept out
SWEEP = 1_000
#: pages of 4 KiB that the write-ahead log may hold before they go into the tables, with an fsync
LOG_PAGES = 8_000
#: what to do about a file that is no journal
ANOTHER = "name another file, or remove this one"


def beside(path: Path, what: str) -> Path:
    """A file that belongs to a journal: "connection", "lock", or "v1" for the copy of one of that version."""
    return path.with_name(f"{path.name}.{what}")


class JournalFile:
    """The open journal of one master; `life` is which of its lives this is, from 0."""

    def __init__(self, path: Path, sync: str) -> None:
        self.path = path
        self._lock = _lock(path)
        try:
            if not path.exists():
                _make(path)
            self._db = _open(path, "rw")
            _upgrade(self._db, path)
            self._db.execute(f"PRAGMA synchronous = {sync.upper()}")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            self.id = str(read_fact(self._db, "id"))
        except BaseException:
            self._lock.close()
            raise
        self._writes = 0

    def remains(self) -> Remains:
        """What the last master has left."""
        with _told(self.path):
            return read_remains(self._db)

    def begin(self, now: float) -> None:
        """Another life begins; `DqlabError` if nothing can be written."""
        with _told(self.path):
            write_fact(self._db, "lives", (read_fact(self._db, "lives") or 0) + 1)
            write_fact(self._db, "began", now)

    def write(self, batches: Iterable[Batch]) -> None:
        """Write all of them in one transaction, or raise `DqlabError` and have written nothing."""
        self._writes += 1
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for batch in batches:
                apply_batch(self._db, batch)
            if self._writes % SWEEP == 0:
                needed = "SELECT function FROM runs WHERE payload IS NOT NULL"
                self._db.execute(f"DELETE FROM functions WHERE digest NOT IN ({needed})")
            self._db.execute("COMMIT")
        except BaseException as exc:
            with _told(self.path):
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise exc

    @property
    def size(self) -> int:
        """Bytes that are in use: what was deleted makes room for what comes."""
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def close(self) -> None:
        """Close it, and let another master have it."""
        self._db.close()
        self._lock.close()


def read_journal(path: Path) -> sqlite3.Connection:
    """A connection for reading a journal that a master may be writing; `BadInput` if it is none."""
    if not path.exists():
        raise BadInput(f"there is no journal {path}")
    return _open(path, "ro")


def compact(path: Path) -> tuple[int, int]:
    """Give back the room of what was deleted; return the bytes before and after. `BadInput` while a master has it."""
    read_journal(path).close()
    before = path.stat().st_size
    with contextlib.closing(_lock(path)), contextlib.closing(_open(path, "rw")) as db, _told(path):
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, path.stat().st_size


def _lock(path: Path) -> sqlite3.Connection:
    """Keep other masters out, until the connection is closed or this process ends, however it does."""
    lock = beside(path, "lock")
    try:
        # A file of its own, locked as SQLite locks: on every system, and ended with its process.
        db = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
        os.chmod(lock, 0o600)
        db.execute("BEGIN EXCLUSIVE")
        return db
    except sqlite3.OperationalError as exc:
        if "locked" in str(exc):
            raise BadInput(f"another master has the journal {path}", "end it first, or name another file") from None
        raise BadInput(f"journal {path}: {exc}", "is its folder there, and may it be written?") from None
    except OSError as exc:
        raise BadInput(f"journal {path}: {exc.strerror}", "is its folder there, and may it be written?") from None


def _make(path: Path) -> None:
    with _appears_whole(path) as temporary:
        with _told(path), contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as db:
            db.executescript(f"BEGIN; {SCHEMA} COMMIT;")
            write_fact(db, "id", secrets.token_hex(ID_BYTES))
        for rest in ("-wal", "-shm"):  # of an earlier journal of that name, of which somebody has removed the tables
            path.with_name(path.name + rest).unlink(missing_ok=True)


def _upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of this version of older ones, and keep a copy of those."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    with _told(path):
        with _appears_whole(beside(path, f"v{version}")) as temporary:
            db.execute("VACUUM INTO ?", (str(temporary),))
        steps = " ".join(UPGRADES[older] for older in range(version, VERSION))
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")


@contextlib.contextmanager
def _appears_whole(path: Path) -> Iterator[Path]:
    """A file that is made under another name, 0600, and has its own once it is whole."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(fd)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """The journal at `path`, once everything about it is as it should be."""
    if mode == "rw" and not os.access(path, os.W_OK):
        raise BadInput(f"journal {path} may not be written", "give yourself the right to, or name another file")
    try:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            _check(db, path)
            if mode == "rw":
                db.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            db.close()
            raise
        return db
    except sqlite3.Error as exc:
        raise BadInput(f"{path} is not a journal of dqlab, or it is damaged: {exc}", ANOTHER) from None


def _check(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise BadInput(f"{path} is not a journal of dqlab", ANOTHER)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise BadInput(f"journal {path} is of version {version}, this dqlab knows {VERSION}", "upgrade dqlab")
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise BadInput(f"journal {path} is damaged: {found}", "take a copy of it that is whole")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors (no space left, no permission) into ours."""
    try:
        yield
    except sqlite3.Error as exc:
        raise DqlabError(f"cannot write the journal {path}: {exc}", "make room, or mend that") from exc
