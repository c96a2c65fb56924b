"""Workers that are each a process of this machine, which a command starts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from dqlab.launch.launcher import Launcher
from dqlab.launch.worker_group import WorkerGroup
from dqlab.launch.worker_process import WorkerProcess

__all__ = ["CommandLauncher"]


class CommandLauncher(Launcher):
    """`n` workers, each in a process that `command` starts; it may lead into a container, or to a batch system."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command that becomes `dqlab worker --owned`: its pipes reach the worker."""

    def environment(self, n: int) -> Mapping[str, str] | None:
        """The environment of the next `n` workers; None: ours."""
        return None

    def groups(self, n: int) -> list[WorkerGroup]:
        """A process for each of `n` more workers."""
        environment = self.environment(n)
        return [WorkerProcess(self.command(), self._settings, environment) for _ in range(n)]
