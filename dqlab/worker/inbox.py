"""What a worker's main loop waits for: the words of its other threads, and what its child says.

The loop reads the child's pipe itself. A thread that read it, and woke the loop, would cost each task a switch between
two threads, which takes as long as all that the worker does for a short one.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections import deque
from typing import Any, BinaryIO

__all__ = ["Inbox", "Readable", "readable"]

#: bytes that are read at once
AT_ONCE = 1 << 16

#: a stream that is not buffered, and whose `read` and `readinto` return None where nothing has come
Readable = Any


class Inbox:
    """Words of other threads, and one stream at a time."""

    def __init__(self) -> None:
        self._words: deque[Any] = deque()
        self._bell, self._rope = socket.socketpair()  # on Windows, only sockets can be waited for
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._ears: list[Any] = [self._bell]

    def put(self, word: Any) -> None:
        """Say something to the loop, from any thread or from a signal handler."""
        self._words.append(word)
        with contextlib.suppress(OSError):  # it has been rung often enough, or nobody is there any more
            self._rope.send(b"\0")

    def listen(self, stream: Readable) -> None:
        """From now on `wait` waits for this stream, and for no other."""
        self._ears[1:] = [stream]

    def ignore(self) -> None:
        """It waits for none; the last one is about to be closed."""
        del self._ears[1:]

    def wait(self, seconds: float) -> tuple[list[Any], bool]:
        """Wait up to `seconds`; return the words that there are, and whether the stream has something to be read.

        It may return early with neither: a word that came just in time was taken before its own ringing was heard.
        """
        ready, _, _ = select.select(self._ears, (), (), seconds)  # a worker's process has few descriptors
        if self._bell not in ready:
            return [], bool(ready)
        self._bell.recv(AT_ONCE)  # before the words are taken: who adds one after that rings again
        return [self._words.popleft() for _ in range(len(self._words))], len(ready) > 1

    def close(self) -> None:
        """Nobody waits any more."""
        self._bell.close()
        self._rope.close()


def readable(pipe: BinaryIO) -> Readable:
    """What comes through a pipe, for an `Inbox`; the caller closes both."""
    if os.name == "posix":
        os.set_blocking(pipe.fileno(), False)
        return pipe.raw  # type: ignore[attr-defined]
    here, there = socket.socketpair()
    threading.Thread(target=_hand_on, args=(pipe, there), daemon=True).start()
    here.setblocking(False)
    with here:
        return here.makefile("rb", buffering=0)


def _hand_on(pipe: Any, there: socket.socket) -> None:
    with there, contextlib.suppress(OSError, ValueError):
        while data := pipe.read1(AT_ONCE):
            there.sendall(data)
