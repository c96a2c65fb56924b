"""One worker behind the pipe of a process that we own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dqlab.launch.worker_group import WorkerGroup
from dqlab.process.owned_process import OwnedProcess

__all__ = ["WorkerProcess"]


class WorkerProcess(WorkerGroup):
    """A process that `command` starts and that becomes `dqlab worker --owned`, here or wherever the command leads."""

    def __init__(self, command: list[str], settings: dict[str, Any], environment: Mapping[str, str] | None) -> None:
        self.workers: dict[str, int] = {}
        self._process = OwnedProcess(command, settings, self._hear, environment)
        self._joined = False

    def _hear(self, process: OwnedProcess, said: dict[str, Any] | None) -> None:
        if said is None:
            self.workers.clear()
        elif said.get("event") == "joined":
            self.workers[said["name"]] = said["pid"]
            self._joined = True

    def begin(self) -> None:
        """Begin to start it."""
        self._process.start()

    @property
    def begun(self) -> bool:
        """Whether there is a process, or there can't be one."""
        return self._process.begun

    @property
    def failed(self) -> bool:
        """Whether the process could not even be started."""
        return self._process.error is not None

    @property
    def running(self) -> int:
        """1 while the process lives."""
        return int(self._process.alive)

    @property
    def frozen(self) -> bool:
        """Whether it was told something and does not react."""
        return self._process.frozen

    def hurry(self) -> None:
        """Do nothing: what has ended is not tried again."""

    def complete(self) -> bool:
        """Whether it has joined, whatever has become of it since."""
        return self._joined

    def hopeful(self, patient: bool) -> bool:
        """Whether it may still join."""
        return not self._joined and self._process.alive

    def trouble(self) -> str:
        """What is wrong, in the process's own words."""
        words = self._process.words()
        if self._process.alive:
            return f"worker process {self._process.pid} has not joined: {words or 'it says nothing'}"
        return f"worker process {self._process.pid or ''} ended: {words or 'it said nothing'}"

    def kill(self, name: str) -> None:
        """SIGKILL it."""
        self.workers.pop(name, None)
        self._process.kill()

    def kill_all(self) -> None:
        """SIGKILL it, whether or not it has joined."""
        self.workers.clear()
        self._process.kill()

    def ask_to_stop(self) -> None:
        """Ask it to end after the task in hand; one that has not joined has none."""
        if self.workers:
            self._process.tell({"stop": None})
        else:
            self._process.kill()

    def stop(self) -> None:
        """Kill it, if it is still there."""
        self._process.kill()

    def join(self) -> None:
        """Wait until it has ended."""
        self._process.end()
