"""The client's end of the wire: what it submits goes out in batches, what has finished comes back in batches.

    submit(), map() ──> outbox ── sender thread ──> master
    Future, MapResults <── sinks <── collector thread <── master
    stats(), pause(), tasks.put() ... ──> channels (one thread and connection each)

A submission is accepted as soon as it is in the outbox; the sender repeats it until the master has it, and the master
takes a repeated one once. The collector says which results it has, so none is lost and none comes twice.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from dqlab.client.channel import Channel, Origin, pause
from dqlab.client.collector import Collector
from dqlab.client.connections import PATIENCE, RETRY, Connections
from dqlab.client.open_work import OpenWork
from dqlab.client.results import loader
from dqlab.client.screen import Screen
from dqlab.client.sender import Sender
from dqlab.client.stuck import why_stuck
from dqlab.client.submission import Submission, Waiting
from dqlab.errors import DqlabError, MasterGone
from dqlab.process.current import current
from dqlab.wire.connection import PlainConnection
from dqlab.wire.connection_file import Connection
from dqlab.wire.messages import PLAIN, Found
from dqlab.wire.request import request

__all__ = ["Session"]

#: what becomes of a task whose client went first
CLOSED = "the client was closed before the task had ended"


class Session(Connections):
    """One client's connections to one master."""

    def __init__(
        self, connection: Connection, has_ended: Callable[[], bool] = lambda: False, output: bool | None = None,
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        super().__init__(connection, has_ended, patience)
        self._hinted = False
        self.origin = Origin()
        self._calls = Channel(self.dial, self.patience)
        try:
            self.about = self._calls.call("about")
        except BaseException:
            self._calls.close()
            raise
        self.load = loader(self.about["results"])  #: what makes a value of a result's bytes
        self.screen = Screen(output, tame=self.about["results"] == PLAIN)
        self._lock = threading.Lock()
        self._waiting = Waiting()
        self._sender = Sender(self, self._waiting, self._give_up)
        self._collector = Collector(self, self._waiting, self.screen, self._give_up)
        #: the two threads, and for each a lock that is held by the one that runs
        self._runs = {"send": (self._sender.run, threading.Lock()), "collect": (self._collector.run, threading.Lock())}
        self._opened = False
        self._first = self._next = 0  #: its task ids
        self.once = bool(self.about.get("journal"))  #: whether calls on the plain queues may be repeated
        self._threads = itertools.count()  #: by which the master knows ours
        self._local = threading.local()
        self._channels: list[Channel] = [self._calls]
        self.open_work = OpenWork(self)

    # -- calls ----------------------------------------------------------------------------------------------------

    def call(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Call the broker; for calls that do not wait in the master."""
        return self._calls.call(method, *args, timeout=timeout)

    def channel(self) -> Channel:
        """The calling thread's own channel, for the plain queues."""
        channel: Channel | None = getattr(self._local, "channel", None)
        if channel is None:
            dial = self.dial
            if self.once:
                self._open()
                dial = partial(self._dial_as, next(self._threads))
            self._local.channel = channel = self._open_channel("plain", dial)
        return channel

    def _open_channel(self, name: str, dial: Callable[[], PlainConnection]) -> Channel:
        channel = Channel(dial, self.patience, name)
        self._channels.append(channel)
        if self.closed:  # by now, and whoever closed it has not seen this one
            channel.close()
        return channel

    def _dial_as(self, thread: int) -> PlainConnection:
        """A connection that has what the plain queues gave to a thread on an earlier one."""
        conn = self.dial()
        try:
            request(conn, "claim", thread, object="tasks")
        except BaseException:
            conn.close()
            raise
        return conn

    def wait_call(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Call the broker, for calls that wait in the master; nobody waits behind one that was interrupted."""
        channel: Channel | None = getattr(self._local, "waits", None)
        if channel is None or channel.busy:
            if channel is not None:
                channel.close()
                self._channels.remove(channel)
            self._local.waits = channel = self._open_channel("waits", self.dial)
        return channel.call(method, *args, timeout=timeout)

    @property
    def away(self) -> bool:
        """Whether the master is being looked for, after a connection to it broke."""
        return any(channel.away for channel in list(self._channels))

    def check_here(self) -> None:
        """Raise `MasterGone` in a forked copy of this process, where no outcome ever comes."""
        self.origin.check()

    def hint_if_stuck(self) -> None:
        """Say so, once, when somebody waits for what no worker is there, or free, to do."""
        if self._hinted or self.error is not None or self.closed:
            return
        try:
            stats = self.call("stats", timeout=1.0)
        except (TimeoutError, ConnectionError):
            return
        here = current()
        if why := why_stuck(stats, self._waiting.ranges(), here is not None):
            self._hinted = True
            print(f"dqlab: {why}", file=sys.stderr)
            if here is not None:  # what a task prints is shown when it has ended: whoever waits for it is told at once
                with contextlib.suppress(DqlabError, TimeoutError):
                    self.call("stuck", here.worker, timeout=1.0)

    def show_found(self, task: int, found: Found) -> None:
        """Show what a task has printed that somebody asked for by its id; of our own it is shown with its outcome."""
        if not self._first <= task < self._next:
            self.screen.take(found.outcome.printed)
        self.screen.look()

    # -- submitting -----------------------------------------------------------------------------------------------

    def submit(self, count: int, make: Callable[[int], Submission]) -> Submission:
        """Give the next `count` task ids to the submission that `make(first)` returns, and send it on its way."""
        self.origin.check()
        self._open()
        # Ids must go out in order, so that the master can tell a repeated submission from a new one.
        with self._lock:
            first = self._next
            self._next = first + count
            submission = make(first)
            self._sender.outbox.put(submission)
        if self.error is not None or self.closed:
            self._fail_waiting(self.error or MasterGone(CLOSED))
        return submission

    def _open(self) -> None:
        # An interrupt may come after any call: whatever was not reached is done by the next submission.
        if self._opened:
            return
        if self.number is None:
            number, first, token = self._calls.call("open_client")
            with self._lock:
                if self.number is None:
                    self.token = token
                    self.number, self._first, self._next = number, first, first
        for name in self._runs:
            threading.Thread(target=self._run_once, args=(name,), name=f"dqlab-{name}", daemon=True).start()
        self._opened = True

    def _run_once(self, name: str) -> None:
        run, running = self._runs[name]
        if running.acquire(blocking=False):
            run()

    @property
    def full(self) -> bool:
        """Whether the master's backlog is full."""
        return self._sender.full

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the master has accepted all that was submitted; `TimeoutError` after `timeout` seconds."""
        if not self._opened or self.closed:
            return  # nothing was submitted, and perhaps nobody is there to send it: no thread could be had
        self.origin.check()
        marker = threading.Lock()
        marker.acquire()
        self._sender.outbox.put(marker)
        deadline = None if timeout is None else time.monotonic() + timeout
        while marker.locked() and self.error is None and not self.closed:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if not pause(marker, left) and left <= 0:
                raise TimeoutError(f"the master has not accepted everything within {timeout:g} s")
        if self.error is not None:
            raise self.error
        if marker.locked():
            raise MasterGone(CLOSED)

    def _flush_what_fits(self) -> None:
        """Wait until the master has accepted all that was submitted, or its backlog has no room for the rest."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self.flush(2 * RETRY)
            except TimeoutError:
                if self.full:
                    return
                if time.monotonic() > deadline:
                    raise

    def cancel(self, ranges: list[tuple[int, int]]) -> int:
        """Cancel those of the (first, count) tasks that the master has and that have not started; return how many."""
        self._flush_what_fits()
        return sum(n for _, n in self.call("cancel", ranges, timeout=self.patience))

    def cancel_all(self) -> int:
        """Cancel everything that has not started, and what is submitted from now on and doesn't fit into the backlog;
        return how many tasks."""
        before, self._sender.patient = self._sender.cancelled, False
        self.flush(self.patience)
        return self._sender.cancelled - before + self.cancel(self._waiting.ranges())

    def cancel_later(self, ranges: list[tuple[int, int]]) -> None:
        """The same for (first, count) ranges without waiting: whoever asks may be a finalizer."""
        for first, _ in ranges:
            self._waiting.drop(first)
        if not self.closed:
            self._sender.outbox.put(ranges)

    # -- the end --------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether everything that the master has accepted has ended."""
        return not self._waiting

    def _give_up(self, error: DqlabError) -> None:
        if not self.closed:
            self.error = error
        self._fail_waiting(error)

    def _fail_waiting(self, error: DqlabError) -> None:
        self._sender.call_off()
        self._waiting.fail(error)

    def close(self) -> None:
        """End the connections; what still waits gets `MasterGone`."""
        if self.closed:
            return
        self.closed = True
        if not self.origin.is_here:
            return  # the connections are our parent's
        self._sender.outbox.put(None)
        if self.number is not None and self.error is None:
            try:
                self._calls.call("close_client", timeout=2.0)
            except (DqlabError, TimeoutError):
                pass  # the master is gone; there is nobody to say goodbye to
        for channel in list(self._channels):
            channel.close()
        self.hang_up()
        self._fail_waiting(MasterGone(CLOSED))
        self.screen.show()
