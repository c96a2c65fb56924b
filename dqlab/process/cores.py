"""How many cores this process may count on: no one place tells."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["usable_cores"]

#: where a container's share of the cores is written (control groups of Linux, version 2)
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> float:
    """How many cores this process may use at a time: of those that the machine has, what it was given; at least 1."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(given, _quota()))


def _quota() -> float:
    """What a container may use, in cores; on Binder, which shows all of a large machine, it is about one."""
    try:
        share, _, period = QUOTA.read_text("utf8").partition(" ")
        return int(share) / int(period)
    except (OSError, ValueError):  # no container, or one without a bound ("max")
        return math.inf
