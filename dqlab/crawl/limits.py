"""How long a crawl waits for one answer, and how much it takes of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How long to wait and how much to take: seconds of silence, seconds and bytes for a whole answer."""

    timeout: float = 10.0
    deadline: float = 60.0
    max_bytes: int = 20_000_000
