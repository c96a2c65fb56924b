"""Why somebody waits for ever: what the master's numbers tell about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dqlab.client.prospects import stuck_queues

__all__ = ["why_stuck"]


def why_stuck(stats: dict[str, Any], waiting: Iterable[tuple[int, int]], in_task: bool) -> str:
    """What is wrong and what to do, or "" if nothing is.

    `stats` are the master's, `waiting` the (first, count) of the tasks that are waited for, `in_task` whether it is a
    task that waits for them.
    """
    if nobody := _nobody_serves(stats):
        return nobody
    return _all_are_busy(stats, waiting) if in_task else ""


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


def _all_are_busy(stats: dict[str, Any], waiting: Iterable[tuple[int, int]]) -> str:
    """One worker is busy with the task that waits. What a worker has begun with is not stuck, however long it takes."""
    workers = stats["workers"]
    begun = {worker["running"] for worker in workers}
    if not workers or None in begun or any(task in range(first, first + n) for first, n in waiting for task in begun):
        return ""
    busy = "the only worker is" if len(workers) == 1 else f"all {len(workers)} workers are"
    return (
        f"a task waits for another one, and {busy} busy. Start more workers than there are tasks that wait, "
        "or don't wait inside a task: let it return, and submit from the client what is to follow."
    )
