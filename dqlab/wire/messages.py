"""What travels between the master, its clients and its workers: the words that all of them know."""

from __future__ import annotations

import math
import re
from types import NoneType, UnionType
from typing import Any, NamedTuple

from dqlab.errors import BadInput

__all__ = [
    "ATOMS", "CALLS", "FUNCTION_BYTES", "KEPT", "KINDS", "PAYLOADS_HELD", "PLAIN", "Buffer", "Grant", "Outcome",
    "check_queue", "is_whole",
]  # fmt: skip

#: how long the master keeps what nobody fetches, for those who come too late
KEPT = "results are kept for an hour, the last 100,000 of them"
#: the queue of the two plain BaseManager queues
PLAIN = "plain"
#: payloads that a worker keeps, so that further spans of their runs travel without one
PAYLOADS_HELD = 4

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Grant(NamedTuple):
    """A lease as it travels to the worker: the right to tasks [lo, hi) of a run."""

    token: int
    first: int  #: id of the run's first task
    lo: int
    hi: int
    queue: str
    kind: str
    function: str
    payload: Any  #: None if this worker was sent the run's payload before
    python: str
    timeout: float | None
    attempt: int
    careful: bool  #: report each task at once: a lost result could not be made again


class Outcome(NamedTuple):
    """What a worker says of tasks [lo, hi) of a lease.

    ``kind`` is "done" (``value``: the pickled list of results), "error" (one task raised; ``value``: pickled exception,
    traceback, summary), "timeout" (one task was ended), "died" (its process did; ``value``: the reason), "lost" (begun
    but the results went down with a neighbour) or "released" (never begun).
    """

    kind: str
    token: int
    lo: int
    hi: int
    value: Any = None
    seconds: float = 0.0

    def check(self) -> None:
        """Raise `BadInput` unless every field makes sense."""
        if self.kind not in VALUES or not isinstance(self.value, VALUES[self.kind]):
            raise BadInput(f"outcome {self.kind!r} with a value of type {type(self.value).__name__}")
        if isinstance(self.value, tuple):
            data, *texts = self.value
            if not isinstance(data, Buffer | None) or [type(text) for text in texts] != [str, str]:
                raise BadInput(f"outcome {self.kind!r}: not a pickle, a traceback and a summary")
        if not (is_whole(self.token, 0) and is_whole(self.lo, 0) and is_whole(self.hi, 0)):
            raise BadInput(f"lease {self.token!r}, tasks {self.lo!r} to {self.hi!r}")
        if not isinstance(self.seconds, int | float) or not 0 <= self.seconds < math.inf:
            raise BadInput(f"seconds={self.seconds!r}")


Buffer = bytes | bytearray | memoryview
#: what kinds of outcome there are, and which value each brings
VALUES: dict[str, type | UnionType] = {
    "done": Buffer | list, "error": tuple, "timeout": tuple, "died": str, "lost": NoneType, "released": NoneType,
}  # fmt: skip
#: bytes of pickled functions that a worker's child keeps, and the worker knows it to keep; the newest stays in any case
FUNCTION_BYTES = 64 << 20
#: types whose values nobody can change: what is packed together arrives as if each had travelled alone
ATOMS = frozenset({int, float, complex, str, bytes, bool, NoneType})
#: kinds of runs, by what their payload is and how the function is called with an item of it
KINDS = {
    "call": "one pickled (args, kwargs); function(*args, **kwargs)",
    "calls": "a pickled list of such pickles",
    "map": "a pickled list of arguments, all of them atoms; function(argument)",
    "star": "a pickled list of tuples of such arguments; function(*arguments)",
    "maps": "a pickled list of pickled arguments; function(argument)",
    "stars": "a pickled list of pickled tuples of arguments; function(*arguments)",
    "plain": "a list of plain values; handler(value)",
}
#: kinds whose results are pickled one by one (of several tasks a list of these, of one just that)
CALLS = ("call", "calls")


def check_queue(name: object) -> None:
    """Raise `BadInput` unless ``name`` can be a queue's name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadInput(f"queue name {name!r}", "use letters, digits, '_', '-' and '.', at most 64")


def is_whole(value: object, least: int) -> bool:
    """Whether ``value`` is a whole number from ``least`` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
