"""Workers on this machine, each a process of its own that ends with whoever started it."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from typing import Any

from dqlab.client.client import Client
from dqlab.errors import BadInput, LaunchFailed
from dqlab.launch.launcher import START_TIMEOUT, check_count, worker_settings
from dqlab.process.owned_process import STOP_TIMEOUT, OwnedProcess

__all__ = ["LocalWorkers"]


class LocalWorkers:
    """``n`` worker processes on this machine, serving some queues (None: all; plain tasks only with a ``handler``)."""

    def __init__(self, master: Client, n: int = 1, *, queues: Any = None, handler: str | None = None) -> None:
        self._settings = worker_settings(master.connection, queues, handler)
        self._workers: list[_LocalWorker] = []
        check_count(n)
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
        check_count(n)
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
