"""The client as people use it: a `concurrent.futures.Executor` whose work is done by dqlab's workers.

client.submit(f, x)  ──>  a run of one task     ──>  Future
client.map(f, xs)    ──>  runs of many tasks    ──>  MapResults, in order
client.options(queue="images", retries=2)       ──>  the same client, other settings
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from dqlab.client.administration import Administration
from dqlab.client.channel import pause
from dqlab.client.connections import PATIENCE
from dqlab.client.found_futures import FoundFutures
from dqlab.client.future import HINT_AFTER, Future
from dqlab.client.map_results import MapResults
from dqlab.client.pickling import dump_call, dump_function
from dqlab.client.plain_queue import PlainQueue
from dqlab.client.results import raise_outcome
from dqlab.client.session import Session
from dqlab.client.submission import Submission, make_header
from dqlab.errors import BadInput, MasterGone, WrongType
from dqlab.wire.address import place
from dqlab.wire.checks import SECONDS, one_of
from dqlab.wire.connection_file import Connection, find_connection
from dqlab.wire.messages import PLAIN, Found, Options

__all__ = ["Client", "connect"]

#: seconds between two looks whether there is anything to be said
LOOK = 0.25
#: what `submit` may do when the backlog is full
WHEN_FULL = one_of("wait", "raise")

P = ParamSpec("P")
T = TypeVar("T")


class Client(concurrent.futures.Executor, Administration):
    """Submits tasks to a master and reads their results. Made by `connect`, `Master` or `options`."""

    def __init__(self, session: Session, options: Options | None = None, when_full: str = "wait") -> None:
        self._session, self._options, self._when_full = session, options or Options(), when_full
        self._origin: Client | None = None  #: that of which this is a view: it lives as long
        self._found, self.open_work = FoundFutures(session), session.open_work
        self.launchers = session.open_work.launchers
        self.tasks = PlainQueue(session, "tasks")
        self.results = PlainQueue(session, "results")

    def __repr__(self) -> str:
        state = "closed" if self._session.closed else "gone" if self._session.error else "connected"
        return f"<dqlab {type(self).__name__} {state}>"

    @property
    def closed(self) -> bool:
        """Whether it was shut down, by `shutdown` or at the end of its `with` block; what still waits may go on."""
        return self._session.closed or self._session.closing

    def __reduce__(self) -> Any:
        raise WrongType(f"a {type(self).__name__} can't be sent to a task", "connect(...) inside the task")

    @property
    def _max_workers(self) -> int:
        """How many workers its queue has, or gets from a launcher of ours, as others ask an executor; at least 1."""
        serve = [w for w in self.stats()["workers"] if w["queues"] is None or self._options.queue in w["queues"]]
        started = sum(len(launcher) for launcher in self.launchers if launcher.serves(self._options.queue))
        return max(1, len(serve), started)

    @property
    def connection(self) -> Connection:
        """Where the master is, and its key."""
        return self._session.connection

    @property
    def address(self) -> str:
        """`HOST:PORT` of the master."""
        return place(*self.connection.address)

    def options(self, **changes: Any) -> Client:
        """This client with other options; `client.options(queue="images", retries=2).submit(f, x)`.

        `queue`, `retries`, `timeout` and `max_attempts` are those of `dqlab.wire.messages.Options`; `when_full` says
        whether `submit` shall "wait" or "raise" when the backlog is full. Raises `BadInput` for what makes no sense.
        """
        known = [*(name for name, _ in Options.checks), "when_full"]
        for name in changes:
            if name not in known:
                raise BadInput(f"no option {name!r}", f"one of {', '.join(known)}")
        when_full = changes.pop("when_full", self._when_full)
        WHEN_FULL("when_full", when_full)
        options = replace(self._options, **changes)
        if options.queue == PLAIN:
            raise BadInput("queue 'plain' holds plain tasks only", "put them with master.tasks.put")
        view = Client(self._session, options, when_full)
        view._origin = self
        return view

    # -- Executor -------------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Send one task on its way and return its `Future` at once; `flush` waits until the master has it."""
        self._check_open()
        future: Future[T] = Future(self._session)
        try:
            _check_callable(fn)
            digest, pickled, python = dump_function(fn)
            payload, bound = dump_call(args, kwargs)
        except Exception as exc:
            future.resolve(None, exc)
            return future
        header = make_header(self._options, "call", digest, python or bound)
        accepted = None
        if self._when_full == "raise":
            accepted = threading.Lock()
            accepted.acquire()
        elif self._session.full:
            self._wait_for_room()

        def make(first: int) -> Submission:
            future.task_id = first
            return Submission(first, 1, header, pickled, payload, None, future, accepted)

        self._session.submit(1, make)
        while accepted is not None and accepted.locked() and not future.ended:
            pause(accepted, LOOK)
        if future.refused is not None:
            raise future.refused
        return future

    def _wait_for_room(self) -> None:
        """Wait while the backlog is full; after some seconds say so if nobody is there to empty it."""
        hint_at = time.monotonic() + HINT_AFTER
        while self._session.full and self._session.error is None and not self._session.closed:
            if time.monotonic() > hint_at:
                self.hint_if_stuck()
                hint_at += HINT_AFTER
            time.sleep(LOOK / 10)
        self._check_open()

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """`map(fn, *iterables)` on the workers: results in order, as they come, in bounded memory.

        `timeout` in seconds from this call on; `chunksize` is a hint for the first batch (batches size
        themselves); `buffersize` bounds the tasks whose results have not been taken.
        """
        self._check_open()
        _check_callable(fn)
        return MapResults(self._session, self._options, fn, iterables, timeout, chunksize, buffersize)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if self._session.error is not None:
            raise self._session.error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close this client, after all its tasks that somebody can do have ended; nothing more can be submitted.

        With `wait` that is when it returns; else a thread does the waiting, and the interpreter waits for that at its
        exit. `cancel_futures` cancels what has not started. Raises `LaunchFailed` if workers that were to do the work
        don't come up.
        """
        if self._session.closed:
            self._close()  # a view of this client may have closed the session; the rest is still to do
            return
        self._session.closing = True
        if cancel_futures:
            with contextlib.suppress(MasterGone, TimeoutError):
                self._session.cancel_all()
        if wait:
            self._finish()
        else:
            threading.Thread(target=self._finish, name="dqlab-shutdown", daemon=False).start()

    def _finish(self) -> None:
        """Wait for what somebody can do, then close."""
        try:
            self.open_work.finish()
        finally:
            self._close()

    def _close(self) -> None:
        self._session.close()

    # -- more -----------------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the master has accepted everything submitted; `TimeoutError` after `timeout` seconds."""
        self._session.flush(timeout)

    def result(self, task_id: int, timeout: float | None = None) -> Any:
        """The result of a task of this or another client, by its id; raises what the task raised.

        The master keeps the last 100,000 results for an hour. `TimeoutError` after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 5.0 if deadline is None else max(0.0, min(5.0, deadline - time.monotonic()))
            patience = None if deadline is None else max(0.0, deadline - time.monotonic()) + LOOK
            found = Found.decode(self._session.wait_call("lookup", task_id, left, timeout=patience))
            state = found.outcome.state
            if state in ("done", "failed", "cancelled"):
                self._session.show_found(task_id, found)
                return raise_outcome(task_id, found, self._session.load)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"task {task_id} is {state} after {timeout:g} s")

    def hint_if_stuck(self) -> None:
        """Say so, once, when somebody waits and no worker is there to do the work."""
        self._session.hint_if_stuck()


def _check_callable(fn: object) -> None:
    if not callable(fn):
        raise WrongType(f"{fn!r} is not callable")


def connect(
    where: str | Path, *, authkey: bytes | None = None, output: bool | None = None, patience: float = PATIENCE
) -> Client:
    """A client of the master that a connection file, or `"HOST:PORT"` with its key, stands for.

    Closing it (`with`) closes that client only; the master and its workers go on. `output` says whether what its tasks
    print is shown here; None: unless the environment has `DQLAB_OUTPUT=0`. A master that went away is looked for, for
    `patience` seconds: with a journal it may come back.
    """
    SECONDS("patience", patience)
    return Client(Session(find_connection(where, authkey), output=output, patience=patience))
