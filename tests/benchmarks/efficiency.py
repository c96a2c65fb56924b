"""How much of the workers' time is work: 10 ms tasks on 1 to 64 workers, and lengths with a heavy tail."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from dqlab import LocalWorkers, Master
from tests.benchmarks.harness import Row, Table, nap, stopwatch
from tests.benchmarks.plain_loop import plain_loop

WORKERS = (1, 4, 16, 32, 64)
NAP, SECONDS = 0.01, 1.5
TAIL_TASKS, TAIL_WORKERS = 1_500, 4


def _efficiency(work: Callable[[list[float]], Any], workers: int) -> float:
    """The share of the ideal throughput, in percent."""
    n = int(SECONDS / NAP) * workers
    with stopwatch() as seconds:
        work([NAP] * n)
        return 100 * n * NAP / workers / seconds()


def run(rounds: int = 3) -> list[Table]:
    rows = []
    for workers in WORKERS:
        with plain_loop(nap, workers) as loop, Master() as master:
            LocalWorkers(master, workers).wait(120)
            list(master.map(nap, [NAP] * 4 * workers))
            pairs = [
                (_efficiency(loop.map, workers), _efficiency(lambda xs: list(master.map(nap, xs)), workers))
                for _ in range(rounds)
            ]
        for name, values in (("plain loop", [a for a, _ in pairs]), ("dqlab map", [b for _, b in pairs])):
            rows.append(Row(f"{name}, {workers} workers", sorted(values)[len(values) // 2], None, values))
    return [Table("Efficiency on 10 ms tasks", "% of ideal", rows), heavy_tail(rounds)]


def heavy_tail(rounds: int) -> Table:
    """Mixed lengths (Pareto, 2 ms to 0.5 s): the time they take against the ideal makespan.

    The ideal knows every length beforehand; "one at a time" is what a queue without any cost could reach.
    """
    rng = random.Random(5)
    lengths = [min(0.5, 0.002 * rng.paretovariate(1.1)) for _ in range(TAIL_TASKS)]
    ideal = max(max(lengths), sum(lengths) / TAIL_WORKERS)
    with Master() as master:
        LocalWorkers(master, TAIL_WORKERS).wait()
        list(master.map(nap, [0.001] * 40))
        values = []
        for _ in range(rounds):
            with stopwatch() as seconds:
                list(master.map(nap, lengths))
                values.append(seconds())
    took = sorted(values)[len(values) // 2]
    rows = [
        Row("ideal makespan", ideal, 1.0),
        Row("one at a time, no overhead", (online := _one_at_a_time(lengths)), online / ideal),
        Row("dqlab map", took, took / ideal, values),
    ]
    return Table(f"{TAIL_TASKS} tasks with a heavy tail, {TAIL_WORKERS} workers", "s", rows)


def _one_at_a_time(lengths: list[float]) -> float:
    """The makespan if each worker that becomes free took the next task at once."""
    free_at = [0.0] * TAIL_WORKERS
    for length in lengths:
        heapq.heapreplace(free_at, free_at[0] + length)
    return max(free_at)
