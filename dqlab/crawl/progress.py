"""How far a crawl is, on one line: pictures and bytes a second, the time that is left, hosts that wait and why."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

__all__ = ["Counts", "Progress"]

#: seconds between two drawings of the line
REDRAW = 0.1
#: seconds over which rates are measured, and for which the total must stay before a time is foretold
WINDOW, SETTLED = 5.0, 3.0
#: hosts that are named; the others are counted
HOSTS = 2
#: what the line looks like, without and with a time that is left
OPEN = "{desc}: {n_fmt}/{total_fmt}+ [{elapsed}{postfix}]"
FORETOLD = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """
    How far a crawl is. `images` new ones with `bytes`, `failed` ones, `pages` read.

    `waiting` pictures and `unread` pages are known and not back yet; `growing`: addresses are still being read from a
    list. `holds` are hosts that are not asked for a while: seconds that are left, and why.
    """

    images: int = 0
    bytes: int = 0
    failed: int = 0
    pages: int = 0
    waiting: int = 0
    unread: int = 0
    growing: bool = False
    holds: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        """Pictures that are done with."""
        return self.images + self.failed


class Progress:
    """The line, on a screen or in a notebook. A context manager. `show`: None means if there is a screen."""

    def __init__(self, show: bool | None) -> None:
        self.show = show
        self.drawn = self.grown = time.monotonic()
        self.past: deque[tuple[float, int, int]] = deque()  # time, pictures and bytes

    @cached_property
    def bar(self) -> Any:
        """What draws the line; it takes as long to load as a first answer to come, so nobody waits for it before."""
        from tqdm.auto import tqdm

        class Bar(tqdm):
            monitor_interval = 0  # no thread that outlives the crawl

        disable = None if self.show is None else not self.show
        return Bar(total=0, unit=" images", desc="crawl", disable=disable, bar_format=OPEN, miniters=1)

    def prepare(self) -> None:
        """Load what draws the line."""
        self.bar  # noqa: B018 - made when it is first asked for

    def update(self, counts: Counts, *, now: float | None = None) -> None:
        """Show `counts`, if the last time isn't too near."""
        now = time.monotonic() if now is None else now
        total = counts.settled + counts.waiting
        if total != self.bar.total:
            self.bar.total, self.grown = total, now
        self.bar.n = counts.settled
        if now - self.drawn < REDRAW:
            return
        self.drawn = now
        sure = not counts.growing and (not counts.unread or now - self.grown > SETTLED)
        self.bar.bar_format = FORETOLD if sure else OPEN
        self.bar.set_postfix_str(self.words(counts, now))

    def words(self, counts: Counts, now: float) -> str:
        """Return what stands behind the numbers: rates, pages, hosts that wait."""
        self.past.append((now, counts.settled, counts.bytes))
        while now - self.past[0][0] > WINDOW:
            self.past.popleft()
        since, pictures, size = self.past[0]
        seconds = max(now - since, REDRAW)
        said = [
            f"{(counts.settled - pictures) / seconds:.0f} images/s",
            f"{(counts.bytes - size) / seconds / 1e6:.1f} MB/s",
            f"{counts.pages} pages",
        ]
        if counts.failed:
            said.append(f"{counts.failed} failed")
        held = sorted(counts.holds.items(), key=lambda hold: -hold[1][0])
        said += [f"{host} waits {left:.0f} s: {why}" for host, (left, why) in held[:HOSTS]]
        if len(held) > HOSTS:
            said.append(f"{len(held) - HOSTS} more hosts wait")
        return ", ".join(said)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if "bar" in vars(self):
            self.bar.bar_format = FORETOLD
            self.bar.close()
