"""Workers on this machine, each a process of its own that ends with whoever started it."""

from __future__ import annotations

from collections.abc import Mapping

from dqlab.launch.command_launcher import CommandLauncher
from dqlab.process.python_command import python_command
from dqlab.worker.blas_threads import with_blas_threads

__all__ = ["LocalWorkers"]


class LocalWorkers(CommandLauncher):
    """`n` worker processes on this machine, serving some queues (None: all; plain tasks only with a `handler`).

    Numpy and its kin start threads of their own. Here each worker's may use its share of the cores: the cores divided
    by the workers that the master has from here when it is started, at least one. To decide yourself, set
    `OMP_NUM_THREADS` (or the like) in the environment before.
    """

    def command(self) -> list[str]:
        """The worker itself."""
        return python_command("dqlab.cli", "worker", "--owned")

    def environment(self, n: int) -> Mapping[str, str] | None:
        """Ours, with each worker's share of the cores."""
        return with_blas_threads(n + sum(len(other) for other in self._siblings if isinstance(other, LocalWorkers)))
