"""The client's end of the wire: what it submits goes out in batches, what has finished comes back in batches.

    submit(), map() ──> outbox ── sender thread ──> master
    Future, MapResults <── sinks <── collector thread <── master
    stats(), pause(), tasks.put() ... ──> channels (one thread and connection each)

A submission is accepted as soon as it is in the outbox; the sender repeats it until the master has it, and the master
takes a repeated one once. The collector says which results it has, so none is lost and none comes twice.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from dqlab.calls import open_broker, request
from dqlab.channel import Channel, Origin, pause
from dqlab.errors import (
    AuthenticationFailed,
    BacklogFull,
    BadInput,
    ConnectionFailed,
    DqlabError,
    MasterGone,
    Refused,
)
from dqlab.files import Connection
from dqlab.submission import Sink, Submission, pack, tell
from dqlab.tasks import PLAIN
from dqlab.wire import PlainConnection

__all__ = ["Session"]

#: seconds for which a master that went away is looked for
PATIENCE = 10.0
#: seconds that one `collect` waits in the master
COLLECT_WAIT = 5.0
#: submissions and bytes in one message
BATCH, BATCH_BYTES = 2_000, 1 << 20
#: seconds between two attempts to submit to a full backlog, or to reach a master that is away
RETRY = 0.02
#: what a client that was away too long is told
KEPT = "results are kept for an hour, the last 100,000 of them"
#: what becomes of a task whose client went first
CLOSED = "the client was closed before the task had ended"


class Session:
    """One client's connections to one master."""

    def __init__(self, connection: Connection, has_ended: Callable[[], bool] = lambda: False) -> None:
        self.connection = connection
        self._has_ended = has_ended  #: whether whoever owns the master knows that it is gone for good
        self.error: DqlabError | None = None  #: why there will be no more answers
        self.full = False  #: whether the master's backlog is full
        self.closed = False
        self._hinted = False
        self.origin = Origin()
        self._calls = Channel(self.dial, PATIENCE)
        try:
            self.about: dict[str, Any] = self._calls.call("about")
        except BaseException:
            self._calls.close()
            raise
        self._lock = threading.Lock()
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pending: dict[int, tuple[int, Sink]] = {}
        self._number: int | None = None
        self._opened = False
        self._started = {run: threading.Lock() for run in (self._send, self._collect)}  #: held by the one that runs
        self._next = 0
        self._known: set[str] = set()
        self._local = threading.local()
        self._channels: list[Channel] = [self._calls]
        self._connections: dict[str, PlainConnection] = {}

    def dial(self) -> PlainConnection:
        """A new connection to the same master; `MasterGone` if it is known to have ended, or another one answers."""
        if self.error is not None:
            raise self.error
        try:
            conn = open_broker(self.connection.address, self.connection.authkey)
        except ConnectionFailed as exc:
            if self._has_ended():
                raise MasterGone("the master has ended") from exc
            raise
        about = request(conn, "about")
        if about["id"] != getattr(self, "about", about)["id"]:
            conn.close()
            raise MasterGone("another master answers there now")
        return conn

    # -- calls ----------------------------------------------------------------------------------------------------

    def call(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Call the broker; for calls that do not wait in the master."""
        return self._calls.call(method, *args, timeout=timeout)

    def channel(self) -> Channel:
        """The calling thread's own channel, for calls that wait in the master and for the plain queues."""
        channel: Channel | None = getattr(self._local, "channel", None)
        if channel is None:
            self._local.channel = channel = Channel(self.dial, PATIENCE, "plain")
            self._channels.append(channel)
        return channel

    def hint_if_stuck(self) -> None:
        """Say so, once, when somebody waits and no worker is there to do the work."""
        if self._hinted or self.error is not None or self.closed:
            return
        try:
            stats = self.call("stats", timeout=1.0)
        except (TimeoutError, ConnectionError):
            return
        waiting = [q for q, c in stats["queues"].items() if c["ready"] and q != PLAIN]
        served = [worker["queues"] for worker in stats["workers"]]
        stuck = [q for q in waiting if not any(queues is None or q in queues for queues in served)]
        if stuck:
            self._hinted = True
            count = sum(stats["queues"][q]["ready"] for q in stuck)
            tasks = "1 task waits" if count == 1 else f"{count} tasks wait"
            print(
                f"dqlab: {tasks} in {', '.join(stuck)} and no worker serves it. "
                "Start one: LocalWorkers(master, 2), or `dqlab worker CONNECTION` in a terminal.",
                file=sys.stderr,
            )

    # -- submitting -----------------------------------------------------------------------------------------------

    def submit(self, count: int, make: Callable[[int], Submission]) -> Submission:
        """Give the next ``count`` task ids to the submission that ``make(first)`` returns, and send it on its way."""
        self.origin.check()
        self._open()
        # Ids must go out in order, so that the master can tell a repeated submission from a new one.
        with self._lock:
            first = self._next
            self._next = first + count
            submission = make(first)
            self._outbox.put(submission)
        if self.error is not None or self.closed:
            self._fail_pending(self.error or MasterGone(CLOSED))
        return submission

    def _open(self) -> None:
        # An interrupt may come after any call: whatever was not reached is done by the next submission.
        if self._opened:
            return
        if self._number is None:
            number, first = self._calls.call("open_client")
            with self._lock:
                if self._number is None:
                    self._number, self._next = number, first
        for run in self._started:
            threading.Thread(target=self._run_once, args=(run,), name=f"dqlab{run.__name__}", daemon=True).start()
        self._opened = True

    def _run_once(self, run: Callable[[], None]) -> None:
        if self._started[run].acquire(blocking=False):
            run()

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the master has accepted all that was submitted; `TimeoutError` after ``timeout`` seconds."""
        if self._number is None or self.closed:
            return
        marker = threading.Lock()
        marker.acquire()
        self._outbox.put(marker)
        deadline = None if timeout is None else time.monotonic() + timeout
        while marker.locked() and self.error is None and not self.closed:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if not pause(marker, left) and left <= 0:
                raise TimeoutError(f"the master has not accepted everything within {timeout:g} s")
        if self.error is not None:
            raise self.error
        if marker.locked():
            raise MasterGone(CLOSED)

    def cancel(self, ranges: list[tuple[int, int]]) -> int:
        """Cancel those of the (first, count) tasks that have not started; return how many that were."""
        self.flush(PATIENCE)
        return sum(n for _, n in self.call("cancel", ranges, timeout=PATIENCE))

    def cancel_all(self) -> None:
        """Cancel everything that has not started."""
        self.flush(PATIENCE)
        self.call("cancel", [(first, count) for first, (count, _) in list(self._pending.items())])

    def cancel_later(self, ranges: list[tuple[int, int]]) -> None:
        """The same for (first, count) ranges without waiting: whoever asks may be a finalizer."""
        for first, _ in ranges:
            self._pending.pop(first, None)
        if not self.closed:
            self._outbox.put(ranges)

    def _send(self) -> None:
        conn: PlainConnection | None = None
        while (item := self._outbox.get()) is not None:
            batch, after = self._drain(item)
            try:
                if batch:
                    conn = self._deliver(conn, self._pack(batch))
                for other in after:
                    if isinstance(other, list):
                        conn = self._attempt(conn, "cancel", other)[0]
                    else:
                        other.release()
            except DqlabError as exc:
                self._give_up(exc)
                return
            except Exception as exc:  # nobody may wait for ever, whatever went wrong
                self._give_up(DqlabError(f"the client's sender failed: {exc!r}"))
                raise
            if None in after:
                return

    def _drain(self, item: Any) -> tuple[list[Submission], list[Any]]:
        """A batch of submissions, and what else was waiting behind it."""
        batch: list[Submission] = []
        size = 0
        while True:
            if not isinstance(item, Submission):
                return batch, [item] if item is not None else []
            batch.append(item)
            size += len(item.payload)
            if len(batch) >= BATCH or size > BATCH_BYTES:
                return batch, []
            try:
                item = self._outbox.get_nowait()
            except queue.Empty:
                return batch, []
            if item is None:
                self._outbox.put(None)
                return batch, []

    def _pack(self, batch: list[Submission]) -> list[Submission]:
        # A run that is longer than the backlog would wait for room for ever.
        packed = pack(batch, max(1, self.about["backlog"] // 4))
        runs = [run for run in packed if run.sink is None or run.sink.goes_out(run.first)]
        for run in runs:
            if run.sink is not None:
                self._pending[run.first] = run.count, run.sink
        return runs

    def _deliver(self, conn: PlainConnection | None, batch: list[Submission]) -> PlainConnection | None:
        while batch:
            functions = {s.style.digest: s.style.pickled for s in batch if s.style.digest not in self._known}
            runs = [(s.first, s.count, *s.style.fields(s.payload)) for s in batch]
            try:
                conn, accepted = self._attempt(conn, "submit", self._number, functions, runs)
            except (BadInput, Refused) as exc:
                return self._find_culprit(conn, batch, exc)
            self._known.update(functions)
            for submission in batch[:accepted]:
                tell(submission)
            batch = batch[accepted:]
            batch = self._drop_refused(batch)
            self.full = bool(batch)
            if batch:
                threading.Event().wait(RETRY)
        return conn

    def _find_culprit(self, conn: PlainConnection | None, batch: list[Submission], exc: DqlabError) -> Any:
        """One submission of the batch was refused: send them one by one (the master takes a repeated one once)."""
        if len(batch) > 1:
            for submission in batch:
                conn = self._deliver(conn, [submission])
        elif batch[0].style.digest in self._known:
            self._known.remove(batch[0].style.digest)  # the master may have forgotten the function: send it again
            conn = self._deliver(conn, batch)
        else:
            self._refuse(batch[0], exc)
        return conn

    def _refuse(self, submission: Submission, exc: DqlabError) -> None:
        self._pending.pop(submission.first, None)
        if submission.sink is not None:
            submission.sink.gone(exc)
        tell(submission)

    def _drop_refused(self, batch: list[Submission]) -> list[Submission]:
        for submission in [s for s in batch if s.accepted is not None]:
            hint = "wait for it to shrink, or start the master with more backlog="
            self._refuse(submission, BacklogFull(f"queue {submission.style.queue!r} is full", hint))
        return [s for s in batch if s.accepted is None]

    def _attempt(self, conn: PlainConnection | None, method: str, *args: Any) -> tuple[PlainConnection, Any]:
        """Call until it is answered; reconnect meanwhile, but not for longer than `PATIENCE`."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if conn is None:
                    conn = self._connections[method] = self.dial()
                    if self.closed:
                        conn.hang_up()
                return conn, request(conn, method, *args)
            except (AuthenticationFailed, MasterGone, Refused, BadInput):
                raise
            except (EOFError, OSError) as exc:
                if conn is not None:
                    conn.close()
                conn = None
                if self.closed or time.monotonic() > deadline:
                    raise MasterGone(f"the master at {self.connection.host}:{self.connection.port} is gone") from exc
                threading.Event().wait(RETRY)

    # -- collecting -----------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        conn: PlainConnection | None = None
        ack = 0
        try:
            while not self.closed:
                fresh = conn is None
                if conn is None:
                    conn = self._attempt(None, "reopen_client", self._number, [])[0]
                try:
                    if fresh:
                        # In this order: what ends after the first call comes by itself; what ended before, now.
                        for gap in request(conn, "reopen_client", self._number, self._waiting_for()):
                            self._forgotten(*gap)
                    batch = request(conn, "collect", self._number, ack, COLLECT_WAIT)
                except (EOFError, OSError):
                    conn.close()
                    conn = None
                    continue
                for serial, first, lo, hi, *outcome in batch:
                    ack = serial
                    self._hand_over(first, lo, hi, outcome)
        except DqlabError as exc:
            self._give_up(exc)
        except Exception as exc:  # nobody may wait for ever, whatever went wrong
            self._give_up(DqlabError(f"the client's collector failed: {exc!r}"))
            raise
        finally:
            if conn is not None:
                conn.close()

    def _waiting_for(self) -> list[tuple[int, int]]:
        return [(first, count) for first, (count, _) in list(self._pending.items())]

    def _hand_over(self, first: int, lo: int, hi: int, outcome: list[Any]) -> None:
        entry = self._pending.get(first)
        if entry is not None and entry[1].deliver(lo, hi, *outcome):
            self._pending.pop(first, None)

    def _forgotten(self, first: int, lo: int, hi: int) -> None:
        """Tasks [lo, hi) of a run have ended while we were away, and the master has forgotten how."""
        error = Refused(f"task {first + lo} has ended while this client was away, and the master forgot how", KEPT)
        entry = self._pending.get(first)
        if entry is not None and entry[1].forgotten(lo, hi, error):
            self._pending.pop(first, None)

    # -- the end --------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether everything that the master has accepted has ended."""
        return not self._pending

    def _give_up(self, error: DqlabError) -> None:
        if not self.closed:
            self.error = error
        self._fail_pending(error)

    def _fail_pending(self, error: DqlabError) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._outbox.get_nowait()
                if isinstance(item, Submission):
                    self._pack([item])
                elif item is None:
                    self._outbox.put(None)  # the sender's, who ends by it
                    break
        with contextlib.suppress(KeyError):
            while True:
                self._pending.popitem()[1][1].gone(error)

    def close(self) -> None:
        """End the connections; what still waits gets `MasterGone`."""
        if self.closed:
            return
        self.closed = True
        if not self.origin.is_here:
            return  # the connections are our parent's
        self._outbox.put(None)
        if self._number is not None and self.error is None:
            try:
                self._calls.call("close_client", self._number, timeout=2.0)
            except (DqlabError, TimeoutError):
                pass  # the master is gone; there is nobody to say goodbye to
        for channel in self._channels:
            channel.close()
        for conn in list(self._connections.values()):
            conn.hang_up()
        self._fail_pending(MasterGone(CLOSED))
