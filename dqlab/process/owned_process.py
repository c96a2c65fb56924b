"""A process that this one owns: it is told its settings on standard input, and ends when that pipe does."""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, cast

__all__ = ["ASK_AGAIN", "LOOK", "REACT", "STOP_TIMEOUT", "OwnedProcess"]

#: seconds that a process which should end is given before it is killed
STOP_TIMEOUT = 10.0
#: seconds in which a process must have answered what it is told; one that has not is frozen
REACT = 2.0
#: seconds after which one that should end is told again, as it may have been frozen in the meantime
ASK_AGAIN = 0.5
#: seconds between two looks of a wait
LOOK = 0.005
#: what colours a traceback on Python 3.13, in a notebook even in a pipe
COLOURS = re.compile(r"\x1b\[[\d;]*m")
#: lines of its standard error that are remembered, and the characters that are read as one line
WORDS, LINE = 50, 10_000


class OwnedProcess:
    """A process that we talk to through its standard input and output, a JSON object a line.

    `heard(process, message)` gets each object that it says, in a thread of its own, and None at its end.

    An interrupt may come between any two instructions of the main thread. So this object is there before its process:
    whoever owns it takes it into a list, and only then calls `start`. Everything that can be cut short happens in a
    thread that no interrupt reaches, and no lock is shared with it. The thread lives as long as the process, which
    makes Linux's death signal safe (`owner.die_with_parent`): it comes when the *thread* ends that started a process.
    """

    def __init__(
        self,
        command: list[str],
        settings: dict[str, Any],
        heard: Callable[[OwnedProcess, dict[str, Any] | None], object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command, self._settings, self._heard, self._environment = command, settings, heard, environment
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._words: deque[str] = deque(maxlen=WORDS)
        self._living = self._unwanted = self._all_words = False
        self._unanswered = 0.0  #: since when something we said has no answer; 0: nothing
        self.begun = False  #: whether it has been started, or can't be
        self.ended = False
        self.error: OSError | RuntimeError | None = None  #: why it can't be started

    def start(self) -> None:
        """Begin to start it; `begun` says when that is done."""
        try:
            _thread.start_new_thread(self._live, ())
        except RuntimeError as error:  # no more threads
            self._fail(error)

    def _live(self) -> None:
        self._living = True
        if self._unwanted:
            return self._fail(None)
        try:
            self._process = process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                start_new_session=True,  # the terminal's Ctrl-C is for us, who then end it in order
            )
        except OSError as error:
            return self._fail(error)
        try:
            _thread.start_new_thread(self._overhear, (cast(BinaryIO, process.stderr),))
        except RuntimeError as error:  # no more threads
            self.error, self._unwanted, self._all_words = error, True, True
        if self._unwanted:
            self.kill()
        self._write(self._settings)
        self.begun = True
        with cast(BinaryIO, process.stdout) as stdout:
            for line in stdout:
                self._note(line)
        if hasattr(os, "waitid"):  # as long as nobody has reaped it, its number is its own
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.ended = True
        process.wait()
        with contextlib.suppress(OSError):
            cast(BinaryIO, process.stdin).close()
        self._heard(self, None)

    def _fail(self, error: OSError | RuntimeError | None) -> None:
        self.error = error
        self.begun = self.ended = self._all_words = True
        self._heard(self, None)

    def _note(self, line: bytes) -> None:
        self._unanswered = 0.0
        try:
            message = json.loads(line)
        except ValueError:
            self._words.append(line.decode("utf8", "replace"))
            return
        if message != {"event": "heard"}:
            self._heard(self, message)

    def _overhear(self, stderr: BinaryIO) -> None:
        with stderr:
            while line := stderr.readline(LINE):
                self._words.append(line.decode("utf8", "replace"))
        self._all_words = True

    @property
    def pid(self) -> int:
        """Its process id; 0 before it is started."""
        return self._process.pid if self._process is not None else 0

    @property
    def alive(self) -> bool:
        """Whether it runs, or is being started."""
        return self._living and not self.ended

    @property
    def returncode(self) -> int:
        """What it has ended with; 1 if it could not be started, or nobody has asked the system yet."""
        code = self._process.returncode if self._process is not None else None
        return 1 if code is None else code

    @property
    def frozen(self) -> bool:
        """Whether it has not reacted to what it was told."""
        since = self._unanswered
        return bool(since) and time.monotonic() - since > REACT

    def words(self) -> str:
        """The last lines of its standard error, or why it could not be started."""
        if self.ended:
            self._wait(lambda: self._all_words, 1.0)
        return COLOURS.sub("", "".join(self._words)).strip() or str(self.error or "")

    def tell(self, message: dict[str, Any]) -> None:
        """Send one line; a process that is gone hears nothing."""
        self._unanswered = self._unanswered or time.monotonic()
        self._write(message)

    def _write(self, message: dict[str, Any]) -> None:
        if self._process is not None:
            stdin = cast(BinaryIO, self._process.stdin)
            with contextlib.suppress(OSError, ValueError):
                stdin.write(json.dumps(message).encode() + b"\n")
                stdin.flush()

    def kill(self) -> None:
        """SIGKILL. One that is just being started is killed as soon as it is there."""
        self._unwanted = True
        if self._process is not None and not self.ended and self._owner == os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def end(self, timeout: float = STOP_TIMEOUT) -> None:
        """Close its standard input, wait for its end; kill it after `timeout` seconds, or sooner if it is frozen."""
        if self._owner != os.getpid():
            return  # a forked copy of the owner ends, not the owner
        self._unanswered = self._unanswered or time.monotonic()
        if self._process is not None and self.begun:
            with contextlib.suppress(OSError, ValueError):
                cast(BinaryIO, self._process.stdin).close()
            self._wait(lambda: self.ended or self.frozen, timeout)
        self.kill()
        self._wait(lambda: not self.alive, STOP_TIMEOUT)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition() and time.monotonic() < deadline:
            time.sleep(LOOK)
