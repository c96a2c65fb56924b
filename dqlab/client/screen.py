"""Where people see what their tasks print: this process's standard output and error, in a notebook the cell that waits.

The collector brings the output of a task, then its outcome. Whoever waits for any task looks at the screen at each turn
of its wait, and before it returns: so the output is shown in the thread, and the cell, that waits, and before the
outcome is given out. While nobody waits the collector shows it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from dqlab.client.channel import SLICE
from dqlab.wire.printed import Shown, show

__all__ = ["PATIENCE", "Screen"]

#: seconds after which whoever waited for a task has stopped to
PATIENCE = 2 * SLICE
#: what switches all output off, where nobody has asked for it
VARIABLE = "DQLAB_OUTPUT"


class Screen:
    """Shows what tasks print. `on` None: unless `DQLAB_OUTPUT=0` says no. `tame`: workers aren't trusted."""

    def __init__(self, on: bool | None, tame: bool = False) -> None:
        self._on = os.environ.get(VARIABLE) != "0" if on is None else on
        self._tame = tame
        self._pending: deque[tuple[Any, ...]] = deque()  #: the output of some tasks, each until it is shown
        self._looked = 0.0
        # Its `with` is in C, so that no interrupt leaves it locked; who shows something may be interrupted by itself.
        self._showing = threading.RLock()

    def take(self, printed: Iterable[Shown]) -> None:
        """What some tasks have printed, before somebody hears of their outcome."""
        if printed and self._on:
            self._pending.append(tuple(map(tuple, printed)))

    def look(self) -> None:
        """Show what there is: the caller waits for a task, or is about to tell of one."""
        self._looked = time.monotonic()
        self.show()

    def show(self) -> None:
        """Show what there is."""
        while self._pending:
            with self._showing:
                if self._pending:
                    show(self._pending[0], self._tame)
                    self._pending.popleft()  # not before: who is interrupted shows it again

    def show_unless_watched(self) -> None:
        """Show what there is if nobody waits; else it is for whoever does."""
        if self._pending and time.monotonic() - self._looked > PATIENCE:
            self.show()

    @property
    def waits(self) -> bool:
        """Whether something is to be shown."""
        return bool(self._pending)
