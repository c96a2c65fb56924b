"""What a worker's process remembers of robots.txt: each is fetched once an hour, whatever number of threads asks."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from dqlab.crawl.failures import FetchFailed
from dqlab.crawl.robots import Robots

__all__ = ["Rulebook"]

#: seconds for which rules are remembered, and of how many sites
AGE, MOST_SITES = 3600.0, 256


@dataclass
class Entry:
    """The rules of one site, or why there are none, and until when that is believed (monotonic seconds)."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    rules: Robots | None = None
    error: FetchFailed | None = None


class Rulebook:
    """Remembers the rules of sites."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: OrderedDict[str, Entry] = OrderedDict()

    def of(self, root: str, fetch: Callable[[], Robots]) -> Robots:
        """
        Return the rules of the site at `root`, by `fetch` if they aren't known; raise again what it raised.

        A site without an answer is left alone for as long as it took to find out, else each of its pictures would
        take that long.
        """
        with self.lock:
            entry = self.entries.setdefault(root, Entry())
            self.entries.move_to_end(root)
            if len(self.entries) > MOST_SITES:
                self.entries.popitem(last=False)
        with entry.lock:
            began = time.monotonic()
            if began >= entry.until:
                entry.rules = entry.error = None
                try:
                    entry.rules = fetch()
                    entry.until = began + AGE
                except FetchFailed as error:
                    entry.error = error
                    entry.until = 2 * time.monotonic() - began
            if entry.rules is None:
                raise entry.error or FetchFailed("its robots.txt can't be had")
            return entry.rules

    def clear(self) -> None:
        """Forget all of it."""
        with self.lock:
            self.entries.clear()
