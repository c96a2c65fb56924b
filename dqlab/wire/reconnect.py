"""Looking for a master that is away: one loop for all who do, clients and workers.

A broken connection says nothing of the master: it may be back in a moment, on the same address. So whatever may be
repeated is repeated, with pauses that grow, until it succeeds, is called off, or has taken too long.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from dqlab.errors import AuthenticationFailed, BadInput, MasterGone, Refused

__all__ = ["FINAL", "Away", "persist"]

#: what is no broken connection, although some of it is an `OSError`: to try again would change nothing
FINAL = (AuthenticationFailed, BadInput, MasterGone, Refused)

#: is never set: who waits for it lets time pass
_NEVER = threading.Event()

T = TypeVar("T")


class Away:
    """How long somebody looks for a master: `patience` seconds in all, in pauses from `first` to `longest` seconds.

    `rest(seconds)` passes the time of a pause, and may cut it short.
    """

    def __init__(
        self, patience: float, first: float, longest: float, rest: Callable[[float], object] | None = None
    ) -> None:
        self.patience, self._first, self._longest = patience, first, longest
        self._rest = rest or _NEVER.wait
        self.back()

    def back(self) -> None:
        """The master is there: the next search begins anew."""
        self._since, self._pause = time.monotonic(), self._first

    def over(self) -> bool:
        """Whether it has been away for too long."""
        return time.monotonic() - self._since > self.patience

    def pause(self) -> None:
        """Rest until the next attempt; half of the time is chance, so that not all come at once."""
        self._rest(self._pause * random.uniform(0.5, 1.5))
        self._pause = min(self._longest, 2 * self._pause)


def persist(attempt: Callable[[], T], away: Away, failed: Callable[[Exception], bool]) -> T:
    """Return what `attempt()` does, which is repeated whenever a connection broke (`EOFError`, `OSError`).

    `failed(error)` is called after each; if it returns True, or the master has been away for too long, the error
    passes through. What the master has refused, and what no attempt would change, passes through at once.
    """
    while True:
        try:
            return attempt()
        except FINAL:
            raise
        except (EOFError, OSError) as error:
            if failed(error) or away.over():
                raise
        away.pause()
