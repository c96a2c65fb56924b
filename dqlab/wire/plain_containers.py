"""What the opcodes of plain data do that fill a list, a tuple, a dict or a set.

`OPCODES` work on what lies on the stack above the last mark, as those of `plain_opcodes` do. `GATHERERS` are given all
that lies there as `items`, and what lies below as the stack.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable
from typing import Any

from dqlab.wire.plain_opcodes import Machine, Opcode, constant
from dqlab.wire.plain_types import Maker, Stranger

__all__ = ["GATHERERS", "OPCODES"]

_LISTS = (list, collections.deque)
_DICTS = (dict, collections.defaultdict, collections.OrderedDict, collections.Counter)


# -- of what lies on top of the stack ----------------------------------------------------------------------------------


def _tuple_of_one(m: Machine, stack: list[Any], at: int) -> int:
    item = stack.pop()
    stack.append(item.as_factory() if type(item) is Maker else (item,))
    return at


def _tuple_of_two(m: Machine, stack: list[Any], at: int) -> int:
    second, first = stack.pop(), stack.pop()
    stack.append((first, second))
    return at


def _tuple_of_three(m: Machine, stack: list[Any], at: int) -> int:
    third, second, first = stack.pop(), stack.pop(), stack.pop()
    stack.append((first, second, third))
    return at


def _append(m: Machine, stack: list[Any], at: int) -> int:
    item = stack.pop()
    _extend(m, stack, [item])
    return at


def _set_item(m: Machine, stack: list[Any], at: int) -> int:
    value, key = stack.pop(), stack.pop()
    _update(m, stack, [key, value])
    return at


# -- of all that lies above the last mark ------------------------------------------------------------------------------


def _extend(m: Machine, stack: list[Any], items: list[Any]) -> None:
    holder = stack[-1]
    if type(holder) is Stranger:
        return
    if type(holder) not in _LISTS:
        raise pickle.UnpicklingError(f"items for a {type(holder).__name__}")
    holder.extend(items)


def _update(m: Machine, stack: list[Any], items: list[Any]) -> None:
    holder, pairs = stack[-1], iter(items)
    if type(holder) is Stranger:
        return
    if type(holder) not in _DICTS or len(items) % 2:
        raise pickle.UnpicklingError(f"keys for a {type(holder).__name__}")
    m.budget.pay_for_keys(holder, items[::2])
    if type(holder) is collections.OrderedDict:
        holder.update(zip(pairs, pairs, strict=True))
    else:
        dict.update(holder, zip(pairs, pairs, strict=True))  # a `Counter` would add


def _add(m: Machine, stack: list[Any], items: list[Any]) -> None:
    holder = stack[-1]
    if type(holder) is not set:
        raise pickle.UnpicklingError(f"members for a {type(holder).__name__}")
    m.budget.pay_for_keys(holder, items)
    holder.update(items)


def _frozenset(m: Machine, stack: list[Any], items: list[Any]) -> None:
    m.budget.pay_for_keys([], items)
    stack.append(frozenset(items))


def _forget(m: Machine, stack: list[Any], items: list[Any]) -> None:
    pass


#: what the opcodes of the first kind do
OPCODES: dict[bytes, Opcode] = {
    pickle.EMPTY_TUPLE: constant(tuple), pickle.EMPTY_LIST: constant(list),
    pickle.EMPTY_DICT: constant(dict), pickle.EMPTY_SET: constant(set),
    pickle.TUPLE1: _tuple_of_one, pickle.TUPLE2: _tuple_of_two, pickle.TUPLE3: _tuple_of_three,
    pickle.APPEND: _append, pickle.SETITEM: _set_item,
}  # fmt: skip
#: what those of the second do; a tuple itself is made in `plain_reader`
GATHERERS: dict[int, Callable[[Machine, list[Any], list[Any]], None]] = {
    pickle.APPENDS[0]: _extend, pickle.SETITEMS[0]: _update, pickle.ADDITEMS[0]: _add,
    pickle.FROZENSET[0]: _frozenset, pickle.POP_MARK[0]: _forget,
}  # fmt: skip
