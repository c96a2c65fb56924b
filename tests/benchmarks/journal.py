"""What a journal costs: the same work by masters without one, with one, and with an fsync before each word."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dqlab import LocalWorkers, Master, as_completed
from tests.benchmarks.harness import Table, compare, side_by_side, stopwatch, tiny
from tests.benchmarks.payload import echo, megabytes
from tests.benchmarks.plain_loop import KEY, ClientManager
from tests.benchmarks.throughput import rate, submit_all

MAP_ITEMS, SUBMIT_ITEMS, PLAIN_ITEMS, IDLE_TASKS = 200_000, 10_000, 1_000, 50
#: what each contender is started with; the first is the reference
JOURNALS: dict[str, dict[str, str]] = {
    "without": {}, "normal": {"journal_sync": "normal"}, "full": {"journal_sync": "full"},
}  # fmt: skip


def put_and_get(master: Master) -> Callable[[], float]:
    """Tasks per second of an unchanged client that puts, gets and answers one by one."""
    manager = ClientManager(address=master.connection.address, authkey=KEY)
    manager.connect()
    tasks, results = manager.get_task_queue(), manager.get_result_queue()

    def measure() -> float:
        with stopwatch() as seconds:
            for i in range(PLAIN_ITEMS):
                tasks.put(f"url_{i}")
            for _ in range(PLAIN_ITEMS):
                results.put(tasks.get(timeout=5) + " ------>success")
            for _ in range(PLAIN_ITEMS):
                results.get(timeout=5)
            return PLAIN_ITEMS / seconds()

    return measure


def idle(master: Master) -> Callable[[], float]:
    """Milliseconds from `submit` to the result of one task on an idle system."""

    def measure() -> float:
        took = []
        for _ in range(IDLE_TASKS):
            time.sleep(0.01)
            with stopwatch() as seconds:
                master.submit(tiny, "").result()
                took.append(seconds() * 1e3)
        return statistics.median(took)

    return measure


def run(rounds: int = 5) -> list[Table]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        masters: dict[str, Any] = {}
        for name, settings in JOURNALS.items():
            file = {"journal": folder / f"{name}.db"} if settings else {}
            masters[name] = stack.enter_context(Master(authkey=KEY, **file, **settings))  # type: ignore[arg-type]
            stack.enter_context(LocalWorkers(masters[name], 2)).wait()
        tables = {
            ("map of tiny tasks", "tasks/s"): lambda m: rate(lambda xs: list(m.map(tiny, xs)), MAP_ITEMS),
            ("submit + as_completed", "tasks/s"): lambda m: rate(submit_all(m, as_completed), SUBMIT_ITEMS),
            ("Plain put and get, one by one", "tasks/s"): put_and_get,
            ("100 KiB there and back", "MB/s"): lambda m: megabytes(lambda values: list(m.map(echo, values))),
            ("One task on an idle system", "ms"): idle,
        }
        found = []
        for (title, unit), measure in tables.items():
            values = side_by_side({name: measure(master) for name, master in masters.items()}, rounds)
            found.append(compare(f"With a journal: {title}", unit, values, "without"))
        return found
