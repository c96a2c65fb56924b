"""`master.tasks` and `master.results`: the two plain queues, as a client uses them."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from dqlab.client.channel import GET_ONCE, PUT_ONCE, Call
from dqlab.client.session import Session
from dqlab.errors import BadInput, Refused
from dqlab.wire.plain_data import as_plain

__all__ = ["PlainQueue"]

#: seconds that one `get` or `put` waits in the master before it asks again, and that its answer may be late
WAIT, LATE = 0.25, 2.0


class PlainQueue:
    """The methods of `queue.Queue`, on a queue of the master. Values are plain data.

    A `get` that was interrupted is resumed by the thread's next `get`, so that what it was about to return is not lost.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._name = session, name
        self._some = (GET_ONCE, PUT_ONCE) if session.once else ("get_some", "put_some")
        self._pending = threading.local()  #: `call`, the `get` of a thread that is not answered yet

    def __repr__(self) -> str:
        return f"<dqlab plain queue {self._name!r}>"

    def _call(self, method: str, *args: Any) -> Any:
        return self._session.channel().start(self._name, method, *args).result()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put one value; `BadInput` names the type that is not plain data.

        `queue.Full` if the master has no room for it within `timeout` seconds (None: wait for ever).
        """
        self._put([item], 0.0 if not block else timeout)

    def put_nowait(self, item: Any) -> None:
        """Put one value; `queue.Full` if there is no room now."""
        self.put(item, block=False)

    def put_many(self, items: Any) -> None:
        """Put many values with one message; wait until there is room for them."""
        self._put(list(items), None)

    def _put(self, values: list[Any], timeout: float | None) -> None:
        values = as_plain(values)
        deadline = _deadline(timeout)
        while not self._call(self._some[1], values, _left(deadline)):
            if deadline is not None and time.monotonic() >= deadline:
                raise queue.Full

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next value; `queue.Empty` if there is none within `timeout` seconds (None: wait for ever).

        Once the master has been asked, the value may be on its way, whatever interrupts the wait: so the call is
        remembered before it is made, and forgotten in the instant in which its value is returned.
        """
        deadline, asked = _deadline(0.0 if not block else timeout), False
        while True:
            left, pending = _left(deadline), self._pending
            call: Call | None = getattr(pending, "call", None)
            if call is None:
                asked = True
                pending.call = call = Call(self._name, self._some[0], (left,))
            if not call.sent:
                self._session.channel().send(call)
            if call.wait(left + LATE):
                if call.error is not None:
                    pending.call = None
                    raise call.error
                found = call.value
                if found:
                    pending.call = None  # nothing can be interrupted from here on
                    return found[0]
                pending.call = None
            if asked and deadline is not None and time.monotonic() >= deadline:
                raise queue.Empty

    def get_nowait(self) -> Any:
        """The next value; `queue.Empty` if there is none now."""
        return self.get(block=False)

    def qsize(self) -> int:
        """How many values are ready."""
        return int(self._call("qsize"))

    def empty(self) -> bool:
        """Whether no value is ready."""
        return bool(self._call("empty"))

    def full(self) -> bool:
        """Whether a `put` would have to wait."""
        return bool(self._call("full"))

    def task_done(self) -> None:
        """The task that this thread got last is done; `BadInput`, a `ValueError`, if more are done than were put."""
        try:
            self._call("task_done")
        except Refused as exc:
            raise BadInput(exc.message) from None

    def join(self) -> None:
        """Wait until every plain task has ended."""
        while not self._call("idle", WAIT):
            pass


def _deadline(timeout: float | None) -> float | None:
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float:
    return WAIT if deadline is None else max(0.0, min(WAIT, deadline - time.monotonic()))
