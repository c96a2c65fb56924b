"""Ends a call that doesn't end: one that computes, or waits, for longer than any answer may take."""

from __future__ import annotations

import gc
import os
import signal
import time
from types import FrameType
from typing import Any, NoReturn

__all__ = ["Endless", "Watch", "forbid_leaving"]

#: seconds between two looks; of computing, and of waiting, after which a call is ended
LOOK, COMPUTING, WAITING = 0.05, 0.4, 4.0
#: the share of its time for which a call computes that doesn't wait, however busy the machine is
COMPUTES = 0.02


class Endless(BaseException):
    """A call has not come to its end."""


class Watch:
    """A `with` block that may not last; where there is no such signal (Windows), the process's own limit has to do."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self.ended = 0  #: how many calls it has ended
        self._collecting: float | None = None  #: since when Python collects garbage
        gc.callbacks.append(self._collects)
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._look)
            signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)

    def __enter__(self) -> None:
        self._began = time.process_time(), time.monotonic()

    def __exit__(self, *exc: object) -> None:
        self._began = None

    def close(self) -> None:
        """Look no more."""
        gc.callbacks.remove(self._collects)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _look(self, number: int, frame: FrameType | None) -> None:
        if self._began is None or self._collecting is not None:
            return
        computed, waited = time.process_time() - self._began[0], time.monotonic() - self._began[1]
        if computed > COMPUTING or waited > WAITING:
            self._began = time.process_time(), time.monotonic()  # whoever goes on all the same is ended again
            self.ended += 1
            computes = computed > COMPUTES * waited
            raise Endless("doesn't come to its end" if computes else "waits for something that never comes")

    def _collects(self, phase: str, info: dict[str, int]) -> None:
        """A collection of garbage begins or ends: it is not the call's time, and what is raised in it would be lost."""
        if phase == "start":
            self._collecting = time.process_time()
        elif self._collecting is not None:
            took, self._collecting = time.process_time() - self._collecting, None
            if self._began is not None:
                self._began = self._began[0] + took, self._began[1]


def forbid_leaving() -> None:
    """In the process of a learner's broker: let what would end it, copy it or let it sleep raise an error instead."""

    def refuse(what: str, why: str) -> Any:
        def refused(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(f"{what}: {why}")

        return refused

    os._exit = refuse("os._exit", "a broker doesn't end its process")
    os.abort = refuse("os.abort", "a broker doesn't end its process")
    if hasattr(os, "fork"):
        os.fork = refuse("os.fork", "a broker needs no second process")
    time.sleep = refuse("time.sleep", "while a broker sleeps everybody waits; `now` and `tick` tell the time")
