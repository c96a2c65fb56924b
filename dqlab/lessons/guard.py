"""The guard ends what a notebook has started when the notebook's kernel is killed and can't do it itself.

It is one more process, which reads from a pipe that only ends with the kernel.
"""

from __future__ import annotations

import os
import subprocess
import sys

__all__ = ["Guard", "guard"]

#: it is told what has started (+ a group of processes, ! a single one), what has ended (-) and which folder to remove
#: (/), and acts when its input ends. It is nobody's child, so a kernel that ends all its children leaves it alone.
PROGRAM = """
import os, shutil, signal, subprocess, sys
if hasattr(os, "fork") and os.fork():
    os._exit(0)
kept = {}
for line in sys.stdin:
    sign, what = line[0], line[1:-1]
    if sign == "-":
        kept.pop(what, None)
    else:
        kept[what] = sign
for what, sign in kept.items():
    try:
        if sign == "/":
            shutil.rmtree(what, ignore_errors=True)
        elif not hasattr(os, "killpg"):
            subprocess.run(["taskkill", "/F", "/T", "/PID", what], capture_output=True)
        elif sign == "+":
            os.killpg(int(what), signal.SIGKILL)
        else:
            os.kill(int(what), signal.SIGKILL)
    except OSError:
        pass
"""


class Guard:
    """The kernel's side of the guard, which runs as long as there is something to guard."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._kept: set[str] = set()

    def note(self, sign: str, what: object) -> None:
        """Tell the guard of a process that has started or ended, or of a folder; see `PROGRAM` for the signs."""
        if begins := self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, text=True, start_new_session=True
            )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{sign}{what}\n")
        self._process.stdin.flush()
        if begins and hasattr(os, "fork"):
            self._process.wait()  # for the one that has forked: a process that nobody waits for stays as a zombie
        (self._kept.discard if sign == "-" else self._kept.add)(str(what))
        if not self._kept:
            self._process.communicate()
            self._process = None


guard = Guard()
