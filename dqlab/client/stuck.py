"""Why somebody waits for ever: what the master's numbers tell about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dqlab.client.prospects import bound_queues, stuck_queues
from dqlab.wire.envelope import PYTHON

__all__ = ["why_stuck"]


def why_stuck(stats: dict[str, Any], waiting: Iterable[tuple[int, int]], in_task: bool) -> str:
    """What is wrong and what to do, or "" if nothing is.

    `stats` are the master's, `waiting` the (first, count) of the tasks that are waited for, `in_task` whether it is a
    task that waits for them.
    """
    if nobody := _nobody_serves(stats) or _nobody_has_our_python(stats):
        return nobody
    if in_task and _all_are_busy(stats, waiting) or not in_task and _all_have_said_so(stats):
        return _tasks_wait(len(stats["workers"]))
    return ""


def _nobody_serves(stats: dict[str, Any]) -> str:
    stuck = stuck_queues(stats)
    if not stuck:
        return ""
    count = sum(stuck.values())
    tasks = "1 task waits" if count == 1 else f"{count} tasks wait"
    return (
        f"{tasks} in {', '.join(stuck)} and no worker serves it. "
        "Start one: LocalWorkers(master, 2), or `dqlab worker CONNECTION` in a terminal."
    )


def _nobody_has_our_python(stats: dict[str, Any]) -> str:
    if not (queues := bound_queues(stats)):
        return ""
    return (
        f"tasks wait in {', '.join(queues)} that only Python {PYTHON} can read (they travel by value), and no worker "
        f"there has it. Start one with Python {PYTHON}, or import what they run from a module."
    )


def _all_are_busy(stats: dict[str, Any], waiting: Iterable[tuple[int, int]]) -> bool:
    """One worker is busy with the task that waits. What a worker has begun with is not stuck, however long it takes."""
    begun = {worker["running"] for worker in stats["workers"]}
    return (
        bool(begun)
        and None not in begun
        and not any(t in range(first, first + n) for first, n in waiting for t in begun)
    )


def _all_have_said_so(stats: dict[str, Any]) -> bool:
    """The tasks that wait are not ours: what they print nobody sees before they end, but they have told the master."""
    workers = stats["workers"]
    return bool(workers) and all(worker.get("stuck") for worker in workers)


def _tasks_wait(workers: int) -> str:
    busy = "the only worker is" if workers == 1 else f"all {workers} workers are"
    return (
        f"a task waits for another one, and {busy} busy. Start more workers than there are tasks that wait, "
        "or don't wait inside a task: let it return, and submit from the client what is to follow."
    )
