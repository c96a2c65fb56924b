"""The command: `dqlab master | worker | status | crawl ...`.

Begin with `command`. Each sub-command loads what it needs only when it is asked for.
"""

from dqlab.cli.command import main

__all__ = ["main"]
