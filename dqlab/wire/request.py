"""The two ends' way to call the broker: one request, one answer, over a connection that speaks BaseManager."""

from __future__ import annotations

from typing import Any

from dqlab.errors import BadInput, ConnectionFailed, NotDqlab, Refused
from dqlab.wire.connection import DIAL_TIMEOUT, PlainConnection, dial

__all__ = ["open_broker", "request"]


def open_broker(address: tuple[str, int], authkey: bytes, timeout: float = DIAL_TIMEOUT) -> PlainConnection:
    """A connection on which `request` calls the broker of the master at ``address``.

    Raises `ConnectionFailed` or `AuthenticationFailed`.
    """
    conn: PlainConnection = dial(address, authkey, timeout)
    try:
        conn.send((None, "accept_connection", ("dqlab",), {}))
        _answer(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def request(conn: PlainConnection | None, method: str, *args: Any, object: str = "broker") -> Any:
    """Call one method and return its value; raises `NotDqlab` where a plain BaseManager answers.

    After any other end the connection must be dropped: whoever was interrupted between request and answer would read
    the wrong answer next time.
    """
    if conn is None:
        raise ConnectionFailed("not connected")
    conn.send((object, method, args, {}))
    return _answer(conn)


def _answer(conn: PlainConnection) -> Any:
    kind, value = conn.recv()
    if kind == "#RETURN":
        return value
    text = str(value).strip()
    if text.startswith("Traceback"):  # dqlab's master never sends one
        raise NotDqlab("the master there is a plain BaseManager", "only a worker with --handler can work for it")
    name, _, message = text.partition(": ")
    raise (BadInput if name == "BadInput" else Refused)(message or text)
