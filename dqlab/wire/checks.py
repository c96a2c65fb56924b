"""What a value may be: the one table from which every check, its error, the documentation and a fuzz test are made.

Whatever a user gives as an option and whatever a peer sends as an argument is checked by a `Check` of this table before
anything changes, so that the same mistake has the same words in Python, on the command line and on the wire.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dqlab.errors import BadInput

__all__ = [
    "ANY", "ATTEMPTS", "BUFFER", "BUFFERS", "CLIENT", "COUNT", "DIGEST", "FLAG", "FUNCTIONS", "HOST", "ID",
    "LEASE_SECONDS", "LIMIT", "NAME", "NAMES", "PID", "PIECES", "PORT", "PRINTED", "QUEUE", "QUEUES", "RANGES",
    "REASON", "RESULTS", "RETRIES", "ROWS", "SECONDS", "TEXT", "TIMEOUT", "TOKEN", "VALUE", "VALUES", "WAIT",
    "Check", "Holds", "all_hold", "check_fields", "check_queue", "one_of", "optional", "shown", "whole",
]  # fmt: skip

#: characters of a value in an error's message
SHOWN = 80
#: bytes: of a name or host, of one reason or printed piece, of a number's digits
NAME_BYTES, TEXT_BYTES = 256, 64 << 10
#: seconds: the longest time that means anything (31 years), and one that a peer may ask to wait
LONGEST, LONGEST_WAIT = 1e9, 1e9
#: entries of one list that a peer sends
MOST = 1_000_000
#: ids of tasks and clients, leases, serial numbers: what a machine's number holds
MOST_ID = 2**63 - 1

_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


#: the types of a payload
BUFFERS = (bytes, bytearray, memoryview)
#: whether a value is what is taken
Holds = Callable[[Any], bool]
#: `_call(holds, value)`; its own type allows it no loop of C
_call: Any = operator.call


class Check(NamedTuple):
    """`means` says in words what is taken (it is the hint of the error), `holds(value)` whether a value is that."""

    means: str
    holds: Holds

    def __call__(self, name: str, value: Any) -> None:
        """Raise `BadInput`, which names the value and what is taken, unless it holds."""
        if not self.holds(value):
            raise BadInput(f"{name}={shown(value)}", self.means)


def shown(value: Any) -> str:
    """A value in the words of an error: its `repr`, cut; where that is too long to be made, its type."""
    try:
        text = repr(value)
    except Exception:  # an int of more digits than Python writes, or whatever a strange type's repr raises
        return f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def whole(least: int, most: int, means: str = "") -> Check:
    """A whole number from `least` to `most`; True and False are none."""
    words = means or f"a whole number from {least}"
    return Check(words, lambda value: type(value) is int and least <= value <= most)


def seconds(least: float, most: float, means: str) -> Check:
    """A number of seconds from `least` to `most`, both of which may be had."""
    return Check(means, lambda value: type(value) in (int, float) and least <= value <= most)


def text(size: int, means: str) -> Check:
    """A string of at most `size` bytes that can be written as UTF-8."""

    def holds(value: Any) -> bool:
        if type(value) is not str or len(value) > size:
            return False
        try:
            return value.isascii() or len(value.encode()) <= size
        except UnicodeEncodeError:  # half of a surrogate pair
            return False

    return Check(means, holds)


def one_of(*words: str) -> Check:
    """One of some words."""
    return Check(f"one of {', '.join(map(repr, words))}", lambda value: type(value) is str and value in words)


def optional(check: Check) -> Check:
    """The same, or None."""
    return Check(f"{check.means}, or None", lambda value: value is None or check.holds(value))


def listed(check: Check, means: str, most: int = MOST) -> Check:
    """A list (or tuple) of at most `most` such values."""
    holds = check.holds
    return Check(means, lambda value: type(value) in (list, tuple) and len(value) <= most and all(map(holds, value)))


def _is_pair_of(*holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        type(value) in (list, tuple)
        and len(value) == len(holds)
        and all(hold(item) for hold, item in zip(holds, value, strict=True))
    )


def _is_queue(value: Any) -> bool:
    return type(value) is str and _QUEUE_NAME.fullmatch(value) is not None


ANY = Check("anything", lambda value: True)
FLAG = Check("True or False", lambda value: type(value) is bool)
ID = whole(0, MOST_ID)
CLIENT = whole(0, 10**6 - 1)
COUNT = whole(1, MOST_ID)
LIMIT = whole(0, 10**6)
PID = whole(0, 2**32)
TEXT = text(TEXT_BYTES, f"a text of at most {TEXT_BYTES} bytes")
NAME = Check(
    f"a text of at most {NAME_BYTES} printable characters",
    lambda value: type(value) is str and len(value) <= NAME_BYTES and value.isprintable(),
)
HOST = NAME
REASON = text(1_000, "a text of at most 1,000 bytes")
DIGEST = NAME
TOKEN = Check("32 bytes", lambda value: type(value) is bytes and len(value) == 32)
BUFFER = Check("bytes", lambda value: isinstance(value, BUFFERS))
VALUE = Check("a plain value", lambda value: True)

QUEUE = Check("a queue's name: letters, digits, '_', '-' and '.', at most 64", _is_queue)
RETRIES = whole(0, 10**6)
TIMEOUT = optional(Check(
    "seconds, above 0",
    lambda value: type(value) in (int, float) and 0 < value <= LONGEST,
))  # fmt: skip
ATTEMPTS = whole(1, 10**6)
#: results as any pickle, which a client must trust its workers for, or as plain data
RESULTS = one_of("pickle", "plain")
#: what a journal survives: the death of processes, or a power cut too
JOURNAL_SYNC = one_of("normal", "full")
PORT = whole(0, 65535, "a number from 0 (any free one) to 65535")
LEASE_SECONDS = seconds(0.1, 7 * 86400.0, "seconds, from 0.1 to a week")
SECONDS = Check("seconds, from 0", lambda value: type(value) in (int, float) and 0 <= value <= LONGEST)
#: how long a peer may ask the master to wait; what is below 0 is no wait
WAIT = Check(
    "a number of seconds",
    lambda value: type(value) in (int, float) and not math.isnan(value) and value <= LONGEST_WAIT,
)

NAMES = listed(NAME, "a list of names")
QUEUES = listed(QUEUE, "a list of queues' names")
VALUES = listed(VALUE, "a list of plain values")
ROWS = Check("a list of tuples", lambda value: type(value) in (list, tuple) and len(value) <= MOST)
RANGES = listed(Check("", _is_pair_of(ID.holds, COUNT.holds)), "a list of (first, count) pairs of whole numbers")
#: (task, text) of what was printed
PRINTED = listed(Check("", _is_pair_of(ID.holds, TEXT.holds)), "a list of (task, text) pairs")
#: (task, stream, text) of the same, as it travels with an outcome
PIECES = listed(
    Check("", _is_pair_of(ID.holds, one_of("stdout", "stderr").holds, text(1 << 20, "").holds)),
    "a list of (task, stream, text) triples",
)
FUNCTIONS = Check(
    "a dictionary of digests and pickles",
    lambda value: (
        type(value) is dict
        and len(value) <= MOST
        and all(DIGEST.holds(key) and BUFFER.holds(pickled) for key, pickled in value.items())
    ),
)


def check_queue(name: object) -> None:
    """Raise `BadInput` unless `name` can be a queue's name."""
    QUEUE("queue", name)


def all_hold(holds: Sequence[Holds], values: Sequence[Any]) -> bool:
    """Whether each of the values is what the one of `holds` at its place takes, and there are as many: a loop of C."""
    return len(values) == len(holds) and all(map(_call, holds, values))


def check_fields(what: str, checks: Sequence[tuple[str, Check]], holds: Sequence[Holds], values: Any) -> None:
    """Raise `BadInput` unless each of the values holds, as `holds` has it of the `checks`; `what` is what they are the
    fields of."""
    if type(values) not in (list, tuple) or len(values) != len(checks):
        raise BadInput(f"{what} of {len(checks)} fields expected, not {shown(values)}", "is it of this version?")
    if not all_hold(holds, values):  # as nearly all do
        for (name, check), value in zip(checks, values, strict=True):
            check(name, value)
