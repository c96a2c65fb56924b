"""What lesson 02 does to processes: wait for them, freeze them, let them go on. And the events of a task as a story."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from dqlab.errors import DqlabError

__all__ = ["freeze", "story", "thaw", "until"]


def until(condition: Callable[[], Any], timeout: float = 20.0) -> None:
    """Wait until ``condition()`` is true, for ``timeout`` seconds at most."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise DqlabError(f"after {timeout:g} s it has not come true")
        time.sleep(0.01)


def freeze(pid: int) -> None:
    """Stop a process and those below it, as a machine does that is suspended; `thaw` lets them go on."""
    for process in _tree(pid):
        process.suspend()


def thaw(pid: int) -> None:
    """Let a frozen process and those below it go on."""
    for process in reversed(_tree(pid)):
        process.resume()


def _tree(pid: int) -> list[Any]:
    import psutil

    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def story(events: Iterable[dict[str, Any]], *kinds: str) -> None:
    """Print events one a line: what happened, to which task, at which worker, why or with which words.

    ``kinds`` chooses some of them.
    """
    tasks: dict[int, int] = {}
    for event in events:
        if kinds and event["kind"] not in kinds:
            continue
        task = event.get("task")
        name = f"task {tasks.setdefault(task, len(tasks))}" if task is not None else ""
        worker = event.get("worker", "")
        print(f"{event['kind']:13} {name:8} {worker:4} {event.get('reason') or event.get('text', '')}".rstrip())
