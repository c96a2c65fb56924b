"""The desk: what workers and clients call, one at a time, and the broker behind it, which is told the time."""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from pathlib import Path
from typing import Any

__all__ = ["CALLS", "Desk"]

#: what may be called on a desk
CALLS = ("put", "get", "done", "ends")
#: seconds between two ticks
TICK = 0.1


class Desk:
    """Serves a broker of class `kind`, which is made from the records in a `journal` and writes more to its end."""

    def __init__(self, kind: type, journal: Path) -> None:
        self._lock = threading.Lock()
        self._workers: set[str] = set()
        self._trouble = ""
        records = list(_read(journal))
        self._file = journal.open("ab", buffering=0)  # a record is with the system, whole, when `write` returns
        kind = type(kind.__name__, (kind,), {"write": lambda _, record: self._file.write(pickle.dumps(record))})
        self._broker: Any = kind(journal=records) if records else kind()
        threading.Thread(target=self._tick, name="ticks", daemon=True).start()

    # -- what may be called: whoever calls is known by the name of the thread that serves the connection -----------

    def put(self, task: str) -> None:
        """A client puts a task."""
        with self._lock:
            self._broker.put(task)

    def get(self) -> Any:
        """A worker asks for a task."""
        with self._lock:
            worker = threading.current_thread().name
            self._workers.add(worker)
            return self._do(self._broker.get, worker, time.time())

    def done(self, task: str, result: str) -> None:
        """A worker brings a result."""
        with self._lock:
            self._do(self._broker.done, threading.current_thread().name, task, result, time.time())

    def ends(self) -> tuple[list[Any], list[Any], str]:
        """What a client wants to know: results, failed tasks, and the traceback of what went wrong meanwhile."""
        with self._lock:
            return list(self._broker.results), list(self._broker.failed), self._trouble

    # -- what nobody calls -----------------------------------------------------------------------------------------

    def hang_up(self, worker: str) -> None:
        """A connection has ended; perhaps it was a worker's."""
        with self._lock:
            if worker in self._workers:
                self._workers.remove(worker)
                self._do(self._broker.hang_up, worker, time.time())

    def _tick(self) -> None:
        while True:
            time.sleep(TICK)
            with self._lock:
                if hasattr(self._broker, "tick"):
                    self._do(self._broker.tick, time.time())

    def _do(self, method: Any, *args: Any) -> Any:
        """Call the broker; if it raises, a client is told, and the caller has no answer but None."""
        try:
            return method(*args)
        except Exception:
            self._trouble = self._trouble or traceback.format_exc()


def _read(journal: Path) -> Any:
    """The records that a file holds."""
    if journal.exists():
        with journal.open("rb") as file:
            while True:
                try:
                    yield pickle.load(file)
                except EOFError:
                    return
