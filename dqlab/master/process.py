"""The master process: from settings to a serving master, until it is told to end or its owner is gone."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from dqlab import __version__
from dqlab.broker.broker import Broker
from dqlab.errors import BadInput, LaunchFailed
from dqlab.master.manager import QueueManager
from dqlab.master.peer import ControlLines
from dqlab.master.settings import MasterSettings
from dqlab.master.waiting_calls import WaitingCalls
from dqlab.process.signals import on_end_signals
from dqlab.wire.address import place
from dqlab.wire.connection_file import Connection, runtime_dirs

__all__ = ["RunningMaster", "run_master"]

#: bytes of a random key
KEY_BYTES = 32


class RunningMaster:
    """A master that serves in this process, with its connection file; `close()` ends both."""

    def __init__(self, settings: MasterSettings) -> None:
        settings.check()
        key = settings.authkey or secrets.token_hex(KEY_BYTES).encode()
        broker = Broker(
            lease=settings.lease, max_attempts=settings.max_attempts, backlog=settings.backlog, now=time.time()
        )
        controls = ControlLines()
        self.waiting = WaitingCalls(broker, controls.send)
        about: dict[str, Any] = {"version": __version__, "id": secrets.token_hex(8), "pid": os.getpid()}
        about |= {"backlog": settings.backlog, "max_attempts": settings.max_attempts, "results": settings.results}
        try:
            manager = QueueManager(self.waiting, controls, (settings.host, settings.port), key, about)
            self.server = manager.get_server()
        except OSError as exc:
            where = place(settings.host, settings.port)
            raise LaunchFailed(f"cannot serve at {where}: {exc.strerror or exc}", "another --host or --port?") from exc
        host, port = self.server.listener.address  # type: ignore[attr-defined]
        self.connection = Connection(host, port, key, os.getpid(), __version__)
        self.file = self._write_connection(settings.connection_file)
        self.server.start()

    def _write_connection(self, file: Path | None) -> Path:
        """Write the connection file where it was asked for, else at the first place that takes it."""
        name = f"dqlab-{os.getpid()}.json"
        failures = []
        for path in [file] if file is not None else [folder / name for folder in runtime_dirs()]:
            try:
                self.connection.write(path)
                return path
            except OSError as exc:
                failures.append(f"{path}: {exc.strerror or exc}")
        raise LaunchFailed(f"cannot write the connection file {failures[-1]}")

    def close(self) -> None:
        """Say goodbye to everybody, and remove the connection file if it is still ours."""
        self.server.close()
        with contextlib.suppress(BadInput):  # whatever lies there now is somebody else's
            if Connection.read(self.file) == self.connection:
                self.file.unlink(missing_ok=True)


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
