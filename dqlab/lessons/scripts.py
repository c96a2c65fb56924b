"""Plain scripts as processes that a lesson owns: started, listened to, killed, and never left behind.

    with run("master.py", 5000) as master:
        master.wait_for("page 1")           # a line that it prints
    show(master)                            # all that it printed

The end of the `with` block ends the process, and those that it started. Should the notebook itself be killed, the guard
does it (`dqlab.lessons.guard`).
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from dqlab.errors import BadInput, DqlabError
from dqlab.lessons.guard import guard
from dqlab.lessons.process_group import LAST_WORDS, PATIENCE, ProcessGroup

__all__ = ["Script", "enter_folder", "free_port", "notebook_folder", "run", "show", "who_says"]

#: where the notebook lies: a kernel starts there
HOME = Path.cwd()
#: the temporary folder, once the notebook has entered one
_temporary: list[str] = []


class Script(ProcessGroup):
    """One script that runs. `lines` is what it has printed so far, `error` the last line of its traceback.

    `path` is the script's file, `args` what stands after it on its command line, `name` what it is called here.
    """

    def __init__(self, path: str | Path, *args: object, name: str = "") -> None:
        if not Path(path).exists():
            raise BadInput(f"there is no file {str(path)!r} here", "run the cell that writes it")
        command = [sys.executable, "-u", str(path), *map(str, args)]
        super().__init__(command, name or Path(path).stem, {"PYTHONIOENCODING": "utf8"})

    def wait_for(self, text: str, timeout: float = PATIENCE) -> Script:
        """Wait until it has printed `text`, `timeout` seconds at most."""
        who_says(text, self, timeout=timeout)
        return self


run = Script


def who_says(text: str, *scripts: Script, timeout: float = PATIENCE) -> Script:
    """Wait until one of `scripts` prints a line that holds `text`, and return it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for script in scripts:
            if script.said(text):
                return script
        if not any(script.running for script in scripts):
            for script in scripts:
                script.wait(LAST_WORDS)
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


def notebook_folder() -> Path:
    """The folder in which the notebook lies, wherever it has gone since."""
    return HOME


def enter_folder(name: str = "") -> None:
    """Go to the folder `name` beside the notebook, which stays there.

    Without a name it is a temporary folder, always the same one, and the guard removes it when the kernel has ended.
    """
    if name:
        folder = HOME / name
        folder.mkdir(exist_ok=True)
    else:
        if not _temporary:
            _temporary.append(tempfile.mkdtemp(prefix="dqlab-lesson-"))
            guard.note("/", _temporary[0])
        folder = Path(_temporary[0])
    os.chdir(folder)
