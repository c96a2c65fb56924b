"""Plain scripts as processes that a lesson owns: started, listened to, killed, and never left behind.

    with run("master.py", 5000) as master:
        master.wait_for("page 1")           # a line that it prints
    show(master)                            # all that it printed

The end of the `with` block ends the process, and those that it started. Should the notebook itself be killed, a *guard*
does it: one more process, which reads from a pipe that only ends with the notebook.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from dqlab.errors import BadInput, DqlabError

__all__ = ["Script", "enter_folder", "free_port", "run", "show", "who_says"]

#: seconds after which waiting for a script is given up
PATIENCE = 30.0

#: The guard notes who has started (+), who has ended (-) and which folder to remove (/); it acts when its input ends.
#: It is nobody's child, so that a kernel which ends all its children lets it do so.
GUARD = """
import os, shutil, signal, subprocess, sys
if hasattr(os, "fork") and os.fork():
    os._exit(0)
running, folders = set(), set()
for line in sys.stdin:
    sign, what = line[0], line[1:-1]
    {"+": running.add, "-": running.discard, "/": folders.add}[sign](what)
for pid in map(int, running):
    try:
        os.killpg(pid, signal.SIGKILL)
    except AttributeError:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True)
    except ProcessLookupError:
        pass
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""


class Guard:
    """Our side of the guard, which is there as long as there is something to guard."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._kept: set[str] = set()

    def note(self, sign: str, what: object) -> None:
        """Tell the guard of a process that has started or ended, or of a folder."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", GUARD], stdin=subprocess.PIPE, text=True, start_new_session=True
            )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{sign}{what}\n")
        self._process.stdin.flush()
        (self._kept.discard if sign == "-" else self._kept.add)(str(what))
        if not self._kept:
            self._process.communicate()
            self._process = None


guard = Guard()


class Script:
    """One script that runs. ``lines`` is what it has printed so far, ``error`` the last line of its traceback."""

    def __init__(self, path: str | Path, *args: object, name: str = "") -> None:
        if not Path(path).exists():
            raise BadInput(f"there is no file {str(path)!r} here", "run the cell that writes it")
        self.name = name or Path(path).stem
        self.lines: list[str] = []
        self._errors: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-u", str(path), *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf8", start_new_session=True,
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

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def error(self) -> str:
        """The last line of what went to standard error: with a traceback, what was wrong."""
        return self._errors[-1] if self._errors else ""

    def _listen(self, stream: object, heard: list[str]) -> None:
        for line in stream:  # type: ignore[attr-defined]
            with self._news:
                heard.append(line.rstrip())
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def said(self, text: str) -> bool:
        """Whether it has printed a line that holds ``text``."""
        return any(text in line for line in self.lines)

    def wait_for(self, text: str, timeout: float = PATIENCE) -> Script:
        """Wait until it has printed ``text``."""
        who_says(text, self, timeout=timeout)
        return self

    def wait(self, timeout: float = PATIENCE) -> bool:
        """Wait up to ``timeout`` seconds for its own end; say whether it came."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        for ear in self._ears:
            ear.join(timeout=1.0)
        return True

    def kill(self) -> None:
        """SIGKILL: it ends in the middle of whatever it does, without a last word. What it started ends too."""
        if self.running:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended
            except AttributeError:  # Windows has no groups of processes, and a way of its own to end what it started
                subprocess.run(["taskkill", "/F", "/T", "/PID", str(self._process.pid)], capture_output=True)

    def end(self) -> None:
        """Leave nothing of it behind."""
        self.kill()
        self.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            stream.close()  # type: ignore[union-attr]
        guard.note("-", self._process.pid)


run = Script


def who_says(text: str, *scripts: Script, timeout: float = PATIENCE) -> Script:
    """Wait until one of ``scripts`` prints a line that holds ``text``, and return it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for script in scripts:
            if script.said(text):
                return script
        if not any(script.running for script in scripts):
            for script in scripts:
                script.wait(1.0)  # its last words
            if not any(script.said(text) for script in scripts):
                break
        time.sleep(0.002)
    why = "; ".join(f"{script.name}: {script.error or 'no error'}" for script in scripts)
    raise DqlabError(f"nobody said {text!r} within {timeout:g} s ({why})")


def show(*scripts: Script) -> None:
    """Print what each has printed, with its name before each line."""
    width = max(len(script.name) for script in scripts)
    for script in scripts:
        for line in script.lines:
            print(f"{script.name:{width}} | {line}")
        if script.error:
            print(f"{script.name:{width}} ! {script.error}")


def free_port() -> int:
    """A TCP port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def enter_folder() -> None:
    """Go to a new temporary folder, which the guard removes when the notebook's kernel has ended."""
    folder = tempfile.mkdtemp(prefix="dqlab-lesson-")
    guard.note("/", folder)
    os.chdir(folder)
