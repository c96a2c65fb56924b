"""A process that this one owns: it is told its settings on standard input, and ends when that pipe does."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import Any

import dqlab

__all__ = ["STOP_TIMEOUT", "OwnedProcess", "child_environment"]

#: seconds that a process which should end is given before it is killed
STOP_TIMEOUT = 10.0


def child_environment() -> dict[str, str]:
    """Our environment, in which `python -m dqlab` finds this dqlab."""
    root = str(Path(dqlab.__file__).parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}


class OwnedProcess:
    """A process that we talk to through its standard input and output, a JSON object a line.

    ``said`` gets each line that it says, as a dictionary, and None at its end. ``words()`` is its standard error.
    """

    def __init__(self, command: list[str], settings: dict[str, Any], env: dict[str, str] | None = None) -> None:
        self.said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._stderr: deque[str] = deque(maxlen=50)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf8",
            env=env if env is not None else child_environment(),
            start_new_session=True,  # the terminal's Ctrl-C is for us, who then end it in order
        )
        self._readers = [
            threading.Thread(target=target, name="dqlab-ear", daemon=True) for target in (self._hear, self._overhear)
        ]
        for thread in self._readers:
            thread.start()
        self.tell(settings)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def tell(self, message: dict[str, Any]) -> None:
        """Send one line; a process that is gone hears nothing."""
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError):
            pass

    def _hear(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                try:
                    self.said.put(json.loads(line))
                except ValueError:
                    self._stderr.append(line)
        self.said.put(None)

    def _overhear(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self._stderr.append(line)

    def words(self) -> str:
        """The last lines of its standard error."""
        if not self.alive:
            self._readers[1].join(1.0)
        return "".join(self._stderr).strip()

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive:
            self.process.kill()

    def end(self, timeout: float = STOP_TIMEOUT) -> None:
        """Close its standard input, wait for its end, kill it if it doesn't come."""
        try:
            assert self.process.stdin is not None
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT)
        for thread in self._readers:
            thread.join(STOP_TIMEOUT)
