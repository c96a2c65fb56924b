"""How a pickle of plain data is read: one opcode after another, and no more work than its length allows.

    bytes ──opcode──> OPCODES ──> stack, memo ──STOP──> value
                         └── names ──> plain_types    hashes, copies ──> plain_budget

A pickle is a program. Its only way to code is a name that it asks for, and `plain_types` knows the plain ones. What
remains is a program that costs much more than it is long, against which there is one rule: whatever an opcode does
beyond reading its own bytes (to copy, to hash, to compare) is paid for from a budget that grows with the message. The
standard unpickler has no such budget: ten bytes make it allocate gigabytes, seventy hold the GIL for minutes.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable
from typing import Any

from dqlab.wire.plain_budget import DEPTH, is_deeper
from dqlab.wire.plain_opcodes import OPCODES, Machine

__all__ = ["read_pickle"]

#: what a pickle that makes no sense leads to
_NONSENSE = (
    ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError, struct.error,
)  # fmt: skip
#: the opcodes that nearly every value consists of, which are done without a call
_MEMOIZE, _TEXT, _BYTE, _TWO_BYTES, _GET, _STOP = (
    code[0]
    for code in (
        pickle.MEMOIZE, pickle.SHORT_BINUNICODE, pickle.BININT1, pickle.BININT2, pickle.BINGET, pickle.STOP,
    )
)  # fmt: skip


def read_pickle(data: bytes | bytearray, buffers: Iterable[Any] = ()) -> Any:
    """Return the value in a pickle of protocol 2 to 5; `buffers` is what it left out (PEP 574).

    Raises `pickle.UnpicklingError` for all that is not plain data, costs too much, or makes no sense.
    """
    try:
        machine = Machine(data, buffers)
        _run(machine)
        value = machine.stack.pop()
        machine.check_values([value])
    except IndexError:
        raise pickle.UnpicklingError("a pickle that is cut short, or makes no sense") from None
    except _NONSENSE as exc:
        raise pickle.UnpicklingError(f"a pickle that makes no sense: {type(exc).__name__}: {exc}") from exc
    if machine.size > DEPTH and is_deeper(value, DEPTH):
        raise pickle.UnpicklingError(f"values nested more than {DEPTH} deep are not plain data")
    return value


def _run(machine: Machine) -> None:
    data, size, opcodes, at = machine.data, machine.size, OPCODES, 0
    stack, push, memo = machine.stack, machine.push, machine.memo
    while True:
        code = data[at]
        if code == _MEMOIZE:
            memo[len(memo)] = stack[-1]
            at += 1
        elif code == _TEXT:
            start = at + 2
            at = start + data[at + 1]
            if at > size:
                raise IndexError
            push(data[start:at].decode("utf-8", "surrogatepass"))
            if data[at] == _MEMOIZE:
                memo[len(memo)] = stack[-1]
                at += 1
        elif code == _BYTE:
            push(data[at + 1])
            at += 2
        elif code == _TWO_BYTES:
            push(data[at + 1] | data[at + 2] << 8)
            at += 3
        elif code == _GET:
            push(memo[data[at + 1]])
            at += 2
        elif code == _STOP:
            return
        else:
            at = opcodes[code](machine, at + 1)
