"""The command: `dqlab master | worker | status | crawl ...`.

Begin with `command`; `master`, `worker` and `status` are one sub-command each, and `connection_arguments` is how one is
told which master it is for. Each loads what it needs only when it is asked for.
"""

from __future__ import annotations

__all__ = ["main"]

#: what a shell sees of a program that Ctrl-C ended
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run one command, the process's own words or `argv`, and return its exit code; Ctrl-C ends it without a traceback
    while it is loaded, too."""
    try:
        from dqlab.cli import command

        return command.main(argv)
    except KeyboardInterrupt:
        return INTERRUPTED
    except RuntimeError as error:  # up to Python 3.11, what interrupts the making of a class comes as its cause
        if isinstance(error.__cause__, KeyboardInterrupt):
            return INTERRUPTED
        raise
