"""One task on an idle system, there and back, against a bare pair of `multiprocessing.connection` round trips."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Listener

from dqlab import LocalWorkers, Master
from tests.benchmarks.harness import Row, Table, tiny
from tests.benchmarks.plain_loop import KEY, spawn

TASKS = 1_000


def _echo(port_to: object) -> None:
    with Listener(("127.0.0.1", 0), authkey=KEY) as listener:
        port_to.send(listener.address)  # type: ignore[attr-defined]
        with listener.accept() as conn:
            while (item := conn.recv()) is not None:
                conn.send(item)


def _times(once: Callable[[], object], n: int) -> list[float]:
    times = []
    for _ in range(n):
        began = time.perf_counter()
        once()
        times.append((time.perf_counter() - began) * 1e6)
    return times


def run(rounds: int = 5) -> list[Table]:
    here, there = spawn.Pipe()
    process = spawn.Process(target=_echo, args=(there,), daemon=True)
    process.start()
    bare: list[float] = []
    ours: list[float] = []
    with Client(here.recv(), authkey=KEY) as conn, Master() as master, LocalWorkers(master, 2) as workers:
        workers.wait()

        def two_round_trips() -> None:
            for _ in range(2):
                conn.send("url_1")
                conn.recv()

        for _ in range(rounds):
            bare += _times(two_round_trips, TASKS // rounds)
            ours += _times(lambda: master.submit(tiny, "url_1").result(10), TASKS // rounds)
        conn.send(None)
    process.join(10)
    rows = []
    for name, times in (("two bare round trips", bare), ("one dqlab task", ours)):
        cuts = statistics.quantiles(times, n=100)
        ratio = statistics.median(times) / statistics.median(bare)
        rows.append(Row(name, statistics.median(times), ratio, note=f"99th {cuts[98]:,.0f} us"))
    return [Table("Latency on an idle system, median", "us", rows)]
