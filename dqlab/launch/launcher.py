"""What all workers that somebody here started have in common, wherever they run."""

from __future__ import annotations

import base64
from typing import Any, Protocol

from dqlab.errors import BadInput
from dqlab.process.owned_process import STOP_TIMEOUT
from dqlab.wire.connection_file import Connection
from dqlab.wire.messages import check_queue

__all__ = ["START_TIMEOUT", "Launcher", "check_count", "worker_settings"]

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


def check_count(n: object) -> None:
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise BadInput(f"n={n!r}", "a whole number of workers, at least 1")
