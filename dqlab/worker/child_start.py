"""What a child runs first, before anything heavy is loaded: it and what its tasks start end with the worker."""

from __future__ import annotations

from dqlab.process.owner import die_with_parent
from dqlab.process.process_group import leave_guard

__all__ = ["main"]


def main() -> None:
    """Run as `python_command("dqlab.worker.child_start", LIFELINE, HANDLE)`; see `process_group`."""
    leave_guard()
    die_with_parent()
    from dqlab.worker import child

    child.main()
