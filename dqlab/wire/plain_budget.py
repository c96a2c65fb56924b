"""How much work a message may cause: hashing, comparing and copying are paid for before they are done."""

from __future__ import annotations

import collections
import decimal
import gc
import pickle
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["DEPTH", "Budget", "find_among", "is_deeper"]

#: lists, tuples, dicts within each other; the standard pickler ends at fewer than 500
DEPTH = 400
#: how many items may be copied, hashed or compared while a message is read: at least, and for each of its bytes
LEAST_BUDGET, BUDGET_PER_BYTE = 100_000, 16
#: what it costs to copy an item, which takes memory as well
COPY = 8
#: entries up to which equal hashes in a dict or set don't matter
FEW = 8
#: what it costs to hash a value whose type computes that in Python
SLOW_HASH = 64

#: what hashes differently in every process, so that nobody can prepare equal ones
_UNPREDICTABLE = frozenset({str, bytes})
#: what is hashed at once, whichever value it is; ints too, as long as no large one was read
_QUICK = _UNPREDICTABLE | {float, bool, type(None), int}
_QUICK_WITHOUT_INT = _QUICK - {int}
#: what is hashed by hashing all that is in it
_TUPLES = frozenset({tuple, frozenset})
_NESTS = _TUPLES | {
    list, dict, set, collections.deque, collections.OrderedDict, collections.defaultdict, collections.Counter,
}  # fmt: skip


class Budget:
    """What is left to spend for a message of `size` bytes."""

    __slots__ = ("_counts", "_left", "_quick")

    def __init__(self, size: int) -> None:
        self._left = LEAST_BUDGET + BUDGET_PER_BYTE * size
        self._quick = _QUICK
        #: id of a dict or set with more than a few entries -> itself, how often each hash is in it
        self._counts: dict[int, tuple[Any, dict[int, int]]] = {}

    def spend(self, work: int) -> None:
        """Pay for work; `pickle.UnpicklingError` if there is not enough left."""
        self._left -= work
        if self._left < 0:
            raise pickle.UnpicklingError("a pickle that is too much work for its length is not plain data")

    def distrust_ints(self) -> None:
        """A large int was read: from now on ints are looked at before they are hashed."""
        self._quick = _QUICK_WITHOUT_INT

    def pay_for_copy(self, args: Sequence[Any]) -> None:
        """Pay for values that a type is made of."""
        self.spend(COPY * sum(map(_amount, args)))

    def pay_for_keys(self, holder: Any, keys: Sequence[Any]) -> None:
        """Pay for `keys` to be hashed, and to be compared with those that `holder`, a dict or set, has already."""
        if _UNPREDICTABLE.issuperset(map(type, keys)):
            return
        if not self._quick.issuperset(map(type, keys)):
            self._pay_for_hashes(keys)
        if len(holder) + len(keys) > FEW:
            self._pay_for_comparisons(holder, keys)

    def _pay_for_hashes(self, keys: Sequence[Any]) -> int:
        before, layer = self._left, list(keys)
        for _ in range(DEPTH):
            self.spend(len(layer) + sum(_hash_cost(key) for key in layer if type(key) not in self._quick))
            tuples = [key for key in layer if type(key) in _TUPLES]
            if not tuples:
                return before - self._left
            self.spend(sum(map(len, tuples)))
            layer = [item for key in tuples for item in key]
        raise pickle.UnpicklingError(f"tuples nested more than {DEPTH} deep are not plain data")

    def _pay_for_comparisons(self, holder: Any, keys: Sequence[Any]) -> None:
        # Keys with the same hash are compared with each other, and many such numbers are easily written down.
        if id(holder) not in self._counts:
            self._counts[id(holder)] = holder, dict(collections.Counter(map(hash, holder)))
        counts = self._counts[id(holder)][1]
        for key in keys:
            found = counts.get(hash(key), 0)
            if found:
                self.spend(found * self._pay_for_hashes([key]))
            counts[hash(key)] = found + 1


def is_deeper(value: Any, limit: int) -> bool:
    """Whether lists, tuples and such are nested more than `limit` deep in `value`, or for ever."""
    if type(value) not in _NESTS:
        return False
    layer = [value]
    for _ in range(limit):
        inner = gc.get_referents(*layer)
        if _NESTS.isdisjoint(map(type, inner)):
            return False
        layer = list({id(item): item for item in inner if type(item) in _NESTS}.values())
    return True


def find_among(value: Any, types: frozenset[type]) -> Any:
    """What there is of these types in a value, in lists, tuples and dicts and such; None if nothing."""
    seen: dict[int, Any] = {}
    layer = [value]
    while layer:
        if not types.isdisjoint(map(type, layer)):
            return next(item for item in layer if type(item) in types)
        nests = {id(item): item for item in layer if type(item) in _NESTS and id(item) not in seen}
        seen |= nests
        layer = gc.get_referents(*nests.values())
    return None


def _amount(value: Any) -> int:
    """How much there is to copy, or to compute with."""
    if type(value) is int:
        return 1 + value.bit_length() // 8
    return 1 + len(value) if type(value) in (str, bytes, list, tuple, dict) else 1


def _hash_cost(key: Any) -> int:
    if type(key) in (int, decimal.Decimal):
        return sys.getsizeof(key) // 8
    return 1 if type(key) in _TUPLES or type(key) in (str, bytes, complex) else SLOW_HASH
