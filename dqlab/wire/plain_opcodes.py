"""What each opcode of a pickle of plain data does to the machine that reads it."""

from __future__ import annotations

import collections
import pickle
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dqlab.wire.plain_budget import Budget
from dqlab.wire.plain_types import Factory, Maker, find_maker, set_state

__all__ = ["OPCODES", "Machine"]

#: bytes of an int: a division of two such numbers takes a third of a second
INT_BYTES = 1 << 17

_NAMES = frozenset({Maker, Factory})
_LISTS = (list, collections.deque)
_DICTS = (dict, collections.defaultdict, collections.OrderedDict, collections.Counter)
_INT, _UINT, _ULONG, _FLOAT = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<Q"), struct.Struct(">d")

#: several numbers (or `None`, `True`, `False`) in a row, each with its opcode
_NUMBERS = re.compile(rb"(?:K.|M..|J....|G.{8}|[N\x88\x89]){4,}+", re.DOTALL)

_Op = Callable[["Machine", int], int]


class Machine:
    """The state of the machine: a stack, marks in it, and a memo of what may come again."""

    __slots__ = ("budget", "buffers", "data", "marks", "memo", "named", "push", "size", "stack")

    def __init__(self, data: bytes | bytearray, buffers: Iterable[Any]) -> None:
        self.data, self.size, self.buffers = data, len(data), iter(buffers)
        self.stack: list[Any] = []
        self.push = self.stack.append
        self.marks: list[int] = []  #: heights of the stack
        self.memo: dict[int, Any] = {}  #: no list: an index costs nothing, however large it is
        self.budget = Budget(self.size)
        self.named = False  #: whether there are `_NAMES`, which must not get into a value

    def pop_mark(self) -> list[Any]:
        """Take all that lies above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        if self.named:
            self.check_values(items)
        return items

    def check_values(self, items: Sequence[Any]) -> None:
        """Refuse a type, which is no value."""
        if not _NAMES.isdisjoint(map(type, items)):
            raise pickle.UnpicklingError("a type itself is not plain data")


# -- one function per opcode: it gets where the opcode's argument begins, and returns where the next opcode stands -----


def _unknown(m: Machine, at: int) -> int:
    raise pickle.UnpicklingError(f"opcode {m.data[at - 1]:#x} is not one of plain data in protocols 2 to 5")


#: what to do, by the opcode's byte
OPCODES: list[_Op] = [_unknown] * 256


def _opcode(*codes: bytes) -> Callable[[_Op], _Op]:
    def add(function: _Op) -> _Op:
        for code in codes:
            OPCODES[code[0]] = function
        return function

    return add


@_opcode(pickle.PROTO)
def _protocol(m: Machine, at: int) -> int:
    if m.data[at] > 5:
        raise pickle.UnpicklingError(f"pickle protocol {m.data[at]}, which is not known here")
    return at + 1


@_opcode(pickle.FRAME)
def _frame(m: Machine, at: int) -> int:
    return at + 8


def _constant(code: bytes, value: Any) -> None:
    @_opcode(code)
    def push(m: Machine, at: int) -> int:
        m.push(value)
        return at


_constant(pickle.NONE, None)
_constant(pickle.NEWTRUE, True)
_constant(pickle.NEWFALSE, False)
_constant(pickle.EMPTY_TUPLE, ())


@_opcode(pickle.BININT)
def _int(m: Machine, at: int) -> int:
    m.push(_INT.unpack_from(m.data, at)[0])
    return at + 4


@_opcode(pickle.BINFLOAT)
def _float(m: Machine, at: int) -> int:
    m.push(_FLOAT.unpack_from(m.data, at)[0])
    return at + 8


# -- what says how long it is ------------------------------------------------------------------------------------------


def _sized(code: bytes, width: int, read: Callable[[Machine, int, int], Any]) -> None:
    """Add an opcode: a size of `width` bytes, and that many bytes, of which `read` makes a value."""
    size_at = {1: lambda data, at: data[at], 4: _uint_at, 8: lambda data, at: _ULONG.unpack_from(data, at)[0]}[width]

    @_opcode(code)
    def push(m: Machine, at: int) -> int:
        start = at + width
        end = start + size_at(m.data, at)
        if end > m.size:
            raise IndexError
        m.push(read(m, start, end))
        return end


def _uint_at(data: Any, at: int) -> int:
    return int(_UINT.unpack_from(data, at)[0])


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


for _code, _width, _read in (
    (pickle.SHORT_BINUNICODE, 1, _text), (pickle.BINUNICODE, 4, _text), (pickle.BINUNICODE8, 8, _text),
    (pickle.SHORT_BINBYTES, 1, _bytes), (pickle.BINBYTES, 4, _bytes), (pickle.BINBYTES8, 8, _bytes),
    (pickle.SHORT_BINSTRING, 1, _ascii), (pickle.BINSTRING, 4, _ascii), (pickle.BYTEARRAY8, 8, _bytearray),
    (pickle.LONG1, 1, _long), (pickle.LONG4, 4, _long),
):  # fmt: skip
    _sized(_code, _width, _read)


@_opcode(pickle.NEXT_BUFFER)
def _next_buffer(m: Machine, at: int) -> int:
    m.push(next(m.buffers))
    return at


@_opcode(pickle.READONLY_BUFFER)
def _read_only_buffer(m: Machine, at: int) -> int:
    if type(m.stack[-1]) is not bytes:
        m.stack[-1] = memoryview(m.stack[-1]).toreadonly()
    return at


# -- what holds others -------------------------------------------------------------------------------------------------


@_opcode(pickle.MARK)
def _mark(m: Machine, at: int) -> int:
    m.marks.append(len(m.stack))
    numbers = _NUMBERS.match(m.data, at)
    if numbers is None:
        return at
    # Numbers, and nothing else, are read at once by the standard unpickler, as a tuple.
    m.stack += pickle.loads(pickle.MARK + numbers[0] + pickle.TUPLE + pickle.STOP)
    return numbers.end()


@_opcode(pickle.TUPLE)
def _tuple(m: Machine, at: int) -> int:
    m.push(tuple(m.pop_mark()))
    return at


@_opcode(pickle.TUPLE1)
def _tuple_of_one(m: Machine, at: int) -> int:
    item = m.stack.pop()
    m.push(item.as_factory() if type(item) is Maker else (item,))
    return at


@_opcode(pickle.TUPLE2)
def _tuple_of_two(m: Machine, at: int) -> int:
    second, first = m.stack.pop(), m.stack.pop()
    if m.named:
        m.check_values((first, second))
    m.push((first, second))
    return at


@_opcode(pickle.TUPLE3)
def _tuple_of_three(m: Machine, at: int) -> int:
    third, second, first = m.stack.pop(), m.stack.pop(), m.stack.pop()
    if m.named:
        m.check_values((first, second, third))
    m.push((first, second, third))
    return at


@_opcode(pickle.EMPTY_LIST)
def _list(m: Machine, at: int) -> int:
    m.push([])
    return at


@_opcode(pickle.EMPTY_DICT)
def _dict(m: Machine, at: int) -> int:
    m.push({})
    return at


@_opcode(pickle.EMPTY_SET)
def _set(m: Machine, at: int) -> int:
    m.push(set())
    return at


@_opcode(pickle.FROZENSET)
def _frozenset(m: Machine, at: int) -> int:
    items = m.pop_mark()
    m.budget.pay_for_keys([], items)
    m.push(frozenset(items))
    return at


@_opcode(pickle.APPEND)
def _append(m: Machine, at: int) -> int:
    item = m.stack.pop()
    if m.named:
        m.check_values((item,))
    _extend(m.stack[-1], [item])
    return at


@_opcode(pickle.APPENDS)
def _appends(m: Machine, at: int) -> int:
    items = m.pop_mark()
    _extend(m.stack[-1], items)
    return at


def _extend(holder: Any, items: list[Any]) -> None:
    if type(holder) not in _LISTS:
        raise pickle.UnpicklingError(f"items for a {type(holder).__name__}")
    holder.extend(items)


@_opcode(pickle.SETITEM)
def _set_item(m: Machine, at: int) -> int:
    value, key = m.stack.pop(), m.stack.pop()
    if m.named:
        m.check_values((key, value))
    _update(m, [key, value])
    return at


@_opcode(pickle.SETITEMS)
def _set_items(m: Machine, at: int) -> int:
    _update(m, m.pop_mark())
    return at


def _update(m: Machine, items: list[Any]) -> None:
    holder, pairs = m.stack[-1], iter(items)
    if type(holder) not in _DICTS or len(items) % 2:
        raise pickle.UnpicklingError(f"keys for a {type(holder).__name__}")
    m.budget.pay_for_keys(holder, items[::2])
    if type(holder) is collections.OrderedDict:
        holder.update(zip(pairs, pairs, strict=True))
    else:
        dict.update(holder, zip(pairs, pairs, strict=True))  # a `Counter` would add


@_opcode(pickle.ADDITEMS)
def _add_items(m: Machine, at: int) -> int:
    items, holder = m.pop_mark(), m.stack[-1]
    if type(holder) is not set:
        raise pickle.UnpicklingError(f"members for a {type(holder).__name__}")
    m.budget.pay_for_keys(holder, items)
    holder.update(items)
    return at


@_opcode(pickle.POP)
def _pop(m: Machine, at: int) -> int:
    m.stack.pop()
    return at


@_opcode(pickle.POP_MARK)
def _pop_mark(m: Machine, at: int) -> int:
    m.pop_mark()
    return at


# -- what comes again, and what has a name -----------------------------------------------------------------------------


@_opcode(pickle.BINPUT)
def _put(m: Machine, at: int) -> int:
    m.memo[m.data[at]] = m.stack[-1]
    return at + 1


@_opcode(pickle.LONG_BINPUT)
def _long_put(m: Machine, at: int) -> int:
    m.memo[_uint_at(m.data, at)] = m.stack[-1]
    return at + 4


@_opcode(pickle.LONG_BINGET)
def _long_get(m: Machine, at: int) -> int:
    m.push(m.memo[_uint_at(m.data, at)])
    return at + 4


@_opcode(pickle.GLOBAL)
def _name(m: Machine, at: int) -> int:
    middle = m.data.index(b"\n", at)
    end = m.data.index(b"\n", middle + 1)
    m.named = True
    m.push(find_maker(_text(m, at, middle), _text(m, middle + 1, end)))
    return end + 1


@_opcode(pickle.STACK_GLOBAL)
def _name_on_the_stack(m: Machine, at: int) -> int:
    name, module = m.stack.pop(), m.stack.pop()
    m.named = True
    m.push(find_maker(module, name))
    return at


@_opcode(pickle.REDUCE, pickle.NEWOBJ)
def _make(m: Machine, at: int) -> int:
    args, maker = m.stack.pop(), m.stack.pop()
    if type(maker) is not Maker:
        raise pickle.UnpicklingError(f"a {type(maker).__name__} makes no plain data")
    if type(args) is Factory:
        args = (args.type,)
    elif type(args) is not tuple:
        raise pickle.UnpicklingError(f"{maker.name} of a {type(args).__name__} is not plain data")
    m.budget.pay_for_copy(args)
    if args and type(args[0]) is list:  # perhaps a set's, and the items of others do no harm
        m.budget.pay_for_keys([], args[0])
    m.push(maker.make(*args))
    return at


@_opcode(pickle.BUILD)
def _build(m: Machine, at: int) -> int:
    state = m.stack.pop()
    set_state(m.stack[-1], state)
    return at
