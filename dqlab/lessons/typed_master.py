"""`dqlab master`, as somebody types it in a terminal: killed, and the same command typed again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Self

from dqlab.lessons.process_group import ProcessGroup
from dqlab.lessons.processes import until

__all__ = ["TypedMaster"]


class TypedMaster:
    """A master that serves; `command` is what stands behind `dqlab master`. The end of the `with` block ends it.

    `file` is the connection file that it is told, or that lies beside its journal.
    """

    def __init__(self, *command: str) -> None:
        self._command = command
        options = dict(zip(command[::2], command[1::2], strict=False))
        journal = options.get("--journal")
        self.file = Path(f"{journal}.connection" if journal else options["--connection-file"]).absolute()
        self.start()

    def start(self) -> None:
        """Type the command, and wait until the master serves."""
        self._process = ProcessGroup([sys.executable, "-m", "dqlab", "master", *self._command], "master")
        until(lambda: self._process.said("serving at") or not self._process.running, 60)

    def kill(self) -> None:
        """SIGKILL: it ends as it is."""
        self._process.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.kill()
