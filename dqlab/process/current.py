"""Where the calling code runs: in a task of a worker, or not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HERE", "Current", "current"]


@dataclass
class Current:
    """Where the code that asks is running: `worker` is its name, `task` the id of the task."""

    worker: str = ""
    task: int = 0


#: what a worker's child keeps up to date
HERE = Current()


def current() -> Current | None:
    """The worker and task that the calling code runs in; None outside of a worker."""
    return HERE if HERE.worker else None
