"""A slice of time in the picture: what its curves are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dqlab.dashboard.lane import rounded

__all__ = ["BINS", "LEVELS", "NOTHING", "Bin"]

#: slices into which the visible window is cut
BINS = 300
#: what a slice of time knows besides the tasks done in it
LEVELS = ("ready", "leased", "delayed", "done", "failed", "redelivered", "p50", "p95", "state")
#: levels before anything happened
NOTHING = [0, 0, 0, 0, 0, 0, None, None, "empty"]


@dataclass(slots=True)
class Bin:
    """A slice of time: tasks done in it by each worker, and the levels at its end."""

    start: float
    done: dict[str, int] = field(default_factory=dict)
    levels: list[Any] | None = None  #: `LEVELS`; None: as before
    version: int = 0

    def as_list(self) -> list[Any]:
        """What a screen is told of it."""
        return [rounded(self.start), self.done, self.levels]
