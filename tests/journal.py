"""A master with a journal in a process of its own, as a terminal starts it: killed, and the command typed again."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

from dqlab import Client, connect
from dqlab.master.journal_file import beside
from tests.cluster import start


class Command:
    """`dqlab master --journal FILE`, typed once, and again after each `kill`."""

    def __init__(self, file: Path, *more: str) -> None:
        self.file, self.connection = file, beside(file, "connection")
        self._command = ["-m", "dqlab", "master", "--journal", str(file), *more]
        self.kills = 0
        self.type()

    def type(self) -> None:
        """Start it, and wait until it serves."""
        self.process = start(*self._command)
        assert self.process.stdout is not None and self.process.stderr is not None
        said = self.process.stdout.readline()
        assert "serving at" in said, self.process.stderr.read()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it as it is."""
        self.process.send_signal(number)
        self._end()
        self.kills += 1

    def _end(self) -> None:
        self.process.wait(20)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def connect(self) -> Client:
        return connect(self.connection, patience=60)

    def worker(self, *more: str) -> subprocess.Popen[str]:
        """`dqlab worker FILE.connection`."""
        return start("-m", "dqlab", "worker", str(self.connection), *more)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self._end()


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process and free its pipes."""
    process.kill()
    process.communicate(timeout=20)
