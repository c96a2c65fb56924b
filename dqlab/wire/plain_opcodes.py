"""What the opcodes of plain data do that make one value: numbers, texts, what comes again, what has a name.

Each function is told where the argument of its opcode begins in the bytes, and returns where the next opcode stands.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterable
from typing import Any

from dqlab.wire.plain_budget import Budget
from dqlab.wire.plain_types import Factory, Maker, Stranger, find_name, set_state

__all__ = ["OPCODES", "Machine", "Opcode", "constant"]

#: bytes of an int: a division of two such numbers takes a third of a second
INT_BYTES = 1 << 17

_INT, _UINT, _ULONG = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<Q")


class Machine:
    """What one pickle is read with, besides the stack: its bytes, a memo of what may come again, and a budget."""

    __slots__ = ("_budget", "buffers", "data", "memo", "named", "stranger")

    def __init__(self, data: bytes | bytearray, buffers: Iterable[Any]) -> None:
        self.data, self.buffers = data, iter(buffers)
        self.memo: list[Any] = []
        self._budget: Budget | None = None
        self.named = False  #: whether there are `NAMES`, which must not get into a value
        self.stranger: Stranger | None = None  #: the first one

    @property
    def budget(self) -> Budget:
        """What may be spent; most messages ask for none of it."""
        if self._budget is None:
            self._budget = Budget(len(self.data))
        return self._budget

    def remember(self, index: int, value: Any) -> None:
        """Put a value into the memo, at an index that is mostly the next one; `IndexError` if it is much too large."""
        if index > len(self.data):
            raise IndexError(index)
        self.memo += [None] * (index + 1 - len(self.memo))
        self.memo[index] = value

    def find(self, module: str, name: str) -> Maker | Stranger:
        """What the pickle gets for the name of a type."""
        self.named = True
        found = find_name(module, name)
        if self.stranger is None and type(found) is Stranger:
            self.stranger = found
        return found


#: what an opcode does: to the machine, and to the stack above the last mark
Opcode = Callable[[Machine, list[Any], int], int]


def constant(make: Callable[[], Any]) -> Opcode:
    """An opcode without an argument, for which `make()` makes the value."""

    def push(m: Machine, stack: list[Any], at: int) -> int:
        stack.append(make())
        return at

    return push


def _protocol(m: Machine, stack: list[Any], at: int) -> int:
    if m.data[at] > 5:
        raise pickle.UnpicklingError(f"pickle protocol {m.data[at]}, which is not known here")
    return at + 1


def _frame(m: Machine, stack: list[Any], at: int) -> int:
    return at + _ULONG.size


def _int(m: Machine, stack: list[Any], at: int) -> int:
    stack.append(_INT.unpack_from(m.data, at)[0])
    return at + _INT.size


def _pop(m: Machine, stack: list[Any], at: int) -> int:
    stack.pop()
    return at


# -- what says how long it is ------------------------------------------------------------------------------------------


def _sized(size: Callable[[Any, int], int], width: int, read: Callable[[Machine, int, int], Any]) -> Opcode:
    """An opcode with a size of `width` bytes, and that many bytes, of which `read` makes a value."""

    def push(m: Machine, stack: list[Any], at: int) -> int:
        start = at + width
        end = start + size(m.data, at)
        if end > len(m.data):
            raise IndexError
        stack.append(read(m, start, end))
        return end

    return push


def _byte_at(data: Any, at: int) -> int:
    return int(data[at])


def _uint_at(data: Any, at: int) -> int:
    return int(_UINT.unpack_from(data, at)[0])


def _ulong_at(data: Any, at: int) -> int:
    return int(_ULONG.unpack_from(data, at)[0])


def _text(m: Machine, start: int, end: int) -> str:
    return str(m.data[start:end], "utf-8", "surrogatepass")


def _ascii(m: Machine, start: int, end: int) -> str:
    return str(m.data[start:end], "ascii")  # a `str` of Python 2


def _bytes(m: Machine, start: int, end: int) -> bytes:
    with memoryview(m.data) as view:
        return bytes(view[start:end])


def _bytearray(m: Machine, start: int, end: int) -> bytearray:
    return bytearray(m.data[start:end])


def _long(m: Machine, start: int, end: int) -> int:
    if end - start > INT_BYTES:
        raise pickle.UnpicklingError(f"an int of more than {INT_BYTES} bytes is not plain data")
    if end - start > 8:
        m.budget.distrust_ints()
    return int.from_bytes(m.data[start:end], "little", signed=True)


def _next_buffer(m: Machine, stack: list[Any], at: int) -> int:
    stack.append(next(m.buffers))
    return at


def _read_only_buffer(m: Machine, stack: list[Any], at: int) -> int:
    if type(stack[-1]) is not bytes:
        stack[-1] = memoryview(stack[-1]).toreadonly()
    return at


# -- what comes again, and what has a name -----------------------------------------------------------------------------


def _put(m: Machine, stack: list[Any], at: int) -> int:
    m.remember(m.data[at], stack[-1])
    return at + 1


def _long_put(m: Machine, stack: list[Any], at: int) -> int:
    m.remember(_uint_at(m.data, at), stack[-1])
    return at + _UINT.size


def _long_get(m: Machine, stack: list[Any], at: int) -> int:
    stack.append(m.memo[_uint_at(m.data, at)])
    return at + _UINT.size


def _name(m: Machine, stack: list[Any], at: int) -> int:
    middle = m.data.index(b"\n", at)
    end = m.data.index(b"\n", middle + 1)
    stack.append(m.find(_text(m, at, middle), _text(m, middle + 1, end)))
    return end + 1


def _name_on_the_stack(m: Machine, stack: list[Any], at: int) -> int:
    name, module = stack.pop(), stack.pop()
    stack.append(m.find(module, name))
    return at


def _make_new(m: Machine, stack: list[Any], at: int) -> int:
    if type(stack[-2]) is not Stranger:
        return _make(m, stack, at)
    args, stranger = stack.pop(), stack.pop()
    stack.append(stranger.new(args))
    return at


def _make(m: Machine, stack: list[Any], at: int) -> int:
    args, maker = stack.pop(), stack.pop()
    if type(maker) is Stranger:
        stack.append(Stranger(maker.name))
        return at
    if type(maker) is not Maker:
        raise pickle.UnpicklingError(f"a {type(maker).__name__} makes no plain data")
    if type(args) is Factory:
        args = (args.type,)
    elif type(args) is not tuple:
        raise pickle.UnpicklingError(f"{maker.name} of a {type(args).__name__} is not plain data")
    m.budget.pay_for_copy(args)
    if args and type(args[0]) is list:  # perhaps a set's, and the items of others do no harm
        m.budget.pay_for_keys([], args[0])
    stack.append(maker.make(*args))
    return at


def _build(m: Machine, stack: list[Any], at: int) -> int:
    state = stack.pop()
    set_state(stack[-1], state)
    return at


#: what each opcode does, but for those of `plain_containers`
OPCODES: dict[bytes, Opcode] = {
    pickle.PROTO: _protocol, pickle.FRAME: _frame, pickle.POP: _pop, pickle.NONE: constant(lambda: None),
    pickle.NEWTRUE: constant(lambda: True), pickle.NEWFALSE: constant(lambda: False), pickle.BININT: _int,
    pickle.LONG1: _sized(_byte_at, 1, _long), pickle.LONG4: _sized(_uint_at, 4, _long),
    pickle.BINUNICODE: _sized(_uint_at, 4, _text), pickle.BINUNICODE8: _sized(_ulong_at, 8, _text),
    pickle.BINBYTES: _sized(_uint_at, 4, _bytes), pickle.BINBYTES8: _sized(_ulong_at, 8, _bytes),
    pickle.SHORT_BINSTRING: _sized(_byte_at, 1, _ascii), pickle.BINSTRING: _sized(_uint_at, 4, _ascii),
    pickle.BYTEARRAY8: _sized(_ulong_at, 8, _bytearray),
    pickle.NEXT_BUFFER: _next_buffer, pickle.READONLY_BUFFER: _read_only_buffer,
    pickle.BINPUT: _put, pickle.LONG_BINPUT: _long_put, pickle.LONG_BINGET: _long_get,
    pickle.GLOBAL: _name, pickle.STACK_GLOBAL: _name_on_the_stack,
    pickle.REDUCE: _make, pickle.NEWOBJ: _make_new, pickle.BUILD: _build,
}  # fmt: skip
