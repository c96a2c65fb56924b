"""How a pickle of plain data is read: one opcode after another, and no more work than its length allows.

    bytes ──opcode──> plain_opcodes, plain_containers ──> stack, memo ──STOP──> value
                         └── names ──> plain_types    hashes, copies ──> plain_budget

A pickle is a program. Its only way to code is a name that it asks for, and `plain_types` knows the plain ones. What
remains is a program that costs much more than it is long, against which there is one rule: whatever an opcode does
beyond reading its own bytes (to copy, to hash, to compare) is paid for from a budget that grows with the message. The
standard unpickler has no such budget: ten bytes make it allocate gigabytes, seventy hold the GIL for minutes. It reads
only what a pattern shows to be harmless, as most messages are: nothing in them that has a name, is hashed or copied.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Iterable
from typing import Any

from dqlab.wire import plain_containers, plain_opcodes
from dqlab.wire.plain_budget import DEPTH, find_among, is_deeper
from dqlab.wire.plain_containers import GATHERERS
from dqlab.wire.plain_opcodes import Machine, Opcode
from dqlab.wire.plain_types import NAMES, Stranger

__all__ = ["load_plain"]

#: bytes of a pickle for which the pattern is tried: the GIL is held for so long
FLAT_BYTES = 1 << 16
#: texts, bytes and ints that say how long they are, floats, other ints, what comes again, and what there is in one byte
#: only: None, True, False, tuples, lists and what they are given, an empty dict
_FLAT = re.compile(
    rb"\x80[\x04\x05](\x95.{8})?"
    rb"(?:[\x8cC\x8a](?:%b)\x94?+|[\x94N\x88\x89(t)\x85-\x87\]ae}]++|(?:[Kh].)++|M..|G.{8}|J.{4})*+\."
    % b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(256)),
    re.DOTALL,
)
#: what a pickle that makes no sense leads to
_NONSENSE = (
    ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError, struct.error,
)  # fmt: skip
#: the opcodes that nearly every value consists of, which are done without a call
_MEMOIZE, _TEXT, _BYTE, _TWO_BYTES, _FLOAT, _BYTES, _GET, _MARK, _TUPLE, _STOP = (
    code[0]
    for code in (
        pickle.MEMOIZE, pickle.SHORT_BINUNICODE, pickle.BININT1, pickle.BININT2, pickle.BINFLOAT,
        pickle.SHORT_BINBYTES, pickle.BINGET, pickle.MARK, pickle.TUPLE, pickle.STOP,
    )
)  # fmt: skip
_float_at = struct.Struct(">d").unpack_from
#: what pickles of protocols 4 and 5 begin with, and bytes of that: the protocol, and a frame with its length
_BEGINS, _BEGIN_BYTES = (b"\x80\x04\x95", b"\x80\x05\x95"), 11


def _unknown(m: Machine, stack: list[Any], at: int) -> int:
    raise pickle.UnpicklingError(f"opcode {m.data[at - 1]:#x} is not one of plain data in protocols 2 to 5")


_known = {**plain_opcodes.OPCODES, **plain_containers.OPCODES}
#: what the others do, by the opcode's byte
_OPCODES: list[Opcode] = [_known.get(bytes([code]), _unknown) for code in range(256)]


def load_plain(data: bytes | bytearray, buffers: Iterable[Any] = ()) -> Any:
    """Return the value in a pickle of plain data, of protocol 2 to 5; `buffers` is what it left out (PEP 574).

    `pickle.UnpicklingError` names the first type that is not plain, or says what else is wrong with the pickle.
    """
    if len(data) <= FLAT_BYTES and _FLAT.fullmatch(data):
        try:
            value = pickle.loads(data)
        except Exception as exc:
            raise pickle.UnpicklingError(f"a pickle that makes no sense: {exc}") from exc
    else:
        value = _read_carefully(data, buffers)
    if len(data) > DEPTH and is_deeper(value, DEPTH):
        raise pickle.UnpicklingError(f"values nested more than {DEPTH} deep are not plain data")
    return value


def _read_carefully(data: bytes | bytearray, buffers: Iterable[Any]) -> Any:
    machine = Machine(data, buffers)
    try:
        value = _run(machine)
    except Exception as exc:
        if machine.stranger is not None:  # who knows what was meant
            raise _refusal(machine.stranger) from None
        if isinstance(exc, IndexError):
            raise pickle.UnpicklingError("a pickle that is cut short, or makes no sense") from None
        if isinstance(exc, _NONSENSE):
            raise pickle.UnpicklingError(f"a pickle that makes no sense: {type(exc).__name__}: {exc}") from exc
        raise
    if machine.named and (name := find_among(value, NAMES)) is not None:
        raise _refusal(name)
    return value


def _refusal(name: Any) -> pickle.UnpicklingError:
    what = name.name if isinstance(name, Stranger) else "a type itself"
    return pickle.UnpicklingError(f"{what} is not plain data")


def _run(m: Machine) -> Any:
    # What lies above the last mark is `stack`; what lies below waits in `below`, a list for each mark.
    # A length that goes beyond the end is noticed when the next opcode is looked for there.
    # A text is nearly always remembered at once.
    data, memo, at = m.data, m.memo, _BEGIN_BYTES if m.data[:3] in _BEGINS else 0
    stack: list[Any] = []
    below: list[list[Any]] = []
    while True:
        code = data[at]
        if code == _MEMOIZE:
            memo.append(stack[-1])
            at += 1
        elif code == _TEXT:
            start = at + 2
            at = start + data[at + 1]
            stack.append(text := data[start:at].decode("utf-8", "surrogatepass"))
            if data[at] == _MEMOIZE:
                memo.append(text)
                at += 1
        elif code == _BYTE:
            stack.append(data[at + 1])
            at += 2
        elif code == _TWO_BYTES:
            stack.append(data[at + 1] | data[at + 2] << 8)
            at += 3
        elif code == _MARK:
            below.append(stack)
            stack = []
            at += 1
        elif code == _TUPLE or code in GATHERERS:
            items, stack = stack, below.pop()
            if code == _TUPLE:
                stack.append(tuple(items))
            else:
                GATHERERS[code](m, stack, items)
            at += 1
        elif code == _GET:
            stack.append(memo[data[at + 1]])
            at += 2
        elif code == _FLOAT:
            stack += _float_at(data, at + 1)
            at += 9
        elif code == _BYTES:
            start = at + 2
            at = start + data[at + 1]
            stack.append(bytes(data[start:at]))
        elif code == _STOP:
            return stack.pop()
        else:
            at = _OPCODES[code](m, stack, at + 1)
