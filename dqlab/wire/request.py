"""The two ends' way to call the broker: one request, one answer, over a connection that speaks BaseManager."""

from __future__ import annotations

import pickle
from typing import Any

from dqlab.errors import AuthenticationFailed, BadInput, ConnectionFailed, NotDqlab, Refused
from dqlab.version import __version__
from dqlab.wire.address import place
from dqlab.wire.connection import DIAL_TIMEOUT, PlainConnection, dial
from dqlab.wire.greeting import Greeting

__all__ = ["open_broker", "request"]


def open_broker(
    address: tuple[str, int], authkey: bytes, role: str, *, client: int | None = None, token: bytes | None = None,
    timeout: float = DIAL_TIMEOUT,
) -> PlainConnection:  # fmt: skip
    """A connection on which `request` calls the broker of the master at `address`, as a "client" or a "worker".

    `client` and `token` say which client this is, if the master knows it. Raises `ConnectionFailed`,
    `AuthenticationFailed` (another key, or no proof that it is the master), `NotDqlab`, or `Refused` (another version).
    """
    conn: PlainConnection = dial(address, authkey, timeout)
    try:
        greeting = Greeting(authkey, __version__)
        conn.send((None, "accept_connection", greeting.hello(role, client, token), {}))
        if not conn.poll(timeout):
            raise ConnectionFailed(f"what answers at {place(*address)} says nothing", "is it a master of dqlab?")
        conn.proof = greeting.check_welcome(role, _answer(conn), place(*address))
    except pickle.UnpicklingError as exc:
        conn.close()
        raise AuthenticationFailed(f"what answers at {place(*address)} is no master of dqlab: {exc}") from None
    except BaseException:
        conn.close()
        raise
    return conn


def request(conn: PlainConnection | None, method: str, *args: Any, object: str = "broker") -> Any:
    """Call one method and return its value; raises `BadInput` or `Refused` in the master's words.

    After any other end the connection must be dropped: whoever was interrupted between request and answer would read
    the wrong answer next time.
    """
    if conn is None:
        raise ConnectionFailed("not connected")
    call: tuple[Any, ...] = (object, method, args, {})
    proof, conn.proof = conn.proof, None
    conn.send(call if proof is None else (proof, call))
    return _answer(conn)


def _answer(conn: PlainConnection) -> Any:
    message = conn.recv()
    if type(message) is not tuple or len(message) != 2:
        raise ConnectionFailed("what answers is no master: its answer is none", "is it a master of dqlab?")
    kind, value = message
    if kind == "#RETURN":
        return value
    text = str(value).strip()
    if text.startswith("Traceback"):  # dqlab's master never sends one
        raise NotDqlab("the master there is a plain BaseManager", "only a worker with --handler can work for it")
    name, _, message = text.partition(": ")
    raise (BadInput if name == "BadInput" else Refused)(message or text)
