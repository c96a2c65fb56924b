"""The worker: holds the connections to the master and one child process, and never runs a user's code itself.

    master ──leases──>  worker  ──jobs──>  child (runs the tasks)
           <─outcomes──   │     <─outcomes──
           <─heartbeats───┘   commands (stop, give back) come on the heartbeats' connection

The main loop is `Worker._work`: gather outcomes, exchange them for more leases, feed the child. How much it gets is the
broker's decision. Heartbeats come from a thread of their own, so a long task keeps its lease; a task that crashes takes
only the child with it.
"""

from __future__ import annotations

import base64
import contextlib
import os
import queue
import random
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dqlab.errors import AuthenticationFailed, ConnectionFailed, NotDqlab
from dqlab.wire.connection import PlainConnection
from dqlab.wire.greeting import WORKER
from dqlab.wire.messages import PAYLOADS_HELD, PLAIN, Lease, Report
from dqlab.wire.request import open_broker, request
from dqlab.worker.child_process import ChildProcess, Job
from dqlab.worker.control_line import ControlLine

__all__ = ["Worker", "WorkerSettings"]

#: seconds that an idle worker waits in the master for a task
IDLE_WAIT = 10.0
#: the same for one that ends when nothing is left: it looks again so often
LAST_WAIT = 0.2
#: seconds without any master after which a worker gives up
GIVE_UP = 60.0
#: seconds: first and longest pause between two attempts to reach the master
RETRY, RETRY_MAX = 0.1, 5.0
#: seconds that a task may still take when its lease has run out
LATE = 0.5
#: seconds that an outcome may wait for others, while the child has more to do
TOGETHER = 0.05
#: seconds between two looks at the time-outs of running tasks
LOOK = 0.05


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know. ``queues`` None means all; ``handler`` is ``module:function`` for plain tasks.

    `task_name` and `result_name` are what a plain master, one that is not dqlab's, calls its two queues. Only a worker
    that was given the address itself (`by_address`) works for one: what a connection file stands for is dqlab's.
    """

    address: tuple[str, int]
    authkey: bytes
    queues: tuple[str, ...] | None = None
    handler: str | None = None
    until_empty: bool = False
    give_up: float = GIVE_UP
    host: str = ""
    task_name: str = "get_task_queue"
    result_name: str = "get_result_queue"
    by_address: bool = False

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> WorkerSettings:
        """From the owner's line of JSON; the key is base64."""
        queues = settings.get("queues")
        return cls(
            address=(str(settings["host"]), int(settings["port"])),
            authkey=base64.b64decode(settings["authkey"]),
            queues=tuple(queues) if queues is not None else None,
            handler=settings.get("handler"),
            until_empty=bool(settings.get("until_empty", False)),
            give_up=float(settings.get("give_up", GIVE_UP)),
            host=str(settings.get("host_name") or ""),
            task_name=str(settings.get("task_name") or cls.task_name),
            result_name=str(settings.get("result_name") or cls.result_name),
            by_address=bool(settings.get("by_address", False)),
        )


class _LeaseLost(Exception):
    """The master gave our tasks to others, or the connection broke: whatever we hold is no longer ours."""


