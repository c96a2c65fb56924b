"""What tasks write to standard output and error, on the child's side: with marks that say which task wrote it.

Descriptors 1 and 2 of the child are pipes to the worker, so that what C code and subprocesses write comes too, and what
a dying process says. `sys.stdout` and `sys.stderr` write there as ever, and put a *mark* on each side of what they
write: a token that no output holds, a number that goes up, the task. What stands before a mark, up to the one before
it, is of its task; the numbers say what came first if it went through both pipes.

What is written past `sys.stdout` gets a mark when its task ends, if there is any: of tasks that print nothing the
worker hears nothing.
"""

from __future__ import annotations

import io
import itertools
import os
import struct
import sys
from array import array
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from dqlab.process.current import HERE
from dqlab.worker.shared_numbers import UNMARKED

if sys.platform != "win32":
    import fcntl
    import termios

__all__ = ["MARK", "TOKEN_BYTES", "TaskStreams"]

#: what follows the token of a mark: its number, and the task
MARK = struct.Struct("<QQ")
#: bytes of the token
TOKEN_BYTES = 16


class _Descriptor(io.FileIO):
    """Descriptor 1 or 2, as the task has it: what it is written goes out between two marks."""

    def __init__(self, fd: int, mark: Callable[[int], None]) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._mark = mark
        self.task: int | None = None  #: whose it is, if not the present task's

    def write(self, data: Any, /) -> int:
        task = HERE.task if self.task is None else self.task
        self._mark(task)
        try:
            return super().write(data) or 0
        finally:
            self._mark(task)


class _Buffer(io.BufferedWriter):
    """What is written stays here until it is sent."""

    holds = False  #: whether that may be something

    def write(self, data: Any, /) -> int:
        self.holds = True
        return super().write(data)


class _TaskStream(io.TextIOWrapper):
    """`sys.stdout` or `sys.stderr`: what a task writes goes out with its line, at its end, or before another writes."""

    def __init__(self, fd: int, mark: Callable[[int], None]) -> None:
        self._descriptor, self._task = _Descriptor(fd, mark), 0
        self._called = "<stdout>" if fd == 1 else "<stderr>"
        self._buffer = _Buffer(self._descriptor)
        whole = cast(BinaryIO, self._buffer)
        super().__init__(whole, encoding="utf-8", errors="backslashreplace", line_buffering=True)

    @property
    def name(self) -> str:
        """What it is called in any Python."""
        return self._called

    def write(self, text: str, /) -> int:
        if self._task != HERE.task:
            self.finish()
            self._task = HERE.task
        self._buffer.holds = True
        return super().write(text)

    def finish(self) -> None:
        """Send what is left of the task that wrote last."""
        if self._buffer.holds and not self.closed:
            self._buffer.holds, self._descriptor.task = False, self._task
            try:
                self.flush()
            finally:
                self._descriptor.task = None


class TaskStreams:
    """`stdout` and `stderr`. `fds` are the pipes behind them, by private descriptors, which tasks don't redirect."""

    def __init__(self, token: bytes, fds: tuple[int, int], numbers: Any) -> None:
        self._token, self._fds, self._shared = token, fds, numbers
        self._numbers = itertools.count(1)
        self._unread = array("i", [0])
        self.stdout, self.stderr = (
            _TaskStream(fd, lambda task, pipe=pipe: self._mark(pipe, task))  # type: ignore[misc]
            for fd, pipe in zip((1, 2), fds, strict=True)
        )

    def _mark(self, pipe: int, task: int) -> None:
        try:
            os.write(pipe, self._token + MARK.pack(next(self._numbers), task))
        except OSError:
            return  # the task has closed it, or the worker is gone: what follows says so

    def end_task(self) -> None:
        """The task in hand has ended: all that was written until now is its own."""
        for stream in (self.stdout, self.stderr):
            try:
                stream.finish()
            except OSError:
                continue  # the task has closed the descriptor
        for pipe in self._fds:
            if self._shared[UNMARKED] or _has_unread(pipe, self._unread):
                self._mark(pipe, HERE.task)


def _has_unread(pipe: int, bytes_there: array[int]) -> bool:
    if sys.platform == "win32":
        return True  # a pipe doesn't tell there
    try:
        fcntl.ioctl(pipe, termios.FIONREAD, bytes_there, True)
    except OSError:
        return False
    return bytes_there[0] > 0
