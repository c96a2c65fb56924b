"""A process that a lesson owns, with all that it starts: heard within bounds, ended as a whole, never left behind."""

from __future__ import annotations

import codecs
import os
import signal
import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Iterator, MutableSequence, Sequence
from contextlib import suppress
from io import BufferedReader
from typing import IO, Any, Self, cast

from dqlab.lessons.guard import guard

__all__ = ["PATIENCE", "ProcessGroup"]

#: seconds after which waiting for a process is given up
PATIENCE = 30.0
#: lines of standard output that are kept, from the first; lines of standard error, to the last; characters of a line
LINES, LAST_ERRORS, LINE = 5_000, 200, 2_000
#: bytes that are read at a time
CHUNK = 1 << 16
#: seconds that a process's last words may take once it has ended; a child of it may keep the pipe open
LAST_WORDS = 1.0
#: the environment variable by which whatever a process has started is found, in whichever group it is
MARK = "DQLAB_LESSON_PROCESS"
#: what keeps Python 3.13 from colouring a traceback, as Jupyter has asked of all that a notebook starts
PLAIN_WORDS = {"PYTHON_COLORS": "0"}
#: how often it is looked for anew, as it may start others while it is killed
ROUNDS = 20


class ProcessGroup:
    """A process in a group of its own, and what it prints.

    `command` is what to run; `name` stands in sentences about it; `environment` is added to the notebook's own. `lines`
    is what it has printed so far; a flood is heard to its end, and kept up to a bound.
    """

    def __init__(self, command: Sequence[str], name: str, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.lines: list[str] = []
        self._errors: deque[str] = deque(maxlen=LAST_ERRORS)
        self._news = threading.Condition()
        self._mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env=os.environ | PLAIN_WORDS | (environment or {}) | {MARK: self._mark},
        )  # fmt: skip
        guard.note("+", self._process.pid)
        self._ears = [
            threading.Thread(target=self._listen, args=pair, daemon=True)
            for pair in ((self._process.stdout, self.lines), (self._process.stderr, self._errors))
        ]
        for ear in self._ears:
            ear.start()

    def __repr__(self) -> str:
        return f"<{self.name}, {'running' if self.running else 'ended'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process itself is there."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with: 0 if all was well, minus the signal that ended it, None as long as it runs."""
        return self._process.poll()

    @property
    def errors(self) -> list[str]:
        """The last lines that went to standard error."""
        return list(self._errors)

    @property
    def error(self) -> str:
        """The last line that went to standard error: with a traceback, what was wrong."""
        return self._errors[-1] if self._errors else ""

    @property
    def traceback(self) -> str:
        """The last traceback that went to standard error, "" if none did."""
        errors = list(self._errors)
        begins = [number for number, line in enumerate(errors) if line.startswith("Traceback (most recent call last)")]
        return "\n".join(errors[begins[-1] :]) if begins else ""

    def give(self, data: bytes) -> None:
        """Write `data` to its standard input and close that."""
        stdin = cast(IO[bytes], self._process.stdin)
        with suppress(BrokenPipeError):  # it has ended already, and its exit code says so
            stdin.write(data)
            stdin.close()

    def said(self, text: str) -> bool:
        """Whether it has printed a line that holds `text`."""
        return any(text in line for line in self.lines)

    def wait(self, timeout: float = PATIENCE) -> bool:
        """Wait up to `timeout` seconds for its own end; say whether it came."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        for ear in self._ears:
            ear.join(LAST_WORDS)
        return True

    def kill(self) -> None:
        """SIGKILL: it ends in the middle of whatever it does, without a last word. What it started ends too."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # all of it has ended
        except AttributeError:  # Windows has no groups of processes, and a way of its own to end what it started
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self._process.pid)], capture_output=True)

    def end(self) -> None:
        """Leave nothing of it behind, not even what has left its group."""
        self.kill()
        for _ in range(ROUNDS):
            if not (strays := self._strays()):
                break
            for stray in strays:
                with suppress(Exception):  # it has just ended
                    stray.kill()
        self.wait()
        with suppress(BrokenPipeError):
            cast(IO[bytes], self._process.stdin).close()
        guard.note("-", self._process.pid)

    def _strays(self) -> list[Any]:
        import psutil

        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _listen(self, stream: BufferedReader, heard: MutableSequence[str]) -> None:
        with stream:
            for line in _lines(stream):
                with self._news:
                    if len(heard) < LINES:
                        heard.append(line.rstrip())
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()


def _lines(stream: BufferedReader) -> Iterator[str]:
    """The lines of a stream, each cut off at `LINE` characters, however long it is."""
    decode = codecs.getincrementaldecoder("utf8")(errors="replace").decode
    begun = ""
    while chunk := stream.read1(CHUNK):
        *whole, begun = (begun + decode(chunk)).split("\n")
        yield from (line[:LINE] for line in whole)
        begun = begun[:LINE]
    if begun:
        yield begun
