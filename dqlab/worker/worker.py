"""The worker: holds the connections to the master and one child process, and never runs a user's code itself.

    master ──leases──>  worker  ──jobs──>  child (runs the tasks)
           <─outcomes──   │     <─outcomes──
           <─heartbeats───┘   commands (stop, give back) come on the heartbeats' connection

The main loop is `Worker._work`: gather outcomes, exchange them for more leases, feed the child. How much it gets is the
broker's decision. Heartbeats come from a thread of their own, so a long task keeps its lease; a task that crashes takes
only the child with it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from dqlab.errors import AuthenticationFailed, ConnectionFailed, NotDqlab
from dqlab.wire.connection import PlainConnection
from dqlab.wire.envelope import PYTHON
from dqlab.wire.greeting import WORKER
from dqlab.wire.messages import Lease, Report
from dqlab.wire.printed import Piece
from dqlab.wire.reconnect import FINAL, Away, persist
from dqlab.wire.request import open_broker, request
from dqlab.worker.child_process import ChildProcess
from dqlab.worker.control_line import ControlLine
from dqlab.worker.held_jobs import HeldJobs
from dqlab.worker.inbox import Inbox
from dqlab.worker.printed import Printed
from dqlab.worker.settings import WorkerSettings

__all__ = ["LOOK", "RETRY", "RETRY_MAX", "Worker"]

#: seconds that an idle worker waits in the master for a task
IDLE_WAIT = 10.0
#: the same for one that ends when nothing is left: it looks again so often
LAST_WAIT = 0.2
#: seconds: first and longest pause between two attempts to reach the master
RETRY, RETRY_MAX = 0.1, 5.0
#: seconds that a task may still take when its lease has run out
LATE = 0.5
#: seconds that an outcome may wait for others, while the child has more to do
TOGETHER = 0.05
#: seconds between two looks at the time-outs of running tasks
LOOK = 0.05


class _LeaseLost(Exception):
    """The master gave our tasks to others, or the connection broke: whatever we hold is no longer ours."""


class Worker:
    """`run()` works until told to stop. `announce(event, **fields)` hears of joining, and what tasks print."""

    def __init__(self, settings: WorkerSettings, announce: Callable[..., None] = lambda *a, **k: None) -> None:
        self.settings, self._announce = settings, announce
        self.name: str | None = None
        self._inbox = Inbox()
        self._printed = Printed()
        self._child = ChildProcess(settings.handler, self._inbox, self._hear_printed)
        self._held = HeldJobs()
        self._reports: list[Report] = []
        self._stopping = self._goodbye = self._expired = False
        self._data: PlainConnection | None = None
        self._control: ControlLine | None = None

    # -- life -----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until stopped, or the master says goodbye, or is away for too long; return an exit code."""
        away = Away(self.settings.give_up, RETRY, RETRY_MAX, self._rest)
        try:
            self._load_handler()
            persist(lambda: self._serve(away), away, lambda error: self._ending())
        except FINAL:
            raise
        except (EOFError, OSError) as exc:
            if not self._ending():
                raise ConnectionFailed(f"no master for {self.settings.give_up:g} s: {exc}") from exc
        finally:
            self._child.end()
            self._inbox.close()
        return 0

    def _serve(self, away: Away) -> None:
        """Join and work, again whenever the leases are lost, until there is nothing more to do."""
        while not self._ending():
            try:
                with self._connected():
                    self._announce("joined", name=self.name, pid=os.getpid())
                    away.back()
                    self._work()
                    return
            except NotDqlab as exc:
                if self.name is None:
                    raise
                # Whoever takes a dead master's port may say that: a worker of dqlab's never comes down to it.
                raise AuthenticationFailed("a plain BaseManager answers where a master of dqlab was") from exc
            except _LeaseLost:
                self._forget_leases()
            except (EOFError, OSError):
                self._forget_leases()
                raise

    def _rest(self, seconds: float) -> None:
        """Pass the time until the next attempt, and hear meanwhile what the child says."""
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._hear_within(left)

    def _load_handler(self) -> None:
        """Join only once the child has the handler; `LaunchFailed` if it can't load it, before that costs a task."""
        while self.settings.handler and not self._child.ready and not self._stopping:
            self._hear_within(LOOK)

    def _ending(self) -> bool:
        return self._goodbye or self._stopping

    def stop(self) -> None:
        """End after the task in hand; may be called from a signal handler or another thread."""
        self._stopping = True
        self._inbox.put(("stop", None))
        if self._control is not None:
            self._control.say("stop")  # the master must give us no more, and answer if we wait there for a task

    def end_now(self) -> None:
        """The owner is gone: end at once, with the child."""
        with contextlib.suppress(Exception):
            self._child.kill()
        os._exit(0)

    # -- the main loop --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._gather()
            if self._expired:
                self._say_late()
            if self._stopping:
                self._release(1.0)
                if self._idle():
                    request(self._data, "leave", "stopped")
                    return
            if self._reports or not self._stopping:
                at_once = self._child.busy or self._held or self._stopping
                self._exchange(0.0 if at_once else LAST_WAIT if self.settings.until_empty else IDLE_WAIT)
            if self._goodbye or (self._idle() and self.settings.until_empty and self._nothing_left()):
                with contextlib.suppress(Exception):
                    request(self._data, "leave", "nothing left to do")
                return
            if self._held and not self._child.busy and not self._stopping:
                self._child.feed(self._held.take())

    def _idle(self) -> bool:
        return not self._child.busy and not self._held and not self._reports

    def _nothing_left(self) -> bool:
        queues = list(self.settings.queues) if self.settings.queues is not None else None
        return int(request(self._data, "unfinished", queues)) == 0

    def _gather(self) -> None:
        """Take in what there is; while the child works and has said nothing, wait for that, and for what comes soon."""
        heard = not self._child.busy and self._hear_within(0.0)
        while self._child.busy and not (heard or self._reports or self._goodbye):
            heard = self._hear_within(LOOK)
            self._child.overdue()
        if self._child.busy and self._reports and all(report.kind == "done" for report in self._reports):
            self._gather_results(time.monotonic() + TOGETHER)

    def _gather_results(self, deadline: float) -> None:
        """Hear results until then, or until anything else is said; all at once, as each time costs."""
        words: list[Any] = []
        while not words and (left := deadline - time.monotonic()) > 0:
            words, speaks = self._inbox.wait(left)
            if speaks and self._child.listen():
                break
        self._take_in(words)
        self._child.overdue()

    def _hear_within(self, seconds: float) -> bool:
        """Wait up to `seconds` until there is something to hear; take it in, and return whether there was."""
        words, speaks = self._inbox.wait(seconds)
        if speaks:
            self._child.listen()
        return self._take_in(words)

    def _take_in(self, words: list[Any]) -> bool:
        """What other threads and the child have said; return whether that is anything."""
        heard = bool(words or self._child.said or self._child.ended)
        if self._child.said:
            self._reports += self._child.hear()
            self._stopping |= self._child.quits  # a handler's SystemExit ends its worker, as it ends a plain script
        if self._child.ended:
            reports, rest = self._child.bury()
            self._reports += reports
            self._held.put_back(rest)
        if True in [self._hear(*word) for word in words]:
            raise _LeaseLost
        return heard

    def _say_late(self) -> None:
        """We slept, and our leases ran out: what is as good as done is said nevertheless, so that it is counted."""
        self._expired = False
        self._held.take()
        self._child.take_back(1.0)
        deadline = time.monotonic() + LATE
        while self._child.busy and (left := deadline - time.monotonic()) > 0:
            self._hear_within(left)
        self._exchange(0.0)
        raise _LeaseLost

    def _hear(self, kind: str, about: Any) -> bool:
        """What another thread has said; return whether our leases are lost by that."""
        if kind == "expired":
            self._expired = about is self._control
        elif kind == "command":
            self._obey(about)
        return kind == "lost" and about is self._control

    def _hear_printed(self, pieces: list[Piece]) -> None:
        if pieces:
            self._announce("printed", pieces=[(self.name, *piece) for piece in pieces])
        self._printed.take(pieces)

    def _obey(self, command: tuple[Any, ...]) -> None:
        if command[0] == "reclaim":
            self._release(command[1])
        elif command[0] == "stop":
            self._stopping = True
        elif command[0] == "bye":
            self._goodbye = True

    def _release(self, share: float) -> None:
        """Give back the later `share` of what has not begun: first what the child has not seen, then of its feed."""
        waiting = len(self._held)
        self._reports += self._held.release(share, keep=0 if self._child.busy or share == 1.0 else 1)
        if not waiting or share == 1.0:
            self._reports += self._child.take_back(share)

    def _exchange(self, wait: float) -> None:
        sent, self._reports = self._reports, []
        reply = request(self._data, "exchange", [report.encode() for report in sent], wait)
        if reply is None:
            raise _LeaseLost
        leases, functions = reply
        self._held.add(map(Lease.restore, leases), functions)

    # -- connections ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connected(self) -> Any:
        """Join the master on one connection, open the control line on another; close both at the end."""
        settings = self.settings
        self._data = data = open_broker(settings.address, settings.authkey, WORKER)
        try:
            queues = list(settings.queues) if settings.queues is not None else None
            here = settings.host or socket.gethostname(), os.getpid(), queues, bool(settings.handler), self.name, PYTHON
            self.name, lease, results = request(data, "join", *here)
            self._child.worker, self._child.results = self.name or "", results
            conn = open_broker(settings.address, settings.authkey, WORKER)
            self._control = ControlLine(conn, self.name, lease, lambda *word: self._heard(data, *word))
            self._printed.line = self._control
            try:
                yield
            finally:
                self._control.close()
        finally:
            data.close()
            self._data = self._control = self._printed.line = None

    def _heard(self, data: PlainConnection, line: ControlLine, kind: str, command: tuple[Any, ...] = ("",)) -> None:
        """In the control line's thread: put it down for the main loop, and call that if it waits in the master."""
        self._inbox.put((kind, command if kind == "command" else line))
        if command[0] == "stop":
            self._stopping = True
        elif command[0] == "bye" and not self._child.busy:
            self._goodbye = True
            data.hang_up()
        elif kind == "lost":
            data.hang_up()

    def _forget_leases(self) -> None:
        """What we held belongs to others now: a task still running for a lost lease is ended."""
        self._held = HeldJobs()
        self._reports.clear()
        if self._child.busy:
            self._child.restart()
        else:
            self._child.forget_payloads()
