"""What tasks write to standard output and error, on the worker's side of the pipes; see `task_streams`.

It goes two ways: line by line to whoever looks on, and, bounded, with the outcome of the task.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Any

from dqlab.wire.printed import STREAMS, TASK_CHARS, Piece, joined, note
from dqlab.worker.shared_numbers import UNMARKED
from dqlab.worker.task_streams import MARK, TOKEN_BYTES

__all__ = ["TaskOutput"]

#: bytes that are read at once
CHUNK = 1 << 16
#: seconds after which what has no mark is taken for the running task's
PATIENCE = 0.05
#: seconds between two looks whether the child is gone
LOOK = 1.0
#: characters after which a line is passed on without its end
LINE_CHARS = 8_000
#: characters that are held for all tasks whose outcome is still to come
HELD_CHARS = 4 << 20
#: whether a pipe can be asked if there is something to read
POLLS = hasattr(select, "poll")


class _Held:
    """What a task has printed so far."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, str, str]] = []  #: (number, stream, text)
        self.chars = self.dropped = 0


class _Pipe:
    """One of the pipes: what is read from it, and has no mark yet."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.near, self.far = os.pipe()
        self.rest = bytearray()
        self.number = 0  #: of the last mark
        self.line: tuple[int, str] = (0, "")  #: of a task, and not at its end yet
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")


class TaskOutput:
    """Reads both pipes in a thread. `hear(pieces)` gets what tasks write, in order; an empty list when they rest.

    `running()` is the id of the task that the child is at, 0 if none: what it says between tasks, at its start above
    all, goes to this process's own standard error.
    """

    def __init__(self, numbers: Any, running: Callable[[], int], hear: Callable[[list[Piece]], None]) -> None:
        self._shared, self._running, self._hear = numbers, running, hear
        self.token = b"\0" + os.urandom(TOKEN_BYTES).hex().encode()[1:TOKEN_BYTES]
        self._pipes = [_Pipe(stream) for stream in STREAMS]
        self._reading, self._telling = threading.Lock(), threading.Lock()
        self._held: dict[int, _Held] = {}
        self._chars = 0
        self._lines: list[Piece] = []  #: to be passed on
        self._quiet = True  #: whether nothing came since the tasks rested last
        self._poll = select.poll() if POLLS else None
        self._ended = False

    @property
    def far_ends(self) -> tuple[int, int]:
        """What the child writes to; `begin` closes them here."""
        return self._pipes[0].far, self._pipes[1].far

    def begin(self) -> None:
        """The child has its ends of the pipes: close them here and read."""
        for pipe in self._pipes:
            os.close(pipe.far)
            if self._poll is not None:
                os.set_blocking(pipe.near, False)
                self._poll.register(pipe.near, select.POLLIN)
        waits = [self._wait] if POLLS else [lambda pipe=pipe: self._block(pipe) for pipe in self._pipes]
        self._threads = [threading.Thread(target=wait, name="dqlab-output", daemon=True) for wait in waits]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """The child and all that it has started are gone."""
        self.catch_up(all=True)
        self._ended = True
        for thread in self._threads:
            thread.join(2 * LOOK)

    # -- for the outcomes -----------------------------------------------------------------------------------------

    def catch_up(self, all: bool = False) -> None:
        """Take in all that was written before this call; with `all` also what has no mark, as it will have none."""
        with self._reading:
            there = not self._ended and self._poll is not None and self._poll.poll(0)
            for pipe in self._pipes:
                while there and self._read(pipe):
                    pass
                if all:
                    self._take_rest(pipe)
        self._pass_on()

    def take(self, first: int, end: int) -> list[Piece]:
        """What tasks `first` .. `end - 1` have printed, which nobody asks for again."""
        if not self._held:
            return []
        pieces: list[Piece] = []
        with self._reading:
            for task in sorted(task for task in self._held if first <= task < end):
                held = self._held.pop(task)
                self._chars -= held.chars
                pieces += [(task, stream, text) for _, stream, text in sorted(held.pieces, key=lambda piece: piece[0])]
                if held.dropped:
                    pieces.append((task, STREAMS[0], note(held.dropped)))
        return joined(pieces)

    def rest(self) -> None:
        """All tasks have ended, and their outcomes are told: what they still print is nobody's."""
        if self._quiet:
            return
        with self._reading:
            self._quiet = True
            self._held.clear()
            self._chars = 0
        self._pass_on(end=True)

    # -- reading --------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        poll = select.poll()
        open_pipes = {pipe.near: pipe for pipe in self._pipes}
        for near in open_pipes:
            poll.register(near, select.POLLIN)
        while open_pipes and not self._ended:
            waiting = any(pipe.rest for pipe in self._pipes)
            ready = poll.poll(1000 * (PATIENCE if waiting else LOOK))
            with self._reading:
                for near, _ in ready:
                    if not self._read(open_pipes[near], may_be_late=True):
                        poll.unregister(near)
                        del open_pipes[near]
                if not ready:
                    for pipe in self._pipes:
                        self._take_rest(pipe)
            self._pass_on()
        with self._reading:
            self._ended = True
            for pipe in self._pipes:
                self._take_rest(pipe)
                os.close(pipe.near)

    def _block(self, pipe: _Pipe) -> None:
        while data := os.read(pipe.near, CHUNK):
            with self._reading:
                self._parse(pipe, data)
            self._pass_on()
        os.close(pipe.near)

    def _read(self, pipe: _Pipe, may_be_late: bool = False) -> bool:
        """Read what there is; False if there is nothing. `may_be_late`: somebody else may have read it already."""
        self._shared[UNMARKED] = 1  # before: whoever asks meanwhile whether there is anything must hear yes
        try:
            data = os.read(pipe.near, CHUNK)
        except BlockingIOError:
            data = None
        if data:
            self._parse(pipe, data)
        self._shared[UNMARKED] = int(any(pipe.rest for pipe in self._pipes))
        return may_be_late if data is None else bool(data)

    def _parse(self, pipe: _Pipe, data: bytes) -> None:
        rest = pipe.rest
        rest += data
        start = 0
        while (at := rest.find(self.token, start)) >= 0 and len(rest) >= at + TOKEN_BYTES + MARK.size:
            pipe.number, task = MARK.unpack_from(rest, at + TOKEN_BYTES)
            self._note(pipe, task, bytes(rest[start:at]), final=True)
            start = at + TOKEN_BYTES + MARK.size
        del rest[:start]
        if len(rest) > CHUNK:
            self._take_rest(pipe)

    def _take_rest(self, pipe: _Pipe) -> None:
        """Take what has no mark, but for the beginning of one, for the running task's."""
        end = pipe.rest.find(self.token)
        if end < 0:
            begun = next((n for n in range(TOKEN_BYTES - 1, 0, -1) if pipe.rest.endswith(self.token[:n])), 0)
            end = len(pipe.rest) - begun
        if end:
            data = bytes(pipe.rest[:end])
            del pipe.rest[:end]
            self._note(pipe, self._running(), data, final=False)

    def _note(self, pipe: _Pipe, task: int, data: bytes, final: bool) -> None:
        text = pipe.decoder.decode(data, final)
        if final:
            pipe.decoder.reset()
        if not text:
            return
        self._quiet = False
        if task:
            self._hold(pipe, task, text)
        owner, begun = pipe.line
        if owner != task and begun:
            self._lines.append((owner, pipe.stream, begun))
            begun = ""
        whole, end, begun = (begun + text).rpartition("\n")
        if len(begun) > LINE_CHARS:
            whole, begun = whole + end + begun, ""
        if whole or end:
            self._lines.append((task, pipe.stream, whole + end))
        pipe.line = task, begun

    def _hold(self, pipe: _Pipe, task: int, text: str) -> None:
        held = self._held.setdefault(task, _Held())
        room = min(TASK_CHARS - held.chars, HELD_CHARS - self._chars)
        if kept := text[:room] if room > 0 else "":
            held.pieces.append((pipe.number, pipe.stream, kept))
            held.chars += len(kept)
            self._chars += len(kept)
        held.dropped += len(text) - len(kept)

    def _pass_on(self, end: bool = False) -> None:
        if not self._lines and not end:
            return
        with self._telling:
            with self._reading:
                if end:
                    self._lines += [(pipe.line[0], pipe.stream, pipe.line[1]) for pipe in self._pipes if pipe.line[1]]
                    for pipe in self._pipes:
                        pipe.line = (0, "")
                lines, self._lines = self._lines, []
            for task, _, text in lines:
                if not task:
                    sys.stderr.write(text)
                    sys.stderr.flush()
            told = [piece for piece in lines if piece[0]]
            if told or end:
                self._hear(told)
