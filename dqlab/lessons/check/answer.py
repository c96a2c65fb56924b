"""An answer that is a function runs here: in a process of its own, with a time limit, heard within bounds.

    with Answer(save, "0.png", folder, seconds=8) as run:
        value = run.result()                # or `NotYet`: it raised, it hangs, its process ended

Whatever it does to its process (ends it, forks, prints a flood) touches neither the notebook nor the checker.
"""

from __future__ import annotations

import json
import linecache
import pickle
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dqlab.client.pickling import dump_values
from dqlab.lessons.check.verdict import NotYet
from dqlab.lessons.process_group import ProcessGroup

__all__ = ["Answer", "spoken"]

#: what the process runs, and the folder that it may write to besides the one it is given
COMMAND = "import sys; from dqlab.lessons.check.child import main; main(sys.argv[1])"
#: seconds that the process may take to begin, on a busy machine
START = 20.0
#: lines that it printed, and lines of its traceback, that a verdict shows
PRINTED, TRACEBACK = 8, 12


class Answer(ProcessGroup):
    """One run of `function(*args)`, which may take `seconds`; what JSON can't say of its result comes as its `repr`.

    `learner` is the function that the learner has written, when `function` is one that calls it. Raises `NotYet` if it
    can't travel to another process.
    """

    def __init__(
        self, function: Callable[..., Any], *args: Any, seconds: float, learner: Callable[..., Any] | None = None,
        name: str = "your function",
    ) -> None:  # fmt: skip
        file = getattr(getattr(learner or function, "__code__", None), "co_filename", "")
        sources = {file: linecache.getlines(file)}  # a cell is in no file: its lines travel along
        try:
            call, _ = dump_values((function, args))
        except Exception as error:
            raise NotYet(f"{name} can't be sent to another process: {type(error).__name__}: {error}") from None
        self.seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix="dqlab-answer-", ignore_cleanup_errors=True)
        super().__init__([sys.executable, "-c", COMMAND, self._folder.name], name, {"TMPDIR": self._folder.name})
        self.give(pickle.dumps((sys.path, sources)) + call)

    def end(self) -> None:
        """Leave nothing of it behind."""
        super().end()
        self._folder.cleanup()

    def wait_for_end(self) -> bool:
        """Wait until its process ends or its time is over; say whether it ended."""
        folder, deadline = Path(self._folder.name), time.monotonic() + START
        while self.running and not (folder / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        return self.wait(self.seconds)

    def result(self) -> Any:
        """What the function returned; raises `NotYet` with what went wrong instead."""
        ended, file = self.wait_for_end(), Path(self._folder.name, "outcome")
        if file.exists():
            outcome = json.loads(file.read_text("utf8"))
            if "raised" in outcome:
                raise NotYet(f"{self.name} raised {outcome['raised']}", self.details(outcome["traceback"]))
            return outcome["value"]
        if not ended:
            why = f"{self.name} still ran after {self.seconds:g} s. Does it wait for something that never comes?"
            raise NotYet(why, self.details())
        raise NotYet(f"{self.name} ended its process ({spoken(self.exit_code)}).", self.details(self.traceback))

    def details(self, traceback: str = "") -> str:
        """Its traceback, in the learner's own lines, and the first lines that it printed, as a verdict shows them."""
        told = _short(readable(traceback))
        if self.lines:
            more = len(self.lines) - PRINTED
            told += ["it printed:", *self.lines[:PRINTED], *([f"... and {more} lines more"] if more > 0 else [])]
        return "\n".join(told)


def spoken(exit_code: int | None) -> str:
    """An exit code in words."""
    return f"signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"


def readable(traceback: str) -> list[str]:
    """A traceback's lines, with "your cell" instead of the file that a cell only seems to be."""
    return re.sub(r'File "[^"]*ipykernel_\d+[^"]*"', "your cell", traceback).splitlines()


def _short(lines: list[str]) -> list[str]:
    """The last traceback in there, without its middle if it is long: it begins with the learner's own lines."""
    begin = max((number for number, line in enumerate(lines) if line.startswith("Traceback")), default=0)
    told, half = lines[begin:], TRACEBACK // 2
    return told if len(told) <= TRACEBACK else [*told[:half], "...", *told[-half + 1 :]]
