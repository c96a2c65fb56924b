"""Workers behind one pipe, as a launcher sees them: a process of this machine, or all workers of another one."""

from __future__ import annotations

from abc import ABC, abstractmethod

__all__ = ["WorkerGroup"]


class WorkerGroup(ABC):
    """Workers that are started, told and ended through one pipe. None of its methods but `join` waits.

    An interrupt may come anywhere: a group is there, and owned, before `begin` starts anything.
    """

    #: name -> process id of those that have joined and live
    workers: dict[str, int]
    #: what `kill` may call the whole group; "" if nothing
    label: str = ""

    @abstractmethod
    def begin(self) -> None:
        """Begin to start its workers."""

    @property
    def begun(self) -> bool:
        """Whether their start is under way, or has failed."""
        return True

    @property
    def failed(self) -> bool:
        """Whether they could not even be started."""
        return False

    @property
    def running(self) -> int:
        """How many workers there are, those that have not joined yet included if that is known."""
        return len(self.workers)

    @property
    @abstractmethod
    def frozen(self) -> bool:
        """Whether it was told something and does not react."""

    @abstractmethod
    def complete(self) -> bool:
        """Whether all its workers have joined."""

    @abstractmethod
    def hopeful(self, patient: bool) -> bool:
        """Whether waiting for that makes sense; `patient`: also for those that were there and can't be reached."""

    @abstractmethod
    def trouble(self) -> str:
        """What is wrong, for somebody who waited."""

    @abstractmethod
    def hurry(self) -> None:
        """Try again now what would be tried again later."""

    @abstractmethod
    def kill(self, name: str) -> None:
        """SIGKILL one worker; nothing replaces it."""

    @abstractmethod
    def kill_all(self) -> None:
        """SIGKILL all of them, and begin to end the group."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Ask every worker to end after the task in hand."""

    @abstractmethod
    def stop(self) -> None:
        """Begin to end the group, whatever its workers do."""

    @abstractmethod
    def join(self) -> None:
        """Wait until it has ended."""
