"""A worker for a plain master: a `BaseManager` with two `queue.Queue`s that knows nothing of dqlab.

    plain master ──task.get──>  plain worker ──job──> child (reads the task, runs the handler)
                 <─result.put─       │       <─result─

There are no leases here, so the worker makes up for them as far as it can: it takes one task at a time, runs it in a
child process, and runs it again (`ATTEMPTS` in all) when the handler raises or the child dies. What it can't make up
for: when the worker itself is killed, the plain master has lost the task in hand, and a worker that is killed while it
waits in `get` costs the next one too. Where that matters, let `dqlab master` serve the queues.

It ends as a plain worker does: by a stop sign, by a handler's SystemExit, and by the first task that it can't read, so
that it doesn't use up those that others can. An empty queue is a `get` that times out, never an answer of `empty()`,
which may be wrong by the time that it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from dqlab.errors import BadInput, Refused
from dqlab.wire.address import place
from dqlab.wire.checks import shown
from dqlab.wire.envelope import Envelope
from dqlab.wire.messages import PLAIN, Header, Lease, Report
from dqlab.wire.plain_data import load_plain
from dqlab.wire.printed import Piece
from dqlab.wire.reconnect import FINAL, Away, persist
from dqlab.worker.child_process import ChildProcess
from dqlab.worker.inbox import Inbox
from dqlab.worker.job import Job
from dqlab.worker.plain_master import PlainMaster, Unreadable
from dqlab.worker.plain_task import ANSWERED, PILL, QUIT, UNREADABLE, run_plain_task
from dqlab.worker.settings import WorkerSettings
from dqlab.worker.worker import LOOK, RETRY, RETRY_MAX

__all__ = ["PlainWorker"]

#: how often a task is tried that raises or kills its process
ATTEMPTS = 3
#: what the child calls with each task
_FUNCTION = Envelope("", (), ("",), b"", pickle.dumps(run_plain_task), False).dump()
_HEADER = Header(queue=PLAIN, kind="call", function=hashlib.sha256(_FUNCTION).hexdigest())


class PlainWorker:
    """`run()` works until told to stop. `announce(event, **fields)` hears that it has joined, and what tasks print."""

    def __init__(self, settings: WorkerSettings, announce: Callable[..., None] = lambda *a, **k: None) -> None:
        if settings.handler is None:
            raise BadInput(
                f"the master at {place(*settings.address)} is a plain BaseManager: its tasks need a handler",
                "--handler module:function names the function that is called with each task",
            )
        self.settings, self._announce = settings, announce
        self.name = f"plain-{os.getpid()}"
        self.done = 0
        self._taken = 0
        self._inbox = Inbox()
        self._child = ChildProcess(settings.handler, self._inbox, self._hear_printed)
        self._child.worker = self.name
        self._result: bytes | None = None  #: what the master has not confirmed yet
        self._sent = False  #: whether it went out and only the answer was not heard
        self._stopping = threading.Event()

    def run(self) -> int:
        """Work until stopped, until nothing is left (if so asked), or until the master is gone; return 0.

        `Refused` if a task can't be read.
        """
        away = Away(self.settings.give_up, RETRY, RETRY_MAX, self._stopping.wait)
        try:
            self._until_child_is_ready()
            persist(lambda: self._serve(away), away, lambda error: self._ending())
        except FINAL:
            raise
        except (EOFError, OSError):  # ConnectionFailed is an OSError too
            return 0 if self._stopping.is_set() and not self._owing() else self._master_gone()
        finally:
            self._child.end()
            self._inbox.close()
        return 0

    def _serve(self, away: Away) -> None:
        with PlainMaster(self.settings, self.name) as master:
            self._announce("joined", name=self.name, pid=os.getpid())
            try:
                self._work(master)
            finally:
                away.back()

    def _ending(self) -> bool:
        """Whether nobody need look for a master that is away."""
        return self._stopping.is_set() or (self.settings.until_empty and not self._owing())

    def stop(self) -> None:
        """End after the task in hand; may be called from a signal handler or another thread."""
        self._stopping.set()

    def end_now(self) -> None:
        """The owner is gone: end at once, with the child."""
        with contextlib.suppress(Exception):
            self._child.kill()
        os._exit(0)

    def _master_gone(self) -> int:
        more = ", the last result could not be delivered" if self._owing() else ""
        _say(f"the plain master at {place(*self.settings.address)} is gone; {self.done} tasks done{more}")
        return 1 if self._owing() else 0

    def _owing(self) -> bool:
        return self._result is not None and not self._sent

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _work(self, master: PlainMaster) -> None:
        self._deliver(master)  # what an earlier connection could not
        while not self._stopping.is_set():
            try:
                message = master.get()
            except queue.Empty:
                if self.settings.until_empty:
                    return
                continue
            except Unreadable as exc:
                raise Refused(f"a task is lost: {exc}") from None
            self._try(message)
            self._deliver(master)
            master.task_done()

    def _deliver(self, master: PlainMaster) -> None:
        """Put what the master has not got yet; a full queue is waited for, but not by a worker that is to stop."""
        away = Away(self.settings.give_up, RETRY, RETRY_MAX)
        while self._result is not None:
            self._sent = False
            master.send_result(self._result)
            self._sent = True
            try:
                master.hear_result_taken()
                self._result = None
            except queue.Full:
                self._sent = False
                if self._stopping.is_set() and away.over():
                    raise Refused(f"the result queue has been full for {self.settings.give_up:g} s") from None

    def _try(self, message: bytes) -> None:
        """Run a task to its end: its result is to be delivered, or there are words on standard error."""
        self._taken += 1
        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            report = self._run(message, attempt)
            if report.kind == "done":
                self._end_task(*load_plain(bytes(report.value)))
                return
            reason = report.value if report.kind == "died" else report.value.summary
        _say(f"task {_shown(message)} failed {ATTEMPTS} times: {reason}; the plain master is told nothing")

    def _end_task(self, how: str, value: Any) -> None:
        if how == UNREADABLE:
            raise Refused(f"a task can't be read: {value}", "what it is made of must be in the handler's module")
        if how == ANSWERED:
            self.done += 1
            self._result = value
        if how in (PILL, QUIT):
            if value:
                _say(value)
            self._stopping.set()

    def _run(self, message: bytes, attempt: int) -> Report:
        """One attempt in the child, to whatever end."""
        payload = pickle.dumps(((self.settings.handler, self.settings.pills, message), {}), 5)
        lease = Lease(
            token=0, first=self._taken, lo=0, hi=1, attempt=attempt, careful=True, header=_HEADER, payload=payload
        )
        waiting = [Job(lease, payload, _FUNCTION, 0, 1)]
        reports: list[Report] = []
        while not reports or self._child.busy:
            if waiting and not self._child.busy:
                self._child.feed(waiting)
            found, waiting = self._hear()
            reports += found
        return reports[0]

    def _until_child_is_ready(self) -> None:
        """No task is taken before somebody can run it: `LaunchFailed` if the handler doesn't load."""
        while not self._child.ready and not self._stopping.is_set():
            self._hear()

    def _hear(self) -> tuple[list[Report], list[Job]]:
        """What the child's next words mean: outcomes, and jobs to be fed again."""
        _, speaks = self._inbox.wait(LOOK)
        if speaks:
            self._child.listen()
        reports, rest = self._child.hear(), list[Job]()
        if self._child.ended:
            suspects, rest = self._child.bury()
            reports += suspects
        return reports, rest

    def _hear_printed(self, pieces: list[Piece]) -> None:
        if pieces:
            self._announce("printed", pieces=[(self.name, *piece) for piece in pieces])


def _shown(message: bytes) -> str:
    """The task in a master's answer, in words, if it can be read here."""
    try:
        return shown(load_plain(message)[1])
    except pickle.UnpicklingError:
        return f"of {len(message)} bytes"


def _say(text: str) -> None:
    print(f"dqlab worker: {text}", file=sys.stderr, flush=True)
