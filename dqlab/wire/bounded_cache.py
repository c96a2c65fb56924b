"""A dictionary that forgets what was used least lately, so that its values stay within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["BoundedCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values by key, of at most `most_bytes` together; the newest one stays, however large it is.

    Two caches of one bound to which the same is done in the same order hold the same keys: so a sender knows what its
    receiver still has.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def use(self, key: K) -> bool:
        """Whether there is a value, which is now the one used last."""
        if key in self._values:
            self._values.move_to_end(key)
            return True
        return False

    def get(self, key: K) -> V | None:
        """The value, which is now the one used last; None if it was never kept, or has been forgotten."""
        return self._values[key][0] if self.use(key) else None

    def keep(self, key: K, value: V, size: int) -> None:
        """Keep a value of `size` bytes, in the place of one that was kept under its key before."""
        self._bytes += size - self._values.pop(key, (None, 0))[1]
        self._values[key] = value, size
        while self._bytes > self._most_bytes and len(self._values) > 1:
            _, (_, forgotten) = self._values.popitem(last=False)
            self._bytes -= forgotten
