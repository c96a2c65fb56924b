"""A worker for a plain master: a `BaseManager` with two `queue.Queue`s that knows nothing of dqlab.

    plain master ──task.get──>  plain worker ──job──> child (runs the handler)
                 <─result.put─       │       <─result─

There are no leases here, so the worker makes up for them as far as it can: it takes one task at a time, runs it in a
child process, and runs it again (`ATTEMPTS` in all) when the handler raises or the child dies. What it can't make up
for: when the worker itself is killed, the plain master has lost the task in hand, and a worker that is killed while it
waits in `get` costs the next one too. Where that matters, let `dqlab master` serve the queues.

It speaks to the master as the standard proxies do, on one connection; an empty queue is a `get` that times out, never
an answer of `empty()`, which may be wrong by the time that it is read.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Any

from dqlab.errors import AuthenticationFailed, BadInput, ConnectionFailed, Refused
from dqlab.wire.address import place
from dqlab.wire.connection import dial
from dqlab.wire.messages import PLAIN, Header, Lease, Report
from dqlab.worker.child_process import ChildProcess
from dqlab.worker.job import Job
from dqlab.worker.settings import WorkerSettings
from dqlab.worker.worker import LOOK, RETRY, RETRY_MAX

__all__ = ["PlainWorker"]

#: seconds that one `get` or `put` waits in the master; so long may a worker take to notice that it is to stop
WAIT = 1.0
#: how often a task is tried that raises or kills its process
ATTEMPTS = 3
#: characters of a task's value in a message
SHOWN = 80


class PlainQueue:
    """A queue of the master, by the name that it was registered under there."""

    def __init__(self, settings: WorkerSettings, name: str, option: str) -> None:
        self._settings = settings
        try:
            self._ident, exposed = self._ask_manager("create", name)
        except Refused as exc:
            if not exc.message.startswith("KeyError"):
                raise
            raise BadInput(
                f"the master at {_where(settings)} has no {name!r}", f"{option} NAME, as it is registered there"
            ) from exc
        self.counts_done = "task_done" in exposed

    def _ask_manager(self, method: str, *args: Any) -> Any:
        settings = self._settings
        conn = dial(settings.address, settings.authkey, make=connection.Connection)
        with contextlib.closing(conn):
            return _ask(conn, settings.give_up, method, *args)

    def call(self, conn: connection.Connection, method: str, *args: Any) -> Any:
        """One of the queue's methods."""
        self.send(conn, method, *args)
        return self.answer(conn, method)

    def send(self, conn: connection.Connection, method: str, *args: Any) -> None:
        """The first half of `call`."""
        conn.send((self._ident, method, args, {}))

    def answer(self, conn: connection.Connection, method: str) -> Any:
        """The second half."""
        return _answer(conn, self._settings.give_up, method)

    def release(self) -> None:
        """The master need not keep the object for us any more."""
        with contextlib.suppress(OSError, EOFError, Refused):
            self._ask_manager("decref", self._ident)


