"""What an open dashboard costs: throughput with and without it, and the kernel's processor time when nothing happens.

The kernel is this process: the widget talks to nobody, which costs it the same as talking to a browser, as messages
are made and sent in either case. Rounds with and without alternate.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dqlab import Dashboard, LocalWorkers, Master
from tests.benchmarks.harness import Row, Table, compare, nap, side_by_side, stopwatch, tiny

IDLE_SECONDS = 10.0


def run(rounds: int = 5) -> list[Table]:
    return [
        _idle(),
        _with_and_without("Tiny tasks, 2 workers", 2, _tiny_tasks, rounds),
        _with_and_without("10 ms tasks, 16 workers", 16, _naps, rounds),
    ]


def _with_and_without(title: str, workers: int, work: Callable[[Master], int], rounds: int) -> Table:
    with Master() as master:
        LocalWorkers(master, workers).wait(60)
        work(master)

        def without() -> float:
            with stopwatch() as seconds:
                return work(master) / seconds()

        def seen() -> float:
            dashboard = Dashboard(master)
            while master.events(since=dashboard.history.seq, expand=False):
                time.sleep(0.05)  # it reads first what happened before it was opened
            try:
                return without()
            finally:
                dashboard.close()

        values = side_by_side({"without a dashboard": without, "with one open": seen}, rounds)
    return compare(title, "tasks/s", values, "without a dashboard")


def _idle() -> Table:
    with Master() as master:
        LocalWorkers(master, 4).wait(60)
        list(master.map(nap, [0.01] * 50))
        dashboard = Dashboard(master)
        time.sleep(3)
        spent, began = time.process_time(), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        share = (time.process_time() - spent) / (time.perf_counter() - began)
        dashboard.close()
    return Table("An open dashboard when nothing happens, 4 workers", "% of a core", [Row("kernel", 100 * share)])


def _tiny_tasks(master: Master) -> int:
    return sum(1 for _ in master.map(tiny, ["url"] * 3_000_000))


def _naps(master: Master) -> int:
    return sum(1 for _ in master.map(nap, [0.01] * 8_000))
