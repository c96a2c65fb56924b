"""What lessons do to processes: wait, freeze, let go on, bound their memory. And the events of a task as a story."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dqlab.errors import BadInput, DqlabError
from dqlab.lessons.guard import guard

__all__ = ["Gate", "freeze", "limit_memory", "story", "thaw", "until"]


def until(condition: Callable[[], Any], timeout: float = 20.0) -> None:
    """Wait until `condition()` is true, for `timeout` seconds at most."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise DqlabError(f"after {timeout:g} s it has not come true")
        time.sleep(0.01)


class Gate:
    """
    What a task waits for, so that it lasts until the notebook opens it, however fast or busy the machine is.

    It is a file in the notebook's folder, closed as long as the file isn't there.
    """

    def __init__(self) -> None:
        self._path = Path(f"gate-{uuid.uuid4().hex}").absolute()

    def open(self) -> None:
        """Let everybody pass, now and later."""
        self._path.touch()

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until it is open, for `timeout` seconds at most."""
        until(self._path.exists, timeout)


def freeze(pid: int) -> None:
    """Stop a process and those below it, as a machine does that is suspended; `thaw` lets them go on.

    What is frozen can't notice that the notebook's kernel has died; the guard ends it then.
    """
    for process in _tree(pid):
        guard.note("!", process.pid)
        process.suspend()


def thaw(pid: int) -> None:
    """Let a frozen process and those below it go on."""
    for process in reversed(_tree(pid)):
        process.resume()
        guard.note("-", process.pid)


def limit_memory(pid: int, mebibytes: int) -> None:
    """Let a process have so much memory and no more, whatever it is asked to build. Linux only."""
    import psutil

    if not hasattr(psutil, "RLIMIT_AS"):
        raise BadInput("this system can't bound another process's memory", "skip the cell: it is for Linux")
    psutil.Process(pid).rlimit(psutil.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))


def _tree(pid: int) -> list[Any]:
    import psutil

    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def story(events: Iterable[dict[str, Any]], *kinds: str) -> None:
    """Print events one a line: what happened, to which task, at which worker, why or with which words.

    `kinds` chooses some of them.
    """
    tasks: dict[int, int] = {}
    for event in events:
        if kinds and event["kind"] not in kinds:
            continue
        task = event.get("task")
        name = f"task {tasks.setdefault(task, len(tasks))}" if task is not None else ""
        worker = event.get("worker", "")
        print(f"{event['kind']:13} {name:8} {worker:4} {event.get('reason') or event.get('text', '')}".rstrip())
