"""Looks at one file after each step of a function: what is there then is what a kill at that instant would leave.

It also makes true what is true somewhere: all folders but the file's own are on another disk. And as it can't look into
other programs, it notes when one of them has made the file.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["FileWatch"]

#: what Python says, before it does it, when a file is to get a name; and when another program is to run
NAMINGS = ("os.rename", "os.link")
PROGRAMS = ("os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen")


class FileWatch:
    """Watches `path`, which is to hold the bytes `whole`; ends the process after step `last`, if that isn't 0.

    `steps` is how many there were, `half` when something else was there, `far` whether a file of another disk was to be
    renamed, `program` what has started the program that made the file.
    """

    def __init__(self, path: Path, whole: bytes, last: int = 0) -> None:
        self.steps, self.half, self.far, self.program = 0, "", False, ""
        self._path, self._whole, self._last = Path(os.path.realpath(path.parent), path.name), whole, last
        self._known: set[int] = set()  # the files that were there when another program was started

    def begin(self) -> None:
        """Watch this process from now on."""
        sys.addaudithook(self._before)
        threading.setprofile(self._after)
        sys.setprofile(self._after)

    def end(self) -> None:
        """Watch no longer, and look who has made the file."""
        sys.setprofile(None)
        threading.setprofile(None)
        if self._path.exists() and self._path.stat().st_ino in self._known:
            self.program = ""

    def _after(self, frame: FrameType, event: str, what: Any) -> None:
        """As `sys.setprofile` wants it: `what` is the built-in function that has just done its work."""
        self.steps += 1
        if not self.half and (data := self._data()) != self._whole:
            after = f"after {what.__name__}(...)" if event == "c_return" else "while your function works"
            much = f"{len(data)} of {len(self._whole)} bytes" if len(data) != len(self._whole) else "wrong bytes so far"
            self.half = f"{after}, {self._path.name} is there with {much}"
        if self.steps == self._last:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    def _data(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError:
            return self._whole  # not there at all is as good

    def _before(self, event: str, args: tuple[Any, ...]) -> None:
        """As `sys.addaudithook` wants it: an exception stops what was to be done."""
        if event in PROGRAMS and not self.program:
            self.program = event
            self._known = {path.stat().st_ino for path in self._path.parent.rglob("*")}
        elif event in NAMINGS and Path(os.path.realpath(args[1])).parent == self._path.parent:
            if self._path.parent not in Path(os.path.realpath(args[0])).parents:
                self.far = True
                why = f"{os.strerror(errno.EXDEV)} (here all other folders are on another disk than the pictures)"
                raise OSError(errno.EXDEV, why, args[0], None, args[1])
