"""A long queue: what it costs the master in memory, how fast it is accepted, and whether tasks get dearer with it."""

from __future__ import annotations

import statistics

import psutil

from dqlab import LocalWorkers, Master
from tests.benchmarks.harness import Row, Table, stopwatch, tiny

SIZES = (10_000, 100_000, 1_000_000)
DRAIN = 20_000


def run() -> list[Table]:
    return [_plain_tasks(), _cost_by_backlog()]


def _megabytes(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _plain_tasks() -> Table:
    rows = []
    for n in SIZES:
        with Master() as master:
            before = _megabytes(master.pid)
            with stopwatch() as seconds:
                for start in range(0, n, 10_000):
                    master.tasks.put_many([f"url_{i}" for i in range(start, start + 10_000)])
                took = seconds()
            assert master.tasks.qsize() == n
            rows.append(Row(f"{n:,} queued", _megabytes(master.pid) - before, None, note=f"{n / took:,.0f} puts/s"))
    return Table("Memory of queued small tasks (tasks.put_many)", "MB", rows)


def _cost_by_backlog() -> Table:
    """Microseconds per task for the next tasks of a queue that holds more and more behind them."""
    rows: list[Row] = []
    for n in (DRAIN, 10 * DRAIN, 50 * DRAIN):
        with Master() as master:
            master.pause("default")
            behind = master.options(queue="behind")
            behind.pause("behind")
            results = iter(behind.map(tiny, (f"url_{i}" for i in range(min(n, 60_000)))))
            master.tasks.put_many([f"url_{i}" for i in range(n)])
            LocalWorkers(master, 2, queues="default").wait()
            master.resume("default")
            list(master.map(tiny, ["x"] * 1_000))
            costs = []
            for _ in range(10):  # one takes 25 ms, in which the garbage collector may come by, or not
                with stopwatch() as seconds:
                    list(master.map(tiny, [f"url_{i}" for i in range(DRAIN)]))
                    costs.append(seconds() / DRAIN * 1e6)
            cost = statistics.median(costs)
            del results
            rows.append(Row(f"{n:,} waiting", cost, cost / rows[0].value if rows else 1.0))
    return Table("Cost per tiny task as the backlog grows", "us", rows)
