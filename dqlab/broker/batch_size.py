"""How much a worker is given at once: as little as fairness asks for, as much as speed does. Pure.

Short tasks travel by the hundred, or their messages would cost more than they do; long ones one by one, or an idle
worker would watch a busy one's queue. Nobody has to choose a chunk size.
"""

from __future__ import annotations

import math

from dqlab.broker.tasks import Span
from dqlab.broker.workers import Worker

__all__ = ["BatchSize"]

#: seconds of work that a worker is given at once
TARGET = 0.2
#: seconds of work below which a fair share is not cut finer
SMALL = 0.002
#: kinds of tasks whose pace is remembered
REMEMBERED = 10_000

Key = tuple[str, str]


class BatchSize:
    """How long tasks take, by (queue, function), and what follows from it."""

    def __init__(self) -> None:
        self._seconds: dict[Key, float] = {}

    def learn(self, span: Span, seconds: float) -> None:
        """A span took `seconds`; ten of its tasks weigh as much as all that was before."""
        key, count = span.run.header.key, len(span)
        mean, weight = max(seconds / count, 1e-8), min(0.5, 0.1 * count)
        if len(self._seconds) > REMEMBERED:
            self._seconds.clear()
        self._seconds[key] = self._seconds.get(key, mean) * (1 - weight) + mean * weight

    def quota(self, key: Key, worker: Worker, given: int, ready: int, workers: int) -> int:
        """How many tasks to give now: min(2 x the previous batch, what fits the target time, the fair share).

        `given` is how many of the kind are in this batch already, `ready` how many there are, for `workers`.

        At least one to a worker that holds none; none to one that holds a long task, or one of unknown length. The fair
        share is half of what is ready, divided among all (factoring: Hummel, Schonberg, Flynn 1992), so that the last
        pieces are small and all workers end together.
        """
        mean = self._seconds.get(key)
        if mean is None:
            return 0 if worker.leases else 1
        fitting = (TARGET - self._expected(worker)) / mean
        growing = 2 * worker.batch.get(key, 1) - given
        fair = max(math.ceil(ready / (2 * workers)), math.ceil(SMALL / mean))
        return int(max(min(fitting, growing, fair), 0 if worker.leases else 1))

    def _expected(self, worker: Worker) -> float:
        """The seconds of work that a worker holds; endless if it holds something of unknown length."""
        return sum(self._seconds.get(key, math.inf) * count for key, count in worker.held.items())
