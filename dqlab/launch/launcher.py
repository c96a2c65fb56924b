"""Workers that somebody here started, wherever they run: what all launchers share.

A launcher says of which groups its workers are made: a process for each (`CommandLauncher`), or a host (`SSHWorkers`).
"""

from __future__ import annotations

import base64
import os
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar

from dqlab.client.client import Client
from dqlab.client.prospects import can_work_only_here
from dqlab.errors import BadInput, LaunchFailed
from dqlab.launch.worker_group import WorkerGroup
from dqlab.process.owned_process import ASK_AGAIN, LOOK, STOP_TIMEOUT
from dqlab.wire.connection_file import Connection
from dqlab.wire.messages import check_queue

__all__ = ["START_TIMEOUT", "Launcher", "check_count", "worker_settings"]

#: seconds in which a process must have come up
START_TIMEOUT = 30.0

Self = TypeVar("Self", bound="Launcher")


class Launcher(ABC):
    """Workers of one master that were started here and end with this process, with `stop`, or with the master.

    What their tasks have started ends with them, unless it has left its process group (`setsid`, a daemon).

    `n`        how many
    `queues`   the queues they serve; None: all
    `handler`  `"module:function"`, for the queue of plain tasks

    Raises `BadInput` before anything starts, `LaunchFailed` if not all processes can be started: then none stays.
    """

    def __init__(self, master: Client, n: int = 1, *, queues: Any = None, handler: str | None = None) -> None:
        check_count(n)
        self._settings = worker_settings(master.connection, queues, handler)
        self._groups: list[WorkerGroup] = []
        self._siblings: list[Any] = master.launchers
        self._work = master.open_work
        self.stopped = False  #: whether its workers were asked to end, and none was added since
        self.waited = False  #: whether the end of its block has waited for what they could do
        self._finalizer = weakref.finalize(self, _end_groups, self._groups, os.getpid())
        self._siblings.append(self)
        try:
            self._begin(self.groups(n))
        except BaseException:
            self._siblings.remove(self)
            raise

    @abstractmethod
    def groups(self, n: int) -> list[WorkerGroup]:
        """The groups that make up `n` more workers; nothing of them starts yet."""

    def _begin(self, new: list[WorkerGroup]) -> None:
        """Start all of them or none. They are owned before the first one starts, so an interrupt loses none."""
        self.stopped = self.waited = False
        self._groups.extend(new)
        try:
            for group in new:
                group.begin()
            while not all(group.begun for group in new):
                time.sleep(LOOK)
            if failed := [group for group in new if group.failed]:
                raise LaunchFailed(f"{len(failed)} of {len(new)} workers can't be started: {failed[0].trouble()}")
        except BaseException:
            _end_groups(new, os.getpid())
            self._groups[:] = [group for group in self._groups if group not in new]
            raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {len(self)} running>"

    def __len__(self) -> int:
        return sum(group.running for group in self._groups)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        """End the workers, after the work of their client that they can do and no other worker does.

        So does the end of any executor; whoever was interrupted doesn't want to wait.
        """
        try:
            if not self.stopped and (kind is None or issubclass(kind, Exception)):
                self._work.wait([self], lambda stats: can_work_only_here(self.names, stats))
                self.waited = True
        finally:
            self.stop()

    def serves(self, queue: str) -> bool:
        """Whether its workers take tasks of that queue."""
        return self._settings["queues"] is None or queue in self._settings["queues"]

    @property
    def names(self) -> list[str]:
        """Names of the workers that have joined and live, in the order in which they were started."""
        return list(self.pids)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, as they are called where the workers run."""
        return {name: pid for group in self._groups for name, pid in list(group.workers.items())}

    def wait(self: Self, timeout: float | None = START_TIMEOUT) -> Self:
        """Wait until all have joined, for `timeout` seconds at most; return this launcher.

        `LaunchFailed` names those that have failed, or did not get there in time, with their own words.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for group in self._groups:
            group.hurry()
        while any(group.hopeful(patient=deadline is not None) for group in self._groups):
            if deadline is not None and time.monotonic() > deadline:
                break
            time.sleep(LOOK)  # an interrupt may come at any instant here: no lock is held
        if missing := [group.trouble() for group in self._groups if not group.complete()]:
            raise LaunchFailed("\n".join(missing))
        return self

    def add(self, n: int = 1) -> None:
        """Start `n` more; `wait` waits until they have joined."""
        check_count(n)
        self._begin(self.groups(n))

    def kill(self, which: str | None = None) -> str:
        """SIGKILL the worker of that name (None: the first that lives), with all that its tasks have started.

        It may be the name of a whole group, such as a host. Returns the name; nothing replaces what was killed.
        `BadInput` if there is none.
        """
        for group in self._groups:
            if which is not None and which == group.label:
                group.kill_all()
                return which
            for name in list(group.workers):
                if which in (None, name):
                    group.kill(name)
                    return name
        there = [*(group.label for group in self._groups if group.label), *self.names]
        what = f"no worker {which!r} runs here" if which else "no worker runs here"
        raise BadInput(what, f"there are {', '.join(there) or 'none'}")

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """End all of them: each finishes the task in hand, for up to `timeout` seconds.

        One that is frozen, and does not react at all, is killed after two seconds.
        """
        self.stopped = True
        asked, deadline = 0.0, time.monotonic() + timeout
        while asked == 0 or (any(group.workers for group in self._groups) and time.monotonic() < deadline):
            if again := time.monotonic() - asked > ASK_AGAIN:
                asked = time.monotonic()
            for group in self._groups:
                if group.frozen:
                    group.kill_all()
                elif again:
                    group.ask_to_stop()
            time.sleep(LOOK)
        for group in self._groups:
            group.stop()
        for group in self._groups:
            group.join()


def _end_groups(groups: list[WorkerGroup], owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the owner ends, not the owner
    for group in groups:
        group.kill_all()
    for group in groups:
        group.join()


def worker_settings(
    connection: Connection, queues: Any = None, handler: str | None = None, **more: Any
) -> dict[str, Any]:
    """What a worker process is told, as plain JSON; see `dqlab.worker.settings.WorkerSettings`."""
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


def check_count(n: object, where: str = "") -> None:
    """Refuse a number of workers that is none: `BadInput`, which begins with `where`."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise BadInput(f"{where}n, the number of workers, must be a whole number from 1 up, not {n!r}")
