"""A plain master as its worker reaches it: one connection, as the standard proxies have, and the names of two queues.

The worker has the master's key, not its classes: of what arrives it reads only what is plain data. A task's value stays
in its pickle, for the child; a result comes from there as one.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import queue
import re
import struct
from multiprocessing import connection
from typing import Any, Self

from dqlab.errors import BadInput, ConnectionFailed, Refused
from dqlab.wire.address import place
from dqlab.wire.connection import dial
from dqlab.wire.plain_data import load_plain
from dqlab.worker.settings import WorkerSettings

__all__ = ["PlainMaster", "Unreadable"]

#: seconds that one `get` or `put` waits in the master; so long may a worker take to notice that it is to stop
WAIT = 1.0

#: how an answer begins in every protocol of pickle: with its kind
_KIND = re.compile(rb"\x80.(?:\x95.{8})?(?:[\x8cU].|X.{4})(#[A-Z]+)", re.DOTALL)


class Unreadable(Exception):
    """The master has taken a task from its queue, and couldn't send it."""


class PlainMaster:
    """A connection to the master in `settings`; `name` is the worker's. Raises what `dial` does, and `BadInput`."""

    def __init__(self, settings: WorkerSettings, name: str) -> None:
        self._settings = settings
        self._tasks, exposed = self._find(settings.task_name, "--task-name")
        self._results, _ = self._find(settings.result_name, "--result-name")
        self._counts_done = "task_done" in exposed
        self._conn = self._dial()
        try:
            _ask(self._conn, settings.give_up, None, "accept_connection", name)
        except BaseException:
            self._conn.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._conn.close()
        if kind is None:
            with contextlib.suppress(OSError, EOFError, Refused):
                for ident in (self._tasks, self._results):
                    self._ask_manager("decref", ident)

    def _dial(self) -> connection.Connection:
        settings = self._settings
        found: connection.Connection = dial(settings.address, settings.authkey, make=connection.Connection)
        return found

    def _find(self, name: str, option: str) -> tuple[str, tuple[str, ...]]:
        """A queue by the name that it was registered under there: its ident, and its methods."""
        try:
            ident, exposed = self._ask_manager("create", name)
        except Refused as exc:
            if not exc.message.startswith("KeyError"):
                raise
            raise BadInput(
                f"the master at {place(*self._settings.address)} has no {name!r}",
                f"{option} NAME, as it is registered there",
            ) from exc
        return ident, exposed

    def _ask_manager(self, method: str, *args: Any) -> Any:
        with contextlib.closing(self._dial()) as conn:
            return _ask(conn, self._settings.give_up, None, method, *args)

    def get(self) -> bytes:
        """The answer that has the next task in it, in its pickle; `queue.Empty` if there is none for a while.

        `Unreadable` if the task is lost, as the master can't send it.
        """
        self._conn.send((self._tasks, "get", (True, WAIT), {}))
        return _answer(self._conn, self._settings.give_up, "get")

    def send_result(self, pickled: bytes) -> None:
        """The first half of a `put`, of a value in its pickle."""
        head = pickle.PROTO + b"\x02" + pickle.MARK + _text(self._results) + _text("put") + pickle.MARK
        tail = pickle.NEWTRUE + pickle.BINFLOAT + struct.pack(">d", WAIT) + pickle.TUPLE
        rest = pickle.EMPTY_DICT + pickle.TUPLE + pickle.STOP
        self._conn.send_bytes(head + pickled.removesuffix(pickle.STOP) + tail + rest)

    def hear_result_taken(self) -> None:
        """The second half; `queue.Full` if there was no room for a while."""
        _answer(self._conn, self._settings.give_up, "put")

    def task_done(self) -> None:
        """The task is counted as done, where the queue counts."""
        if self._counts_done:
            _ask(self._conn, self._settings.give_up, self._tasks, "task_done")


class _ErrorReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("queue", "_queue", "Queue") and name in ("Empty", "Full"):
            return getattr(queue, name)
        raise pickle.UnpicklingError(name)


def _ask(conn: connection.Connection, patience: float, ident: str | None, method: str, *args: Any) -> Any:
    """One call, and what it returns, which is plain data."""
    conn.send((ident, method, args, {}))
    return load_plain(_answer(conn, patience, method))[1]


def _answer(conn: connection.Connection, patience: float, method: str) -> bytes:
    """The next answer, which may take `patience` seconds, if it is a good one; raises what it says else."""
    if not conn.poll(patience):
        raise ConnectionFailed(f"the master has not answered {method!r} for {patience:g} s")
    message = conn.recv_bytes()
    found = _KIND.match(message)
    kind = found[1] if found else b""
    if kind == b"#RETURN":
        return message
    try:
        _, value = _ErrorReader(io.BytesIO(message)).load()
    except pickle.UnpicklingError as exc:
        raise Refused(f"{method}: the master raised {exc}") from None
    if isinstance(value, queue.Empty | queue.Full):
        raise value
    if kind == b"#UNSERIALIZABLE":
        raise Unreadable(f"the master could not send it: {value}")
    raise Refused(str(value).strip().splitlines()[-1] if kind == b"#TRACEBACK" else f"{method}: {value!r}")


def _text(word: str) -> bytes:
    data = word.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data
