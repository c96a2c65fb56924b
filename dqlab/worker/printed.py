"""What tasks print, on its way to the master: as much as anybody reads, and no flood."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dqlab.wire.printed import Piece, note
from dqlab.worker.control_line import ControlLine

__all__ = ["Printed"]

#: characters that pass at once, and per second after that
BURST, RATE = 1 << 18, 1 << 16


class Printed:
    """Sends (task, text) pairs on `line`, while there is one; what is beyond the rate is dropped, with a note.

    One thread at a time may call it.
    """

    def __init__(self) -> None:
        self.line: ControlLine | None = None
        self._room, self._since = float(BURST), time.monotonic()
        self._dropped: dict[int, int] = {}  #: characters by task

    def take(self, pieces: Sequence[Piece]) -> None:
        """What tasks have printed; each piece passes whole or not at all. Nothing, when nothing more comes for now."""
        now = time.monotonic()
        self._room = min(BURST, self._room + (now - self._since) * RATE)
        self._since = now
        passed: list[tuple[int, str]] = []
        for task, _, text in pieces:
            if len(text) > self._room:
                self._dropped[task] = self._dropped.get(task, 0) + len(text)
                continue
            self._room -= len(text)
            passed += [*self._notes(), (task, text)]
        if not pieces:
            passed = self._notes()
        line = self.line
        if passed and line is not None:
            line.tell("printed", passed)

    def _notes(self) -> list[tuple[int, str]]:
        dropped, self._dropped = self._dropped, {}
        return [(task, note(count)) for task, count in dropped.items()]
