"""What is asked of a crawl."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dqlab.crawl.addresses import absolute
from dqlab.crawl.web import Limits
from dqlab.errors import BadInput

__all__ = ["MAX_PAGES", "OUTSTANDING", "Settings"]

#: pages fetched when the caller doesn't say otherwise
MAX_PAGES = 500
#: tasks handed out and not yet back, at most
OUTSTANDING = 32


@dataclass(frozen=True)
class Settings:
    """What is asked of a crawl, checked: see `crawl` for the meaning of each."""

    url: str
    max_pages: int = MAX_PAGES
    delay: float = 0.0
    timeout: float = Limits.timeout
    max_bytes: int = Limits.max_bytes
    outstanding: int = OUTSTANDING

    def __post_init__(self) -> None:
        if absolute(self.url, "") is None:
            raise BadInput(f"{self.url!r} is no address of a web page", "one begins with http:// or https://")
        for name in ("max_pages", "max_bytes", "outstanding"):
            if (value := getattr(self, name)) < 1:
                raise BadInput(f"{name}={value} makes no sense", "take 1 or more")
        if not (0 <= self.delay < math.inf and 0 < self.timeout < math.inf):
            raise BadInput(f"delay={self.delay} and timeout={self.timeout} make no sense", "both are seconds")
