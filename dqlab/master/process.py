"""The master process: from settings to a serving master, until it is told to end or its owner is gone."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from dqlab.broker.broker import Broker
from dqlab.errors import BadInput, LaunchFailed
from dqlab.master.journal_file import JournalFile, beside
from dqlab.master.manager import register_names
from dqlab.master.peer import ControlLines
from dqlab.master.settings import MasterSettings
from dqlab.master.waiting_calls import WaitingCalls
from dqlab.process.signals import on_end_signals
from dqlab.version import __version__
from dqlab.wire.address import place
from dqlab.wire.connection_file import Connection, runtime_dirs

__all__ = ["RunningMaster", "run_master"]

#: bytes of a random key
KEY_BYTES = 32


class RunningMaster:
    """A master that serves in this process, with its connection file; `close()` ends both."""

    def __init__(self, settings: MasterSettings) -> None:
        settings.check()
        if settings.journal is None:
            self._serve(settings, None)
            return
        journal = JournalFile(settings.journal, settings.journal_sync)
        try:
            self._serve(_as_before(settings, beside(settings.journal, "connection")), journal)
        except BaseException:
            journal.close()
            raise

    def _serve(self, settings: MasterSettings, journal: JournalFile | None) -> None:
        key = settings.authkey or secrets.token_hex(KEY_BYTES).encode()
        broker = Broker(
            lease=settings.lease, max_attempts=settings.max_attempts, backlog=settings.backlog, pills=settings.pills,
            now=time.time(),
        )  # fmt: skip
        controls = ControlLines()
        self.waiting = WaitingCalls(broker, controls.send)
        about: dict[str, Any] = {"version": __version__, "pid": os.getpid()}
        about["id"] = journal.id if journal is not None else secrets.token_hex(8)
        about["journal"] = journal is not None
        about |= {"backlog": settings.backlog, "max_attempts": settings.max_attempts, "results": settings.results}
        try:
            manager = register_names(
                settings.task_name, settings.result_name, settings.plain_queues, settings.plain_events
            )
            self.server = manager(self.waiting, controls, (settings.host, settings.port), key, about).get_server()
        except OSError as exc:
            self.waiting.close()
            where = place(settings.host, settings.port)
            raise LaunchFailed(f"cannot serve at {where}: {exc.strerror or exc}", "another --host or --port?") from exc
        try:
            if journal is not None:
                self.waiting.keep(journal, settings.journal_bytes)
            host, port = self.server.listener.address  # type: ignore[attr-defined]
            self.connection = Connection(host, port, key, os.getpid(), __version__)
            self.file, self._stays = self._write_connections(settings)
        except BaseException:
            self.server.close()
            raise
        self.server.start()

    def _write_connections(self, settings: MasterSettings) -> tuple[Path, bool]:
        """Write the connection file where it was asked for, else at the first place that takes it.

        The one beside a journal is written in any case, and stays. Returns which one to tell, and whether it stays.
        """
        name, asked = f"dqlab-{os.getpid()}.json", settings.connection_file
        if settings.journal is not None:
            kept = self._write_connection([beside(settings.journal, "connection")])
            if asked is None:
                return kept, True
        return self._write_connection([asked] if asked is not None else [f / name for f in runtime_dirs()]), False

    def _write_connection(self, paths: list[Path]) -> Path:
        failures = []
        for path in paths:
            try:
                self.connection.write(path)
                return path
            except OSError as exc:
                failures.append(f"{path}: {exc.strerror or exc}")
        raise LaunchFailed(f"cannot write the connection file {failures[-1]}")

    def close(self) -> None:
        """Say goodbye to everybody, and remove the connection file if it is still ours."""
        if self.waiting.journal is not None:
            self.waiting.journal.close()  # before workers go: what they hold they will be given again
        self.server.close()
        with contextlib.suppress(BadInput):  # whatever lies there now is somebody else's
            if not self._stays and Connection.read(self.file) == self.connection:
                self.file.unlink(missing_ok=True)


def _as_before(settings: MasterSettings, file: Path) -> MasterSettings:
    """The settings, with the key, host and port of the last master on that journal, unless others are given."""
    if not file.exists():
        return settings
    last = Connection.read(file)
    settings = replace(
        settings,
        host=last.host if settings.host == MasterSettings.host else settings.host,
        port=settings.port or last.port,
        authkey=settings.authkey or last.authkey,
    )
    settings.check()
    return settings


def run_master(settings: MasterSettings, serving: Any, until: threading.Event) -> None:
    """Serve until `until` is set or a signal tells it to end; `serving(master)` is called once it does."""
    on_end_signals(until.set)
    master = RunningMaster(settings)
    try:
        serving(master)
        while not until.wait(1.0):
            pass
    finally:
        master.close()
