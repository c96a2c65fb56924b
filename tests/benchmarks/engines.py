"""Pool, dqlab and Dask side by side, two workers each: what a task costs, and what a kill does."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor
from contextlib import ExitStack
from pathlib import Path

from dqlab import LocalWorkers, Master, MasterGone, as_completed
from dqlab.engines import engine
from tests.benchmarks.harness import Row, Table, compare, nap, side_by_side, stopwatch, tiny
from tests.engines.dask_processes import scheduler, worker

#: who is compared, and the address of each; processes are the reference
ENGINES = {"ProcessPoolExecutor": "processes:2", "dqlab": "dqlab://local?n=2", "Dask": "dask://local?n=2"}
REFERENCE = "ProcessPoolExecutor"
TINY, NAPS, LARGE, MEGABYTES = 1_000, 200, 20, 10


def run(rounds: int = 5) -> list[Table]:
    with ExitStack() as stack:
        executors = {name: stack.enter_context(engine(address)) for name, address in ENGINES.items()}
        for executor in executors.values():
            list(executor.map(nap, [0.1] * 4))  # everybody is there

        def each(measure: Callable[[Executor], float]) -> dict[str, list[float]]:
            contenders = {name: lambda executor=executor: measure(executor) for name, executor in executors.items()}
            return side_by_side(contenders, rounds)

        tables = [
            compare("Tiny tasks by submit and as_completed", "tasks/s", each(tiny_tasks), REFERENCE),
            compare("10 ms tasks by submit, of the ideal", "%", each(short_tasks), REFERENCE),
            compare("10 MB results", "MB/s", each(large_results), REFERENCE),
        ]
    starts = {name: lambda address=address: first_result(address) for name, address in ENGINES.items()}
    tables.append(compare("From nothing to the first result", "s", side_by_side(starts, rounds), REFERENCE))
    return [*tables, killed_worker(rounds), killed_scheduler(rounds)]


def tiny_tasks(executor: Executor) -> float:
    """Tasks a second that do next to nothing."""
    with stopwatch() as seconds:
        futures = [executor.submit(tiny, f"url_{i}") for i in range(TINY)]
        assert sum(future.result().endswith("success") for future in as_completed(futures)) == TINY
        return TINY / seconds()


def short_tasks(executor: Executor) -> float:
    """How much of their time two workers spend in tasks of 10 ms."""
    with stopwatch() as seconds:
        futures = [executor.submit(nap, 0.01) for _ in range(NAPS)]
        assert all(future.result() for future in futures)
        return 100 * (NAPS * 0.01 / 2) / seconds()


def large_results(executor: Executor) -> float:
    """Megabytes a second of results that come home."""
    with stopwatch() as seconds:
        futures = [executor.submit(os.urandom, MEGABYTES * 1_000_000) for _ in range(LARGE)]
        assert sum(len(future.result()) for future in futures) == LARGE * MEGABYTES * 1_000_000
        return LARGE * MEGABYTES / seconds()


def first_result(address: str) -> float:
    """Seconds from nothing to the first result of two workers."""
    with stopwatch() as seconds, engine(address) as executor:
        assert executor.submit(tiny, "url").result() == "url ------>success"
        return seconds()


def killed_worker(rounds: int) -> Table:
    """Of a hundred tasks under way, how many end well when a worker is killed, and how much later they all end."""
    rows = []
    for name, address in ENGINES.items():
        late, results = [], []
        for _ in range(rounds):
            with engine(address) as executor:
                whole, _ = hundred(executor, kill=False)
                broken, done = hundred(executor, kill=True)
            late.append(broken - whole)
            results.append(done)
        rows.append(Row(name, statistics.median(late), rounds=late, note=f"{min(results)} of 100 results"))
    return Table(
        "One of two workers is killed with SIGKILL among 100 tasks of 20 ms: how much later all have ended", "s", rows
    )


def killed_scheduler(rounds: int) -> Table:
    """The master, or Dask's scheduler, is killed: how soon whoever waits for a task is told."""
    dqlab, dask = [], []
    for _ in range(rounds):
        with Master() as master, LocalWorkers(master, 1) as workers:
            workers.wait()
            dqlab.append(told(master, master.pid))
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            with (
                scheduler(Path(folder)) as (address, process),
                worker(address, Path(folder), 1),
                engine(address) as executor,
            ):
                dask.append(told(executor, process.pid))
    rows = [
        Row("dqlab", statistics.median(dqlab), rounds=dqlab, note="MasterGone"),
        Row("Dask", statistics.median(dask), rounds=dask, note="BrokenExecutor by dqlab.engines; else cancelled"),
    ]
    return Table("The master or scheduler is killed: until whoever waits is told", "s", rows)


def told(executor: Executor, pid: int) -> float:
    """Seconds from the kill of a process until a future fails."""
    executor.submit(tiny, "url").result(60)
    future = executor.submit(nap, 60.0)
    os.kill(pid, signal.SIGKILL)
    with stopwatch() as seconds:
        assert isinstance(future.exception(60), MasterGone | BrokenExecutor)
        return seconds()


def hundred(executor: Executor, kill: bool) -> tuple[float, int]:
    """Seconds that a hundred tasks take, and how many of them end well."""
    victim = executor.submit(os.getpid).result()
    with stopwatch() as seconds:
        futures = [executor.submit(nap, 0.02) for _ in range(100)]
        futures[9].result()
        if kill:
            os.kill(victim, signal.SIGKILL)
        done = 0
        for future in futures:
            try:
                done += future.result(60) is not None
            except (BrokenExecutor, TimeoutError):
                pass
        return seconds(), done
