"""The command: `dqlab master | worker | status | crawl ...`.

Begin with `command`; `master`, `worker` and `status` are one sub-command each, and `connection_arguments` is how one is
told which master it is for. Each loads what it needs only when it is asked for.
"""

from dqlab.cli.command import main

__all__ = ["main"]
