"""Four numbers that a worker and its child process share, so that a task costs no message of its own.

The child writes which item it is about to begin (`BEGUN`) and, for tasks with a time-out, when (`STARTED`). The worker
writes how far the child may go (`LIMIT`): lowering it takes back what has not begun. The child writes `BEGUN` before it
reads `LIMIT`, the worker writes `LIMIT` before it reads `BEGUN`, so one of the two always sees the other. In
`UNMARKED` the worker says that it reads, or has read, output of which it can't tell the task.
"""

from __future__ import annotations

import mmap
import os
import tempfile

__all__ = ["BEGUN", "LIMIT", "STARTED", "UNMARKED", "SharedNumbers"]

BEGUN, LIMIT, STARTED, UNMARKED = range(4)
_SIZE = 4096


class SharedNumbers:
    """`numbers` is the shared array; `handle` is what the child opens it by: `SharedNumbers.open(handle)`."""

    def __init__(self, memory: mmap.mmap, handle: str, fd: int | None) -> None:
        self.memory, self.handle, self.fd = memory, handle, fd
        self.numbers = memoryview(memory).cast("q")

    @classmethod
    def create(cls, name: str) -> SharedNumbers:
        """Make the shared memory; no file of it is left, however its processes end."""
        if os.name == "nt":
            return cls(mmap.mmap(-1, _SIZE, tagname=name), name, None)  # type: ignore[call-arg]
        with tempfile.TemporaryFile() as file:
            file.truncate(_SIZE)
            fd = os.dup(file.fileno())
        return cls(mmap.mmap(fd, _SIZE), str(fd), fd)

    @classmethod
    def open(cls, handle: str) -> SharedNumbers:
        """The same memory, in the child."""
        if os.name == "nt":
            return cls(mmap.mmap(-1, _SIZE, tagname=handle), handle, None)  # type: ignore[call-arg]
        return cls(mmap.mmap(int(handle), _SIZE), handle, int(handle))

    def close(self) -> None:
        """Give the memory back."""
        self.numbers.release()
        self.memory.close()
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)
