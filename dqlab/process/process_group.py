"""A process and all that it starts, as one group: it ends as a whole, also when its owner is killed.

The kernel's death signal (see `owner`) reaches the process that was started, not what that has started itself. So the
group's first process leaves a guard behind when it begins, a copy of itself that outlives everybody by an instant:

    owner ──starts──> leader (it runs tasks) ──starts──> whatever the tasks start       one process group
      └──── lifeline, a pipe that only the owner holds open ────> guard                 outside of the group

When the lifeline ends, the owner is gone or has done with the group, and the guard kills it. A process that has left
the group by `setsid` or `setpgid` gets away. On Windows there is no guard; a job object would do its work there.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from typing import BinaryIO, cast

from dqlab.process.python_command import python_command

__all__ = ["ProcessGroup", "leave_guard"]

#: seconds that a process may take to be gone after SIGKILL
REAP = 10.0
#: descriptors that a guard closes at most, from 1 on
MOST_FILES = 4096
#: whether there are process groups, and forks
POSIX = os.name == "posix"


class ProcessGroup:
    """A process that calls `entry.main()`, and what it starts. `entry` leaves the guard (`leave_guard`) first of all.

    Start it from a thread that lives as long as the process: Linux's death signal comes when that thread ends.
    `stderr` is the descriptor that becomes its standard error.
    """

    def __init__(self, entry: str, *words: str, pass_fds: list[int], stderr: int | None = None) -> None:
        self._lifeline: int | None = None
        far_end = None
        if POSIX:
            far_end, self._lifeline = os.pipe()
            pass_fds = [*pass_fds, far_end]
        try:
            self.leader = subprocess.Popen(
                python_command(entry, str(far_end), *words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                pass_fds=pass_fds,
                process_group=0 if POSIX else None,
            )
        except BaseException:
            self._let_go()
            raise
        finally:
            if far_end is not None:
                os.close(far_end)
        self.stdin, self.stdout = cast(BinaryIO, self.leader.stdin), cast(BinaryIO, self.leader.stdout)

    @property
    def pid(self) -> int:
        """Process id of the leader, and the group's number."""
        return self.leader.pid

    def kill(self) -> None:
        """SIGKILL for all of it, whatever state it is in."""
        if POSIX and self._lifeline is not None:
            _kill_group(self.pid)
        self.leader.kill()

    def wait(self, patience: float) -> int:
        """The exit status of the leader; the group is killed if that takes longer than `patience` seconds."""
        try:
            return self.leader.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.leader.wait(REAP)

    def end(self) -> int:
        """Kill what is left of the group, and give back what belongs to it; the leader's exit status."""
        self.kill()
        status = self.leader.wait(REAP)
        with contextlib.suppress(OSError):  # what it had not read yet is lost with it
            self.stdin.close()
        self._let_go()
        return status

    def _let_go(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def leave_guard() -> None:
    """Leave a guard for this process's group; called by the leader while it is small and has a single thread.

    The guard is nobody's child, so that tasks don't meet it when they wait for children of theirs.
    """
    word, group = sys.argv.pop(1), os.getpid()
    if not POSIX:
        return
    lifeline = int(word)
    between = os.fork()
    if between:
        os.close(lifeline)
        os.waitpid(between, 0)
        return
    try:
        os.setsid()  # out of the group: it must not be stopped or killed with it
        if not os.fork():
            _guard(lifeline, group)
    finally:
        os._exit(0)


def _guard(lifeline: int, group: int) -> None:
    os.dup2(lifeline, 0)
    os.closerange(1, MOST_FILES)  # the owner would take an open pipe for a living leader
    end = select.poll()
    end.register(0, 0)  # nobody writes there: all that comes is the end
    end.poll()
    _kill_group(group)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
