"""A connection that an interrupt cannot harm: only a background thread touches the socket.

Ctrl-C (Jupyter's stop button) may hit the main thread between any two of its instructions. Were it in the middle of a
request, the answer would stay in the socket and the next call would read it. So a `Channel` has a thread that makes the
calls, one after another; whoever asks waits on a lock that only that thread releases, and can walk away at any instant.
No lock is shared with the thread that an interrupted one could leave locked.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from dqlab.errors import MasterGone
from dqlab.wire.connection import PlainConnection
from dqlab.wire.reconnect import FINAL, Away, persist
from dqlab.wire.request import request

__all__ = ["GET_ONCE", "PUT_ONCE", "Call", "Channel", "Origin", "pause"]

#: calls on a plain queue that may be repeated as those of the broker may: they carry a number, and are done once
GET_ONCE, PUT_ONCE = "get_once", "put_once"

#: longest uninterruptible wait in seconds (on Windows a lock is not interruptible at all)
SLICE = 0.25
#: seconds between two attempts to reach the master
RETRY = 0.1


def pause(lock: Any, seconds: float) -> bool:
    """Wait up to `seconds` for a lock to be released; return whether it was."""
    if lock.acquire(timeout=max(0.0, min(seconds, SLICE))):
        lock.release()
        return True
    return False


class Origin:
    """The process that something belongs to: threads do not come along when it forks."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """False in a forked copy of the process."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Raise `MasterGone` in a forked copy, where nobody would ever answer."""
        if not self.is_here:
            raise MasterGone("this process was forked, and the client is its parent's", "connect(...) anew")


class Call:
    """A request. `done` is true once `value` or `error` stands."""

    __slots__ = ("_gate", "args", "done", "error", "method", "object", "sent", "value")

    def __init__(self, object: str, method: str, args: tuple[Any, ...]) -> None:
        self.object, self.method, self.args = object, method, args
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.sent = False  #: whether a channel has it; false again never means that it has not
        self._gate = threading.Lock()
        self._gate.acquire()

    def finish(self, value: Any = None, error: BaseException | None = None) -> None:
        """The answer has come, or why there will be none."""
        self.value, self.error, self.done = value, error, True
        self._gate.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is done; False if `timeout` seconds pass first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            left = SLICE if deadline is None else deadline - time.monotonic()
            if not pause(self._gate, left) and left <= 0:
                return self.done
        return True

    def result(self, timeout: float | None = None) -> Any:
        """The value; raises what the call raised, or `TimeoutError`."""
        if not self.wait(timeout):
            raise TimeoutError(f"{self.method} was not answered within {timeout:g} s")
        if self.error is not None:
            raise self.error
        return self.value


class Channel:
    """Makes calls on a connection of its own, dialled by `dial()` when first needed and again when it broke.

    A call that may be repeated is repeated for up to `patience` seconds, then fails with `MasterGone`.
    """

    def __init__(self, dial: Callable[[], PlainConnection], patience: float, name: str = "calls") -> None:
        self._dial, self._patience = dial, patience
        self._inbox: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._conn: PlainConnection | None = None
        self._closed = False
        self._numbers: dict[tuple[str, str], int] = {}  #: the last one that was used up, by queue and method
        self.away = False  #: whether the master is being looked for, after the connection broke
        self._last: Call | None = None
        self._origin = Origin()
        self._thread = threading.Thread(target=self._run, name=f"dqlab-{name}", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether the last call is not answered yet: whoever waited for it was interrupted."""
        return self._last is not None and not self._last.done

    def start(self, object: str, method: str, *args: Any) -> Call:
        """Ask for a call and return at once."""
        call = Call(object, method, args)
        self.send(call)
        return call

    def send(self, call: Call) -> None:
        """The same with a call that is there already. A call that is sent twice is made once."""
        self._origin.check()
        self._last = call
        self._inbox.put(call)
        call.sent = True
        if self._closed:
            self._refuse_rest()
            self._inbox.put(None)  # that may have been among them, and the thread not have seen it yet

    def call(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Call the broker and wait for the answer."""
        return self.start("broker", method, *args).result(timeout)

    def close(self) -> None:
        """End the thread and its connection, without waiting for a call under way."""
        self._closed = True
        self._inbox.put(None)
        conn = self._conn
        if conn is not None:
            conn.hang_up()

    def join(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the thread to end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while (call := self._inbox.get()) is not None and not self._closed:
            if call.done:
                continue  # it was sent twice, by somebody who was interrupted
            try:
                call.finish(self._perform(call))
            except BaseException as exc:  # whoever waits for the call must hear of it
                call.finish(error=exc)
        if call is not None and not call.done:
            call.finish(error=MasterGone("the client is closed"))
        self._refuse_rest()
        self._drop()

    def _refuse_rest(self) -> None:
        while True:
            try:
                call = self._inbox.get_nowait()
            except queue.Empty:
                return
            if call is not None and not call.done:
                call.finish(error=MasterGone("the client is closed"))

    def _perform(self, call: Call) -> Any:
        sent, args, kind = False, call.args, (call.object, call.method)
        if once := call.method in (GET_ONCE, PUT_ONCE):
            number = self._numbers.get(kind, 0) + 1
            args = (number, *args)
            if call.method == PUT_ONCE:
                self._numbers[kind] = number  # another `put` is another one; a `get` that has failed is made up for

        def attempt() -> Any:
            nonlocal sent
            sent = False
            if self._conn is None:
                self._conn = self._dial()
            self.away = False
            sent = True
            return request(self._conn, call.method, *args, object=call.object)

        def failed(error: Exception) -> bool:
            self._drop()
            self.away = True
            # What a plain put or get did before the connection broke is unknown: to repeat it is the caller's call.
            return self._closed or (sent and call.object != "broker" and not once)

        try:
            value = persist(attempt, Away(self._patience, RETRY, RETRY), failed)
            if once and value:
                self._numbers[kind] = number
            return value
        except FINAL:
            raise
        except (EOFError, OSError) as exc:
            raise MasterGone(f"the master is gone: {exc or 'it hung up'}") from exc
        finally:
            self.away = False

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()