class Worker:
    """``run()`` works until told to stop. ``announce(event, **fields)`` hears of joining and leaving."""

    def __init__(self, settings: WorkerSettings, announce: Callable[..., None] = lambda *a, **k: None) -> None:
        self.settings, self._announce = settings, announce
        self.name: str | None = None
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._child = ChildProcess(settings.handler, self._inbox)
        self._held: deque[Job] = deque()  #: leased, not fed yet
        self._reports: list[Report] = []
        self._payloads: OrderedDict[int, Any] = OrderedDict()
        self._stopping = self._goodbye = self._expired = False
        self._data: PlainConnection | None = None
        self._control: ControlLine | None = None

    # -- life -----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until stopped, or the master says goodbye, or is away for too long; return an exit code."""
        try:
            self._load_handler()
            away_since, pause = time.monotonic(), RETRY
            while not self._ending():
                try:
                    with self._connected():
                        self._announce("joined", name=self.name, pid=os.getpid())
                        away_since, pause = time.monotonic(), RETRY
                        self._work()
                        return 0
                except AuthenticationFailed:
                    raise
                except NotDqlab as exc:
                    if self.name is None:
                        raise
                    # Whoever takes a dead master's port may say that: a worker of dqlab's never comes down to it.
                    raise AuthenticationFailed("a plain BaseManager answers where a master of dqlab was") from exc
                except (ConnectionFailed, _LeaseLost, EOFError, OSError) as exc:
                    self._forget_leases()
                    if self._ending():
                        break
                    away_since = self._wait_to_retry(away_since, pause, exc)
                    pause = min(RETRY_MAX, pause * 2)
            return 0
        finally:
            self._child.end()

    def _load_handler(self) -> None:
        """Join only once the child has the handler; `LaunchFailed` if it can't load it, before that costs a task."""
        while self.settings.handler and not self._child.ready and not self._stopping:
            self._hear_within(LOOK)

    def _ending(self) -> bool:
        return self._goodbye or self._stopping

    def _wait_to_retry(self, away_since: float, pause: float, exc: Exception) -> float:
        if isinstance(exc, _LeaseLost):
            return time.monotonic()
        if time.monotonic() - away_since > self.settings.give_up:
            raise ConnectionFailed(f"no master for {self.settings.give_up:g} s: {exc}") from exc
        deadline = time.monotonic() + pause * random.uniform(0.5, 1.5)
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._hear_within(left)
        return away_since

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
                self._exchange(0.0 if self._child.busy or self._held or self._stopping else self._patience)
            if self._goodbye or (self._idle() and self.settings.until_empty and self._nothing_left()):
                with contextlib.suppress(Exception):
                    request(self._data, "leave", "nothing left to do")
                return
            if self._held and not self._child.busy and not self._stopping:
                jobs = list(self._held)
                self._held.clear()
                self._child.feed(jobs)

    @property
    def _patience(self) -> float:
        return LAST_WAIT if self.settings.until_empty else IDLE_WAIT

    def _idle(self) -> bool:
        return not self._child.busy and not self._held and not self._reports

    def _nothing_left(self) -> bool:
        queues = list(self.settings.queues) if self.settings.queues is not None else None
        return int(request(self._data, "unfinished", queues)) == 0

    def _gather(self) -> None:
        """Wait while the child works and has said nothing; then take in all that there is, and what comes soon."""
        soon: float | None = None
        while self._child.busy and not self._goodbye:
            if any(report.kind != "done" for report in self._reports):
                break  # what was given back is for somebody who has nothing to do
            if soon is None and self._reports:
                soon = time.monotonic() + TOGETHER
            left = LOOK if soon is None else soon - time.monotonic()
            if left <= 0:
                break
            self._child.gathering = soon is not None
            heard = self._hear_within(left)
            self._child.gathering = False
            self._child.overdue()  # also when there is always something to hear
            if heard and not self._reports:
                break
        while self._hear_within(0.0):
            pass

    def _hear_within(self, seconds: float) -> bool:
        """Take in what was put aside, and the next word, if one comes within ``seconds``."""
        try:
            item = self._inbox.get(timeout=seconds)
        except queue.Empty:
            item = None
        while self._child.aside:  # this was said before the word
            self._hear(self._child.aside.popleft())
        if item is not None:
            self._hear(item)
        return item is not None

    def _say_late(self) -> None:
        """We slept, and our leases ran out: what is as good as done is said nevertheless, so that it is counted."""
        self._expired = False
        self._held.clear()
        self._child.take_back(1.0)
        deadline = time.monotonic() + LATE
        while self._child.busy and (left := deadline - time.monotonic()) > 0:
            self._hear_within(left)
        self._exchange(0.0)
        raise _LeaseLost

    def _hear(self, item: tuple[Any, Any]) -> None:
        source, message = item
        if source == "stop":
            return
        if source == "lost":
            if message is self._control:
                raise _LeaseLost
        elif source == "expired":
            self._expired = message is self._control
        elif source == "command":
            self._obey(message)
        elif source == self._child.generation:
            if message is None:
                reports, rest = self._child.bury()
                self._reports += reports
                self._held.extendleft(reversed(rest))
            else:
                self._tell_printed(message)
                self._reports += self._child.hear(message)

    def _tell_printed(self, words: list[Any]) -> None:
        printed = [word[1:] for word in words if word[0] == "printed"]
        if printed and self._control is not None:
            self._control.tell("printed", printed)

    def _obey(self, command: tuple[Any, ...]) -> None:
        if command[0] == "reclaim":
            self._release(command[1])
        elif command[0] == "stop":
            self._stopping = True
        elif command[0] == "bye":
            self._goodbye = True

    def _release(self, share: float) -> None:
        """Give back the later ``share`` of what has not begun: first what the child has not seen, then of its feed."""
        waiting = list(self._held)
        count = sum(job.hi - job.lo for job in waiting)
        if count and not self._child.busy and share < 1.0:
            count -= 1
        back = int(count * share + 0.999) if count else 0
        while back and self._held:
            job = self._held.pop()
            n = min(back, job.hi - job.lo)
            self._reports.append(Report(kind="released", token=job.lease.token, lo=job.hi - n, hi=job.hi))
            job.hi -= n
            back -= n
            if job.lo < job.hi:
                self._held.append(job)
        if not count or share == 1.0:
            self._reports += self._child.take_back(share)

    def _exchange(self, wait: float) -> None:
        sent, self._reports = self._reports, []
        reply = request(self._data, "exchange", [report.encode() for report in sent], wait)
        if reply is None:
            raise _LeaseLost
        leases, functions = reply
        self._child.functions.update(functions)
        for lease in map(Lease.decode, leases):
            payload = lease.payload
            if lease.header.kind != PLAIN:
                if payload is None:
                    payload = self._payloads[lease.first]
                else:
                    self._payloads[lease.first] = payload
                    while len(self._payloads) > PAYLOADS_HELD:
                        self._payloads.popitem(last=False)
            self._held.append(Job(replace(lease, payload=None), payload, lease.lo, lease.hi))

    # -- connections ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connected(self) -> Any:
        """Join the master on one connection, open the control line on another; close both at the end."""
        settings = self.settings
        self._data = data = open_broker(settings.address, settings.authkey, WORKER)
        try:
            queues = list(settings.queues) if settings.queues is not None else None
            host = settings.host or socket.gethostname()
            self.name, lease = request(data, "join", host, os.getpid(), queues, bool(settings.handler), self.name)
            self._child.worker = self.name or ""
            conn = open_broker(settings.address, settings.authkey, WORKER)
            self._control = ControlLine(conn, self.name, lease, lambda *word: self._heard(data, *word))
            try:
                yield
            finally:
                self._control.close()
        finally:
            data.close()
            self._data = self._control = None

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
        self._held.clear()
        self._reports.clear()
        self._payloads.clear()
        if self._child.busy:
            self._child.restart()
        else:
            self._child.forget_payloads()
