"""Who writes the journal: what a peer is told waits until what it is told of is written.

    a call changes the broker ──> its word waits ──┐
    another one ──> its word waits ────────────────┴──> one transaction ──> the words are told
                    (meanwhile more changes come, and go into the next)

Whoever has a word to say and finds nobody writing writes itself; else whoever writes takes the word along with the next
transaction. Nobody has the broker's lock while the disk works. What is not written stays in memory, in its order, and
is tried again: its words are not told before.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from dqlab.broker.changes import Batch, Changes
from dqlab.master.journal_file import JournalFile

__all__ = ["Journal", "Word"]

#: seconds after which what changed is written though nobody waits for it, or tried again when that went wrong
LATEST = 0.25
#: transactions after which the size of the file is looked at
LOOK = 100

log = logging.getLogger("dqlab")


class Word(NamedTuple):
    """Something that a peer is told once it is written; or `refuse(why)`, if there is that, when it can't be."""

    tell: Callable[[], None]
    refuse: Callable[[str], None] | None = None


class Journal:
    """Writes what `changes` says into `file`, of at most `most` bytes; `do(method)` runs one under the broker's lock.

    `recovered()` is called, under the lock, when there is room again.
    """

    def __init__(
        self, file: JournalFile, changes: Changes, most: int, do: Callable[..., object], recovered: Callable[[], None]
    ) -> None:
        self.trouble = ""  #: why nothing can be written now
        self._file, self._changes, self._most, self._do, self._recovered = file, changes, most, do, recovered
        self._words: deque[Word] = deque()
        self._unwritten: list[Batch] = []
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._writes = 0
        self._size = file.size
        threading.Thread(target=self._keep_writing, name="dqlab-journal", daemon=True).start()

    @property
    def behind(self) -> bool:
        """Whether something has changed that is not written."""
        return bool(self._unwritten or self._changes) or self._writing.locked()

    @property
    def full(self) -> str:
        """Why no more tasks are taken in; "" if there is room."""
        if self.trouble:
            return f"nothing can be accepted now: {self.trouble}"
        if self._size > self._most:
            return (
                f"the journal holds {self._size:,} bytes, of {self._most:,} at most; give it more with journal_bytes="
            )
        return ""

    def stats(self) -> dict[str, Any]:
        """Its file, the bytes that are in use there as they were a moment ago, and what is wrong ("" if nothing)."""
        return {"file": str(self._file.path), "bytes": self._size, "trouble": self.trouble}

    def after(self, words: list[Word]) -> None:
        """Tell `words`, in whatever thread, once all that has changed by now is written."""
        if self._closed:
            return
        self._words.extend(words)
        self._write_if_nobody_does()

    def catch_up(self) -> None:
        """Return once all that has changed by now is written, or can't be."""
        if self.behind and not self._write_if_nobody_does():
            done = threading.Event()
            self.after([Word(done.set, lambda why: done.set())])
            while not (done.wait(LATEST) or self._closed):
                pass

    def _write_if_nobody_does(self) -> bool:
        if not self._writing.acquire(blocking=False):
            return False
        try:
            if not self._closed:
                self._write()
        finally:
            self._writing.release()
        if self._words:  # others came meanwhile: they shall not keep this thread
            self._wake.set()
        return True

    def _keep_writing(self) -> None:
        while not self._closed:
            self._wake.wait(LATEST)
            self._wake.clear()
            with self._writing:
                if not self._closed and (self._words or self._unwritten or self._changes):
                    self._write()
            if self._words and not self.trouble:
                self._wake.set()

    def _write(self) -> None:
        """One transaction, with all that has changed by now; then tell who waited for it."""
        words = [self._words.popleft() for _ in range(len(self._words))]
        self._do(self._take)  # after that: what the words are about is in it
        try:
            if self._unwritten:
                self._file.write(self._unwritten)
                self._look()
        except Exception as exc:  # a full disk, or whatever else: who waits must hear of it
            if not self.trouble:
                log.error("%s", exc, extra={"action": "journal"})
            self.trouble = str(exc)
            self._words.extendleft(word for word in reversed(words) if word.refuse is None)
            for word in words:
                if word.refuse is not None:
                    word.refuse(self.full)
            return
        self._unwritten.clear()
        if self.trouble:
            self.trouble = ""
            self._do(self._recovered)
        for word in words:
            word.tell()

    def _take(self) -> None:
        if self._changes:
            self._unwritten.append(self._changes.take())

    def _look(self) -> None:
        self._writes += 1
        full = self._size > self._most
        if full or self._writes % LOOK == 0:
            self._size = self._file.size
        if full and self._size <= self._most:
            self._do(self._recovered)

    def close(self) -> None:
        """Write the rest; what is said from now on is not told any more, as what it is about is not written."""
        with self._writing:
            if not self._closed:
                self._write()
                self._closed = True
                self._file.close()
