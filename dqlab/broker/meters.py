"""Meters: how fast, how long, how busy. Pure; the time is passed in."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Latency", "Rate", "Utilisation"]

#: seconds over which throughput is measured
RATE_WINDOW = 5.0
#: seconds: the memory of a worker's utilisation (it fades exponentially)
BUSY_MEMORY = 10.0
#: finished runs from which latency percentiles are taken
LATENCY_SAMPLES = 1_000


class Rate:
    """Events per second over the last `RATE_WINDOW` seconds, counted in slices of the window."""

    _SLICES = 50

    def __init__(self) -> None:
        self._slices: deque[list[float]] = deque()
        self._first: float | None = None

    def add(self, n: int, now: float) -> None:
        """`n` events have happened."""
        if self._first is None:
            self._first = now
        if not self._slices or now - self._slices[-1][0] > RATE_WINDOW / self._SLICES:
            self._forget(now)
            self._slices.append([now, 0])
        self._slices[-1][1] += n

    def _forget(self, now: float) -> None:
        while self._slices and now - self._slices[0][0] > RATE_WINDOW:
            self._slices.popleft()

    def per_second(self, now: float) -> float:
        """Events per second."""
        self._forget(now)
        if not self._slices or self._first is None:
            return 0.0
        span = min(RATE_WINDOW, max(now - self._first, RATE_WINDOW / self._SLICES))
        return sum(n for _, n in self._slices) / span


class Latency:
    """Percentiles of the seconds from submit to done, each sample weighted by its number of tasks."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=LATENCY_SAMPLES)

    def add(self, seconds: float, n: int) -> None:
        """`n` tasks took `seconds` each, from submit to done."""
        self._samples.append((seconds, n))

    def percentile(self, share: float) -> float | None:
        """The seconds within which `share` (0 to 1) of the tasks were done; None before the first."""
        ordered = sorted(self._samples)
        target = share * sum(n for _, n in ordered)
        for seconds, n in ordered:
            target -= n
            if target <= 0:
                return seconds
        return None


class Utilisation:
    """The share of recent time in which something was going on: an average that fades over `BUSY_MEMORY`."""

    def __init__(self, now: float) -> None:
        self._since = self._born = now
        self._share = 0.0
        self._busy = False

    def busy(self, is_busy: bool, now: float) -> None:
        """From now on something is going on, or nothing is."""
        if is_busy != self._busy:
            self._share, self._since, self._busy = self.share(now), now, is_busy

    def share(self, now: float) -> float:
        """The share of recent time, 0 to 1."""
        # Young meters remember only their own life, so that a worker's first second does not read as idleness.
        memory = min(BUSY_MEMORY, max(1e-6, now - self._born))
        fade = math.exp(-max(0.0, now - self._since) / memory)
        return self._share * fade + (1.0 if self._busy else 0.0) * (1 - fade)
