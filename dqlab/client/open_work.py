"""What a client has submitted and what has not ended yet, for whoever ends the client, or workers of it.

A script that ends without `shutdown` finishes it, too, as with the executors of the standard library.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from dqlab.client.channel import Origin
from dqlab.client.future import HINT_AFTER
from dqlab.client.prospects import can_work
from dqlab.client.screen import Screen
from dqlab.errors import LaunchFailed, MasterGone, Refused

__all__ = ["OpenWork"]

#: seconds between two looks whether the work that is waited for can be done by anybody
LOOK = 0.25


class Submitter(Protocol):
    """What is asked of the session whose work it is."""

    closed: bool  #: whether it has ended
    closing: bool  #: whether its end has begun
    origin: Origin  #: the process that it belongs to
    screen: Screen  #: where the output of tasks is shown

    @property
    def idle(self) -> bool:
        """Whether everything that the master has accepted has ended."""
        ...

    def call(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Call the master's broker."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the master has accepted all that was submitted."""

    def cancel_all(self) -> int:
        """Cancel everything that has not started; return how many tasks."""
        ...


class OpenWork:
    """The tasks of one session that have not ended, and the launchers whose workers may do them."""

    def __init__(self, session: Submitter) -> None:
        self._session = session
        self.launchers: list[Any] = []
        self.stays = True  #: whether what nobody can do now stays with the master, for workers that come later
        _of_all_clients.add(self)

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

    def finish(self, goes_on: Callable[[dict[str, Any]], bool] = can_work) -> None:
        """Wait for what somebody can do. The rest stays with the master, or goes with it: a warning says so."""
        self.wait([each for each in self.launchers if not each.stopped], goes_on)
        with contextlib.suppress(MasterGone, Refused, TimeoutError):
            if not self.stays:
                self._abandon_rest()

    def _abandon_rest(self) -> None:
        if not (count := self._session.cancel_all()):
            return
        tasks = "1 task was" if count == 1 else f"{count} tasks were"
        stopped = any(launcher.stopped and not launcher.waited for launcher in self.launchers)
        why = "workers were stopped before (take the results first)" if stopped else "no worker serves their queue"
        warnings.warn(f"dqlab: {tasks} cancelled at the end of the master: {why}", stacklevel=2)
        self.wait((), can_work)  # for what was done, and is on its way

    def begin_end(self) -> bool:
        """Note that nothing more comes; return whether that is news, and whether it is here that it ends."""
        session = self._session
        news = not session.closing and not session.closed and session.origin.is_here
        session.closing = True
        return news

    def finish_at_exit(self) -> None:
        """The same at the end of a script that has not ended its client; a word says why, if it takes long."""
        say_at = time.monotonic() + HINT_AFTER

        def goes_on(stats: dict[str, Any]) -> bool:
            nonlocal say_at
            goes = can_work(stats)
            if goes and time.monotonic() > say_at:
                say_at = math.inf
                print("dqlab: the script is at its end and waits for its tasks; Ctrl-C gives them up", file=sys.stderr)
            return goes

        self.finish(goes_on)


_of_all_clients: weakref.WeakSet[OpenWork] = weakref.WeakSet()


def _finish_all() -> None:
    """Finish the work of clients that nobody has begun to end.

    Whoever was interrupted doesn't want to wait, nor does who ends an interactive session (`sys.ps1`): a kernel, say.
    """
    interrupted = issubclass(getattr(sys, "last_type", None) or Exception, KeyboardInterrupt)
    patient = not interrupted and not hasattr(sys, "ps1")
    for work in list(_of_all_clients):
        try:
            if work.begin_end() and patient:
                work.finish_at_exit()
        except LaunchFailed as error:
            print(f"dqlab: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            patient = False


# As `concurrent.futures` does it: at the exit of the main thread, when the others still run.
with contextlib.suppress(RuntimeError):  # the exit has begun already
    threading._register_atexit(_finish_all)  # type: ignore[attr-defined]
