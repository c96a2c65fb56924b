"""A lease on its way through a worker and its child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dqlab.wire.messages import Lease

__all__ = ["Job"]


@dataclass
class Job:
    """A lease on its way through the child: of [lo, hi) nothing is reported yet."""

    lease: Lease
    payload: Any
    function: bytes  #: pickled; b"" for plain tasks
    lo: int
    hi: int
    start: int = 0  #: position of item lo in the current feed
    fed_lo: int = 0  #: lo when it was fed

    def as_lease(self, payload: Any) -> Lease:
        """What the child is fed of it."""
        return Lease(
            token=self.lease.token, first=self.lease.first, lo=self.lo, hi=self.hi, attempt=self.lease.attempt,
            careful=self.lease.careful, header=self.lease.header, payload=payload,
        )  # fmt: skip

    def position(self, item: int) -> int:
        """Where an item is in the current feed."""
        return self.start + item - self.fed_lo
