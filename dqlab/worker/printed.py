"""What tasks print, on its way to the master: as much as anybody reads, and no flood."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

__all__ = ["Printed"]

#: characters that pass at once, and per second after that
BURST, RATE = 1 << 18, 1 << 16


class Printed:
    """`send(lines)` is called with (task, text) pairs; what is beyond the rate is dropped, with a note that says so."""

    def __init__(self, send: Callable[[list[tuple[int, str]]], None]) -> None:
        self._send = send
        self._room, self._since = float(BURST), time.monotonic()
        self._dropped: dict[int, int] = {}  #: characters by task

    def take(self, lines: Iterable[tuple[int, str]]) -> None:
        """What tasks have printed; each piece passes whole or not at all."""
        now = time.monotonic()
        self._room = min(BURST, self._room + (now - self._since) * RATE)
        self._since = now
        passed: list[tuple[int, str]] = []
        for task, text in lines:
            if len(text) > self._room:
                self._dropped[task] = self._dropped.get(task, 0) + len(text)
                continue
            self._room -= len(text)
            passed += [*self._notes(), (task, text)]
        if passed:
            self._send(passed)

    def end(self) -> None:
        """Nothing more comes for now: say what was dropped."""
        if notes := self._notes():
            self._send(notes)

    def _notes(self) -> list[tuple[int, str]]:
        dropped, self._dropped = self._dropped, {}
        return [(task, f"... {count:,} characters more were printed, and dropped\n") for task, count in dropped.items()]
