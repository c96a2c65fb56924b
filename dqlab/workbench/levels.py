"""The six levels: what may happen on each, and what the learner's broker may count on."""

from __future__ import annotations

from dataclasses import dataclass

from dqlab.errors import BadInput

__all__ = ["DELIVERIES", "LEASE", "LEVELS", "Level", "level_of"]

#: seconds after which a worker that has not answered has lost its task
LEASE = 5.0
#: how often a task is given to a worker, at most
DELIVERIES = 3


@dataclass(frozen=True)
class Level:
    """One level: its `number`, its `name`, the `moves` that are new on it, and the `demand` in words."""

    number: int
    name: str
    moves: tuple[str, ...]
    demand: str


LEVELS = (
    Level(1, "two workers share", ("put", "step"), "each task is given to one worker, and its result is there once"),
    Level(2, "a worker is killed", ("kill",), "`hang_up` is called, and what it had is given to somebody else"),
    Level(3, "a worker freezes", ("freeze", "wait"), f"nobody tells you; {LEASE:g} s after `get` its task is free"),
    Level(4, "a frozen worker comes back", (), "its late result doesn't count a second time"),
    Level(5, "a task ends its workers", ("poison", "tar"), f"after {DELIVERIES} deliveries it is among the failed"),
    Level(6, "the master is killed", ("die",), "a new broker, made with `journal=` all records, goes on"),
)


def level_of(number: int) -> Level:
    """The level with that number; raises `BadInput` if there is none."""
    if isinstance(number, bool) or number not in range(1, len(LEVELS) + 1):
        raise BadInput(f"there is no level {number!r}", f"the levels are 1 to {len(LEVELS)}")
    return LEVELS[number - 1]
