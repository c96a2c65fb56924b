"""Processes that a notebook or script owns: the master, and workers on this machine.

Each is started with its settings, the key among them, on its standard input, and ends when that pipe does; nothing is
on a command line. `Launcher` is what local and remote workers have in common.
"""

from __future__ import annotations

import base64
import contextlib
import queue
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from dqlab.client import Session
from dqlab.errors import BadInput, LaunchFailed
from dqlab.executor import Client
from dqlab.files import Connection, read_key
from dqlab.messages import check_queue
from dqlab.process import STOP_TIMEOUT, OwnedProcess
from dqlab.serve import MasterSettings

__all__ = ["Launcher", "LocalWorkers", "Master", "worker_settings"]

#: seconds in which a process must have come up
START_TIMEOUT = 30.0


class Launcher(Protocol):
    """Workers that somebody here started, wherever they run."""

    @property
    def names(self) -> list[str]:
        """Names of the workers that have joined and live."""

    def wait(self, timeout: float | None = START_TIMEOUT) -> Any:
        """Until all have joined; `LaunchFailed` with their own words if one can't."""

    def add(self, n: int = 1) -> None:
        """Start ``n`` more."""

    def kill(self, which: str | None = None) -> str:
        """SIGKILL one and return its name."""

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """End all of them, after the task in hand."""


class Master(Client):
    """A master in a process of its own, and a client of it. The end of the ``with`` block ends its workers too.

    Takes what ``dqlab master`` takes. ``authkey`` None means a random key; ``authkey_file`` names a file that holds
    one. ``lease`` in seconds. Raises `LaunchFailed` with the process's own words if it does not come up.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, authkey: bytes | None = None,
        authkey_file: str | Path | None = None, connection_file: str | Path | None = None, lease: float = 15.0,
        max_attempts: int = 3, backlog: int = 2_000_000, insecure: bool = False,
    ) -> None:  # fmt: skip
        if authkey_file is not None:
            authkey = read_key(authkey_file)
        settings = {
            "host": host,
            "port": port,
            "authkey": base64.b64encode(authkey).decode() if authkey is not None else None,
            "connection_file": str(Path(connection_file).absolute()) if connection_file is not None else None,
            "lease": lease,
            "max_attempts": max_attempts,
            "backlog": backlog,
            "insecure": insecure,
        }
        file = Path(connection_file) if connection_file is not None else None
        MasterSettings(host, port, authkey, file, lease, max_attempts, backlog, insecure).check()
        self._process = OwnedProcess([sys.executable, "-m", "dqlab", "master", "--owned"], settings)
        try:
            self._come_up()
        except BaseException:  # an interrupt, too
            self._process.kill()
            self._process.end()
            raise
        self._finalizer = weakref.finalize(self, _end_master, self._session, self._process, self.launchers)
        self._finalizer.atexit = True

    def _come_up(self) -> None:
        """Wait until the process serves, and become a client of it."""
        process = self._process
        try:
            said = process.said.get(timeout=START_TIMEOUT)
        except queue.Empty:
            said = None
        if said is None or said.get("event") != "serving":
            process.end(1.0)
            raise LaunchFailed(f"the master did not come up: {process.words() or 'it said nothing'}")
        self.connection_file = Path(said["file"])
        super().__init__(Session(Connection.read(self.connection_file), lambda: not process.alive))

    @property
    def pid(self) -> int:
        """Process id of the master."""
        return self._process.pid

    def _close(self) -> None:
        self._finalizer()


def _end_master(session: Session, process: OwnedProcess, launchers: list[Any]) -> None:
    if not session.origin.is_here:
        return  # a forked copy of the owner ends, not the owner
    try:
        session.close()
        process.end()  # it says goodbye to its workers
        for launcher in launchers:
            launcher.stop()
    except BaseException:  # who interrupts this doesn't want to wait, and it won't be called again
        process.kill()
        process.end()
        for launcher in launchers:
            launcher.stop(0)
        raise


def worker_settings(
    connection: Connection, queues: Any = None, handler: str | None = None, **more: Any
) -> dict[str, Any]:
    """What a worker process is told, as plain JSON; see `dqlab.worker.WorkerSettings`."""
    if isinstance(queues, str):
        queues = [queues]
    for name in queues or ():
        check_queue(name)
    if handler is not None and (not isinstance(handler, str) or not all(handler.partition(":"))):
        raise BadInput(f"handler={handler!r}", "the name of a function, as 'package.module:function'")
    return {
        "host": connection.host,
        "port": connection.port,
        "authkey": base64.b64encode(connection.authkey).decode(),
        "queues": list(queues) if queues is not None else None,
        "handler": handler,
        **more,
    }


class LocalWorkers:
    """``n`` worker processes on this machine, serving some queues (None: all; plain tasks only with a ``handler``)."""

    def __init__(self, master: Client, n: int = 1, *, queues: Any = None, handler: str | None = None) -> None:
        self._settings = worker_settings(master.connection, queues, handler)
        self._workers: list[_LocalWorker] = []
        _check_count(n)
        self._finalizer = weakref.finalize(self, _end_workers, self._workers)
        master.launchers.append(self)
        self.add(n)

    def __repr__(self) -> str:
        return f"<LocalWorkers, {len(self)} running>"

    def __len__(self) -> int:
        return sum(worker.alive for worker in self._workers)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def names(self) -> list[str]:
        """Names of the workers that have joined and live, in the order in which they were started."""
        for worker in self._workers:
            worker.listen()
        return [worker.name for worker in self._workers if worker.alive and worker.name]

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        names = self.names
        return {worker.name: worker.pid for worker in self._workers if worker.name in names}

    def add(self, n: int = 1) -> None:
        """Start ``n`` more; `wait` waits until they have joined."""
        _check_count(n)
        for _ in range(n):
            self._workers.append(_LocalWorker(self._settings))  # one by one: an interrupt must not lose any

    def wait(self, timeout: float | None = START_TIMEOUT) -> LocalWorkers:
        """Wait until all have joined; `LaunchFailed` says why one did not, with its own words."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for worker in self._workers:
            worker.wait(None if deadline is None else deadline - time.monotonic())
        return self

    def kill(self, which: str | None = None) -> str:
        """SIGKILL the worker of that name (None: the first that lives), with its child; return its name."""
        for worker in self._workers:
            worker.listen()
            if worker.alive and worker.name and which in (None, worker.name):
                worker.kill()
                return worker.name
        raise BadInput(f"no worker {which!r} runs here", f"there are {', '.join(self.names) or 'none'}")

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """End all of them: each finishes the task in hand, for up to ``timeout`` seconds."""
        for worker in self._workers:
            worker.ask_to_stop()
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.finish(max(0.0, deadline - time.monotonic()))