class PlainWorker:
    """`run()` works until told to stop. `announce(event, **fields)` hears that it has connected."""

    def __init__(self, settings: WorkerSettings, announce: Callable[..., None] = lambda *a, **k: None) -> None:
        if settings.handler is None:
            raise BadInput(
                f"the master at {_where(settings)} is a plain BaseManager: its tasks need a handler",
                "--handler module:function names the function that is called with each task",
            )
        self.settings, self._announce = settings, announce
        self.name = f"plain-{os.getpid()}"
        self.done = 0
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._child = ChildProcess(settings.handler, self._inbox)
        self._child.worker = self.name
        self._results: list[Any] = []  #: what the master has not confirmed yet: one at most
        self._sent = False  #: whether it went out and only the answer was not heard
        self._stopping = threading.Event()

    def run(self) -> int:
        """Work until stopped, until nothing is left (if so asked), or until the master is gone; return 0."""
        away_since, pause = time.monotonic(), RETRY
        try:
            self._until_child_is_ready()
            while not self._stopping.is_set():
                try:
                    with self._connected() as (conn, tasks, results):
                        self._announce("joined", name=self.name, pid=os.getpid())
                        try:
                            self._work(conn, tasks, results)
                        finally:
                            away_since, pause = time.monotonic(), RETRY
                        return 0
                except AuthenticationFailed:
                    raise
                except (EOFError, OSError):  # ConnectionFailed is an OSError too
                    patience = 0.0 if self.settings.until_empty and not self._owing() else self.settings.give_up
                    if time.monotonic() - away_since >= patience:
                        return self._master_gone()
                    self._stopping.wait(pause * random.uniform(0.5, 1.5))
                    pause = min(RETRY_MAX, pause * 2)
            return 0
        finally:
            self._child.end()

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
        _say(f"the plain master at {_where(self.settings)} is gone; {self.done} tasks done{more}")
        return 1 if self._owing() else 0

    def _owing(self) -> bool:
        return bool(self._results) and not self._sent

    @contextlib.contextmanager
    def _connected(self) -> Iterator[tuple[connection.Connection, PlainQueue, PlainQueue]]:
        settings = self.settings
        tasks = PlainQueue(settings, settings.task_name, "--task-name")
        results = PlainQueue(settings, settings.result_name, "--result-name")
        conn = dial(settings.address, settings.authkey, make=connection.Connection)
        with contextlib.closing(conn):
            _ask(conn, settings.give_up, "accept_connection", self.name)
            yield conn, tasks, results
        for held in (tasks, results):
            held.release()

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _work(self, conn: connection.Connection, tasks: PlainQueue, results: PlainQueue) -> None:
        self._deliver(conn, results)  # what an earlier connection could not
        while not self._stopping.is_set():
            try:
                value = tasks.call(conn, "get", True, WAIT)
            except queue.Empty:
                if self.settings.until_empty:
                    return
                continue
            except _Unreadable as exc:
                _say(f"a task is lost: {exc}")
            else:
                self._results += self._try(value)
                self._deliver(conn, results)
            if tasks.counts_done:
                tasks.call(conn, "task_done")

    def _deliver(self, conn: connection.Connection, results: PlainQueue) -> None:
        """Put what the master has not got yet; a full queue is waited for, but not by a worker that is to stop."""
        patience = time.monotonic() + self.settings.give_up
        while self._results:
            self._sent = False
            results.send(conn, "put", self._results[0], True, WAIT)
            self._sent = True
            try:
                results.answer(conn, "put")
                self._results.clear()
            except queue.Full:
                self._sent = False
                if self._stopping.is_set() and time.monotonic() > patience:
                    raise Refused(f"the result queue has been full for {self.settings.give_up:g} s") from None

    def _try(self, value: Any) -> list[Any]:
        """`[result]` of the handler; `[]`, and words on standard error, if every attempt went wrong."""
        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            outcome = self._run(value, attempt)
            if outcome.kind == "done":
                self.done += 1
                return list(outcome.value)
            reason = outcome.value if outcome.kind == "died" else outcome.value.summary
        text = repr(value)
        _say(f"task {text[:SHOWN]} failed {ATTEMPTS} times: {reason}; the plain master is told nothing")
        return []

    def _run(self, value: Any, attempt: int) -> Report:
        """One attempt in the child, to whatever end."""
        header = Header(queue=PLAIN, kind=PLAIN)
        lease = Lease(token=0, first=0, lo=0, hi=1, attempt=attempt, careful=True, header=header, payload=None)
        waiting = [Job(lease, [value], b"", 0, 1)]
        outcomes: list[Report] = []
        while not outcomes or self._child.busy:
            if waiting and not self._child.busy:
                self._child.feed(waiting)
            found, waiting = self._hear()
            outcomes += found
        return outcomes[0]

    def _until_child_is_ready(self) -> None:
        """No task is taken before somebody can run it: `LaunchFailed` if the handler doesn't load."""
        while not self._child.ready and not self._stopping.is_set():
            self._hear()

    def _hear(self) -> tuple[list[Report], list[Job]]:
        """What the child's next word means: outcomes, and jobs to be fed again."""
        try:
            generation, words = self._inbox.get(timeout=LOOK)
        except queue.Empty:
            return [], []
        if generation != self._child.generation:
            return [], []
        if words is None:
            return self._child.bury()
        for word in words:
            if word[0] == "printed":
                print(word[2], end="", file=sys.stderr, flush=True)
        return self._child.hear(words), []


class _Unreadable(Exception):
    """An answer arrived whose value cannot be had here."""


def _ask(conn: connection.Connection, patience: float, method: str, *args: Any) -> Any:
    """One request to a BaseManager's server itself, and its answer."""
    conn.send((None, method, args, {}))
    return _answer(conn, patience, method)


def _answer(conn: connection.Connection, patience: float, method: str) -> Any:
    """The next answer of a BaseManager's server, which may take `patience` seconds."""
    if not conn.poll(patience):
        raise ConnectionFailed(f"the master has not answered {method!r} for {patience:g} s")
    try:
        kind, value = conn.recv()
    except (EOFError, OSError):
        raise
    except Exception as exc:  # whatever a value of a class that is not known here raises
        raise _Unreadable(f"{type(exc).__name__}: {exc}") from exc
    if kind == "#RETURN":
        return value
    if isinstance(value, queue.Empty | queue.Full):
        raise value
    if kind == "#UNSERIALIZABLE":
        raise _Unreadable(f"the master could not send it: {value}")
    raise Refused(str(value).strip().splitlines()[-1] if kind == "#TRACEBACK" else f"{method}: {value!r}")


def _say(text: str) -> None:
    print(f"dqlab worker: {text}", file=sys.stderr, flush=True)


def _where(settings: WorkerSettings) -> str:
    return place(*settings.address)
