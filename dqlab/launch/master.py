"""A master in a process of its own, owned by the notebook or script that starts it, which is a client of it too.

It is started with its settings, the key among them, on its standard input, and ends when that pipe does; nothing is on
a command line.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dqlab.client.client import Client
from dqlab.client.session import Session
from dqlab.errors import LaunchFailed
from dqlab.launch.launcher import START_TIMEOUT
from dqlab.master.settings import MasterSettings
from dqlab.process.owned_process import OwnedProcess
from dqlab.process.python_command import python_command
from dqlab.wire.connection_file import Connection, read_key

__all__ = ["Master"]


class Master(Client):
    """A master in a process of its own, and a client of it. The end of the `with` block ends its workers too.

    Takes what `dqlab master` takes (see `dqlab.master.settings`). `authkey` None means a random key; `authkey_file`
    names a file that holds one. With a `journal` the next master on that file (at most `journal_bytes`) goes on where
    this one was; `journal_sync` "normal" survives the death of processes, "full" a power cut too. `lease` in seconds.
    `results="plain"` is for workers that aren't trusted: results and exceptions are plain data then, and nothing that a
    worker sends is unpickled here. `pills` are stop signs of plain scripts besides None; the names are what such
    scripts register. `output` is that of `connect`.

    Raises `BadInput` for settings that make no sense, `LaunchFailed` with the process's own words if it fails.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, authkey: bytes | None = None,
        authkey_file: str | Path | None = None, connection_file: str | Path | None = None,
        journal: str | Path | None = None, journal_sync: str = "normal", journal_bytes: int = 4 << 30,
        lease: float = 15.0, max_attempts: int = 3, backlog: int = 2_000_000, results: str = "pickle",
        pills: Sequence[Any] = (), task_name: str = "get_task_queue", result_name: str = "get_result_queue",
        plain_queues: Sequence[str] = (), plain_events: Sequence[str] = (), insecure: bool = False,
        output: bool | None = None,
    ) -> None:  # fmt: skip
        settings = MasterSettings(
            host=host,
            port=port,
            authkey=read_key(authkey_file) if authkey_file is not None else authkey,
            connection_file=Path(connection_file).absolute() if connection_file is not None else None,
            journal=Path(journal).absolute() if journal is not None else None,
            journal_sync=journal_sync,
            journal_bytes=journal_bytes,
            lease=lease,
            max_attempts=max_attempts,
            backlog=backlog,
            results=results,
            pills=tuple(pills),
            task_name=task_name,
            result_name=result_name,
            plain_queues=tuple(plain_queues),
            plain_events=tuple(plain_events),
            insecure=insecure,
        )
        settings.check()
        said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._process = process = OwnedProcess(
            python_command("dqlab.cli", "master", "--owned"), settings.as_json(), lambda _, words: said.put(words)
        )
        unborn = weakref.finalize(self, _end_process, process)  # it is owned before it starts
        try:
            process.start()
            self._come_up(said, output)
            self.open_work.stays = settings.journal is not None
            self._finalizer = weakref.finalize(self, _let_go, self._session, process)
            unborn.detach()
        except BaseException:  # an interrupt, too
            unborn()
            if hasattr(self, "_finalizer"):
                self._finalizer.detach()
            if hasattr(self, "_session"):
                self._session.close()
            raise

    def _come_up(self, said: queue.SimpleQueue[dict[str, Any] | None], output: bool | None) -> None:
        """Wait until the process serves, and become a client of it."""
        process = self._process
        try:
            words = said.get(timeout=START_TIMEOUT)
        except queue.Empty:
            words = None
        if words is None or words.get("event") != "serving":
            process.end(1.0)
            raise LaunchFailed(f"the master did not come up: {process.words() or 'it said nothing'}")
        self.connection_file = Path(words["file"])
        super().__init__(Session(Connection.read(self.connection_file), lambda: not process.alive, output))

    @property
    def pid(self) -> int:
        """Process id of the master."""
        return self._process.pid

    def _close(self) -> None:
        self._finalizer()


def _end_process(process: OwnedProcess) -> None:
    process.kill()
    process.end()


def _let_go(session: Session, process: OwnedProcess) -> None:
    """End the master; one that nobody holds any more finishes first what it was given, as any executor does."""
    if not session.origin.is_here:
        return  # a forked copy of the owner ends, not the owner
    if session.closing or session.closed or session.open_work.all_ended():
        _end_master(session, process)
    else:
        threading.Thread(target=_finish, args=(session, process), name="dqlab-shutdown", daemon=False).start()


def _finish(session: Session, process: OwnedProcess) -> None:
    try:
        session.open_work.finish()
    finally:
        _end_master(session, process)


def _end_master(session: Session, process: OwnedProcess) -> None:
    launchers = session.open_work.launchers
    try:
        session.close()
        process.end()  # it says goodbye to its workers
        for launcher in launchers:
            launcher.stop()
    except BaseException:  # who interrupts this doesn't want to wait, and it won't be called again
        _end_process(process)
        for launcher in launchers:
            launcher.stop(0)
        raise
