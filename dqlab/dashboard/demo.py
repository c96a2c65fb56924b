"""Demo tasks: naps that arrive at a chosen rate, so that a class can flood and starve a system."""

from __future__ import annotations

import threading
import time
from typing import Any

__all__ = ["Feeder", "nap"]

#: seconds between two looks at what is due
BEAT = 0.05
#: demo tasks that may be out at once, so that a forgotten flood does no harm
LIMIT = 300


def nap(seconds: float) -> float:
    """The demo task: sleep that long."""
    time.sleep(seconds)
    return seconds


class Feeder:
    """Submits `nap` tasks of `seconds` each at `rate` a second, in a thread, until `stop` or the master's end.

    Both may be changed at any time, also while a cell runs: `dashboard.demo.rate = 40`. It waits while `LIMIT` of its
    tasks are out.
    """

    def __init__(self, master: Any, rate: float = 0.0, seconds: float = 0.2) -> None:
        self.rate, self.seconds = rate, seconds
        self.submitted = self.ended = 0
        self._master = master
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dqlab-demo", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Submit nothing more. Harmless when repeated."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __repr__(self) -> str:
        return f"<Feeder {self.rate:g} tasks/s of {self.seconds:g} s>"

    def _run(self) -> None:
        owed, last = 0.0, time.monotonic()
        while not self._stop.wait(BEAT):
            now = time.monotonic()
            owed, last = owed + self.rate * (now - last), now
            for _ in range(min(int(owed), LIMIT - self.submitted + self.ended)):
                try:
                    future = self._master.submit(nap, self.seconds)
                except Exception:  # the master is gone or closed: there is nobody left to feed
                    return
                self.submitted += 1
                future.add_done_callback(self._note_end)
            owed -= int(owed)

    def _note_end(self, _: Any) -> None:
        self.ended += 1
