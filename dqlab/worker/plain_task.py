"""A task of a plain master, in the child: read, run and answered as any plain worker does it, with standard pickles."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

from dqlab.wire.pills import is_pill
from dqlab.worker.child import load_handler

__all__ = ["ANSWERED", "PILL", "QUIT", "UNREADABLE", "run_plain_task"]

#: how a task ended, and what comes with that: the pickled result; nothing; what SystemExit says; why it can't be read
ANSWERED, PILL, QUIT, UNREADABLE = "answered", "pill", "quit", "unreadable"


class _Unpickler(pickle.Unpickler):
    """Looks for what the master's script defines (its `__main__`) in the handler's module."""

    def __init__(self, message: bytes, home: str) -> None:
        super().__init__(io.BytesIO(message))
        self._home = home

    def find_class(self, module: str, name: str) -> Any:
        if module != "__main__":
            return super().find_class(module, name)
        found = super().find_class(self._home, name)
        # In its pickles it is called as the master knows it.
        if getattr(found, "__module__", None) == self._home:
            found.__module__ = module
            setattr(sys.modules[module], name, found)
        return found


def run_plain_task(handler: str, pills: Sequence[Any], message: bytes) -> tuple[str, Any]:
    """Call `handler` ("module:function") with the value in a master's answer; return how that ended (see `ANSWERED`).

    What the handler raises passes through, and what pickling its result raises.
    """
    function = load_handler(handler)
    try:
        _, value = _Unpickler(message, handler.partition(":")[0]).load()
    except Exception as exc:  # whatever a class that is not known here leads to
        return UNREADABLE, f"{type(exc).__name__}: {exc}"
    if is_pill(value, pills):
        return PILL, None
    try:
        result = function(value)
    except SystemExit as exc:
        return QUIT, "" if exc.code in (None, 0) else str(exc.code)
    return ANSWERED, bytes(ForkingPickler.dumps(result))
