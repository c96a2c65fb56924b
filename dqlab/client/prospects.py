"""What the master's `stats()` say of the work that somebody waits for: can anybody do it?"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dqlab.wire.envelope import PYTHON
from dqlab.wire.messages import PLAIN

__all__ = ["bound_queues", "can_work", "can_work_only_here", "stuck_queues"]


def can_work(stats: dict[str, Any]) -> bool:
    """Whether a worker is there for the work that is left, or nothing is left and results are on their way."""
    counts = {queue: c for queue, c in stats["queues"].items() if queue != PLAIN}
    waiting = {queue for queue, c in counts.items() if c["ready"] + c["delayed"] + c["leased"]}
    bound = bound_queues(stats)
    paused = {queue for queue, c in counts.items() if (c["paused"] or queue in bound) and not c["leased"]}
    served = [worker["queues"] for worker in stats["workers"]]
    return not waiting or any(q is None or waiting.intersection(q) for q in served) and bool(waiting - paused)


def can_work_only_here(names: Collection[str], stats: dict[str, Any]) -> bool:
    """Whether workers of these names are there for work that is left, in queues that no other worker serves."""
    others = [worker["queues"] for worker in stats["workers"] if worker["name"] not in names]
    ours = [worker for worker in stats["workers"] if worker["name"] in names]
    queues = {queue: c for queue, c in stats["queues"].items() if not any(q is None or queue in q for q in others)}
    left = any(c["ready"] + c["delayed"] + c["leased"] for queue, c in queues.items() if queue != PLAIN)
    return left and can_work({**stats, "workers": ours, "queues": queues})


def bound_queues(stats: dict[str, Any]) -> list[str]:
    """The queues in which tasks wait for our Python, which no worker has that serves them."""
    return [queue for queue, pythons in stats.get("pythons", {}).items() if PYTHON in pythons]


def stuck_queues(stats: dict[str, Any]) -> dict[str, int]:
    """The queues in which tasks wait and which no worker serves, with the number of these tasks."""
    served = [worker["queues"] for worker in stats["workers"]]
    return {
        queue: counts["ready"]
        for queue, counts in stats["queues"].items()
        if counts["ready"] and queue != PLAIN and not any(queues is None or queue in queues for queues in served)
    }