class _LocalWorker(OwnedProcess):
    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__([sys.executable, "-m", "dqlab", "worker", "--owned"], settings)
        self.name: str = ""

    def listen(self) -> None:
        """Take in what it has said; several threads may do so at once. Its end stays there, for `wait`."""
        with contextlib.suppress(queue.Empty):
            while (said := self.said.get_nowait()) is not None:
                self._note(said)
            self.said.put(None)

    def _note(self, said: dict[str, Any] | None) -> None:
        if said is not None and said.get("event") == "joined":
            self.name = said["name"]

    def wait(self, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.name:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            try:
                said = self.said.get(timeout=max(0.0, min(left, 1.0)))
            except queue.Empty:
                if left <= 0:
                    raise LaunchFailed(
                        f"worker process {self.pid} has not joined after {timeout:g} s: {self.words()}"
                    ) from None
                continue
            if said is None:
                self.said.put(None)
                raise LaunchFailed(f"worker process {self.pid} ended: {self.words() or 'it said nothing'}")
            self._note(said)

    def ask_to_stop(self) -> None:
        if self.alive:
            self.process.terminate()

    def finish(self, timeout: float) -> None:
        """Wait for the end that it was asked for; its standard input stays open meanwhile, or it would end at once."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        self.kill()
        self.end()


def _end_workers(workers: list[_LocalWorker]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.end()


def _check_count(n: object) -> None:
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise BadInput(f"n={n!r}", "a whole number of workers, at least 1")
