"""Large values: MB/s at 100 KiB through the workers and back, and what a 50 MB result does to small tasks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from dqlab import LocalWorkers, Master
from tests.benchmarks.harness import Row, Table, compare, side_by_side, stopwatch, tiny
from tests.benchmarks.plain_loop import plain_loop, spawn

SIZE, COUNT = 100 << 10, 200
BIG = 50 << 20


def echo(data: bytes) -> bytes:
    return data


def big(n: int) -> bytes:
    return bytes(n)


def megabytes(work: Callable[[list[bytes]], list[bytes]]) -> Callable[[], float]:
    """A measurement: MB/s there and back."""
    values = [bytes([i]) * SIZE for i in range(COUNT)]

    def measure() -> float:
        with stopwatch() as seconds:
            results = work(values)
            took = seconds()
        assert sum(map(len, results)) == SIZE * COUNT
        return 2 * SIZE * COUNT / took / 1e6

    return measure


def run(rounds: int = 5) -> list[Table]:
    with plain_loop(echo) as loop, ProcessPoolExecutor(2, mp_context=spawn) as pool, Master() as master:
        LocalWorkers(master, 2).wait()
        contenders = {
            "plain loop": megabytes(loop.map),
            "ProcessPoolExecutor, chunk 1": megabytes(lambda values: list(pool.map(echo, values))),
            "dqlab map": megabytes(lambda values: list(master.map(echo, values))),
        }
        table = compare("100 KiB there and back, 2 workers", "MB/s", side_by_side(contenders, rounds), "plain loop")
        return [table, _beside_a_big_one(master)]


def _beside_a_big_one(master: Master) -> Table:
    """The latency of small tasks on one worker while the other sends 50 MB results."""

    def small(n: int = 100) -> list[float]:
        times = []
        for _ in range(n):
            began = time.perf_counter()
            master.submit(tiny, "x").result(30)
            times.append((time.perf_counter() - began) * 1e3)
        return times

    alone = small()
    large = [master.submit(big, BIG) for _ in range(8)]
    beside = small()
    assert all(len(future.result(60)) == BIG for future in large)
    rows = [
        Row(name, statistics.median(times), None, note=f"longest {max(times):.0f} ms")
        for name, times in (("alone", alone), ("beside 8 results of 50 MB", beside))
    ]
    return Table("Latency of a small task, median", "ms", rows)
