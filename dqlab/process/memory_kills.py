"""How many processes the system has killed because memory ran out: a SIGKILL doesn't say who sent it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["memory_kills"]

#: where Linux counts them, in a line of its own
COUNTS = Path("/proc/vmstat")


def memory_kills() -> int:
    """Processes that were killed so since the machine started; 0 where the system doesn't tell."""
    try:
        lines = COUNTS.read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    except (OSError, ValueError, StopIteration):
        return 0
