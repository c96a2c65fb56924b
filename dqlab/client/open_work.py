"""What a client has submitted and what has not ended yet, for whoever ends the client, or workers of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Any

from dqlab.client.session import Session
from dqlab.errors import MasterGone, Refused

__all__ = ["OpenWork"]

#: seconds between two looks whether the work that is waited for can be done by anybody
LOOK = 0.25


class OpenWork:
    """The tasks of one session that have not ended."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def wait(self, launchers: Iterable[Any], goes_on: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until all of it has ended, or `goes_on` says of the master's `stats()` that the rest isn't done.

        The workers of `launchers` come up first, as they may be those that the tasks wait for: `LaunchFailed` if they
        don't. Returns if the master is gone, too: then there is nothing left to wait for.
        """
        with contextlib.suppress(MasterGone, Refused, TimeoutError):
            if self.all_ended():
                return
            for launcher in launchers:
                launcher.wait()
            while not self.all_ended() and goes_on(self._session.call("stats")):
                self._session.screen.look()
                threading.Event().wait(LOOK / 10)

    def all_ended(self) -> bool:
        """Whether the master has all that was submitted, and all of that has ended."""
        with contextlib.suppress(TimeoutError):
            self._session.flush(LOOK)
            return self._session.idle
        return False  # the backlog is full, perhaps of what nobody does
