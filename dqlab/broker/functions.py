"""The functions that clients have sent, by digest. What no task needs any more is kept within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from dqlab.errors import BadInput

__all__ = ["Functions"]

#: functions that no task needs, and their bytes: what is kept at most, in case a client uses them again
UNUSED, UNUSED_BYTES = 10_000, 64 << 20


class Functions(dict[str, bytes]):
    """Pickled functions by digest. A client whose function was forgotten sends it again."""

    def __init__(self) -> None:
        super().__init__()
        self._users: dict[str, int] = {}  #: runs that are not through, by their function's digest
        self._unused: OrderedDict[str, int] = OrderedDict()  #: bytes by digest, the longest unused first
        self._unused_bytes = 0

    def add(self, functions: Mapping[str, bytes]) -> None:
        """Take in what a client has sent."""
        for digest, pickled in functions.items():
            if not isinstance(digest, str) or not isinstance(pickled, bytes | bytearray):
                raise BadInput(f"function {digest!r} of type {type(pickled).__name__}", "a digest and a pickle")
            if digest not in self:
                self[digest] = pickled
                self._set_aside(digest)

    def use(self, digest: str) -> None:
        """One more run needs the function."""
        self._users[digest] = self._users.get(digest, 0) + 1
        self._unused_bytes -= self._unused.pop(digest, 0)

    def release(self, digest: str) -> None:
        """A run that needed the function is through."""
        self._users[digest] -= 1
        if not self._users[digest]:
            del self._users[digest]
            self._set_aside(digest)

    def _set_aside(self, digest: str) -> None:
        self._unused[digest] = len(self[digest])
        self._unused_bytes += self._unused[digest]

    def trim(self) -> None:
        """Forget the longest unused ones beyond the bounds."""
        while len(self._unused) > UNUSED or self._unused_bytes > UNUSED_BYTES:
            digest, size = self._unused.popitem(last=False)
            self._unused_bytes -= size
            del self[digest]
