"""A caller of the desk: a connection with a name, and the messages that lesson 01 shows."""

from __future__ import annotations

from multiprocessing.connection import Client
from typing import Any

from dqlab.errors import MasterGone, Refused

__all__ = ["Caller"]

#: seconds that an answer may take
PATIENCE = 10.0


class Caller:
    """Calls the desk of the master at `address`, under a `name`. Raises `MasterGone` if nobody is there."""

    def __init__(self, address: tuple[str, int], key: bytes, name: str) -> None:
        try:
            with Client(address, authkey=key) as wire:
                wire.send((None, "create", ("desk",), {}))
                self._desk, _ = _answer(wire)
            self._wire = Client(address, authkey=key)
            self._wire.send((None, "accept_connection", (name,), {}))
            _answer(self._wire)
        except (OSError, EOFError) as error:
            raise MasterGone(f"no master at {address[0]}:{address[1]}: {error}") from None

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the desk; raises `Refused` with the traceback if it raises."""
        try:
            self._wire.send((self._desk, method, args, {}))
            return _answer(self._wire)
        except (OSError, EOFError) as error:
            raise MasterGone(f"the master has gone: {error}") from None

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


def _answer(wire: Any) -> Any:
    if not wire.poll(PATIENCE):
        raise Refused(f"the broker has not answered within {PATIENCE:g} s")
    kind, value = wire.recv()
    if kind == "#RETURN":
        return value
    raise Refused(value if kind == "#TRACEBACK" else f"{type(value).__name__}: {value}")
