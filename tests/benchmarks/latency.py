"""One task on an idle system, there and back, against a bare pair of `multiprocessing.connection` round trips.

What a pair costs is two processes that take turns. A task passes through four (client, master, worker, child), so the
table also has what a bare word takes on that way and back: no queue with these processes can be faster.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Client, Connection, Listener

from dqlab import LocalWorkers, Master
from tests.benchmarks.harness import Row, Table, tiny
from tests.benchmarks.plain_loop import KEY, plain_loop, spawn

TASKS = 1_000


def _echo(conn: Connection) -> None:
    while (word := conn.recv()) is not None:
        conn.send(word)


def _child() -> Connection:
    """The line to an echoing child of the process that calls."""
    here, there = spawn.Pipe()
    spawn.Process(target=_echo, args=(there,), daemon=True).start()
    return here


def _line_to(address: tuple[str, int]) -> Connection:
    """The line to one that listens."""
    return Client(address, authkey=KEY)


def _relay(conn: Connection, onward: Connection) -> None:
    while (word := conn.recv()) is not None:
        onward.send(word)
        conn.send(onward.recv())
    onward.send(None)


def _serve(port_to: Connection, dial: Callable[[], Connection] | None) -> None:
    """Echo what comes over TCP, or hand it on to the line that ``dial()`` opens."""
    with Listener(("127.0.0.1", 0), authkey=KEY) as listener:
        onward = dial() if dial else None
        port_to.send(listener.address)
        with listener.accept() as conn:
            if onward is None:
                _echo(conn)
            else:
                _relay(conn, onward)


@contextmanager
def _served(dial: Callable[[], Connection] | None = None) -> Iterator[tuple[str, int]]:
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, dial))  # not a daemon: those may have no children
    process.start()
    try:
        yield here.recv()
        process.join(10)
    finally:
        process.kill()


@contextmanager
def _connected(address: tuple[str, int]) -> Iterator[Callable[[], None]]:
    """A function that sends a word to ``address`` and waits until it is back."""
    with Client(address, authkey=KEY) as conn:

        def round_trip() -> None:
            conn.send("url_1")
            conn.recv()

        yield round_trip
        conn.send(None)


def _times(once: Callable[[], object], n: int) -> list[float]:
    times = []
    for _ in range(n):
        began = time.perf_counter()
        once()
        times.append((time.perf_counter() - began) * 1e6)
    return times


def run(rounds: int = 5) -> list[Table]:
    with ExitStack() as stack:
        enter = stack.enter_context
        there_and_back = enter(_connected(enter(_served())))
        through_three = enter(_connected(enter(_served(partial(_line_to, enter(_served()))))))
        through_four = enter(_connected(enter(_served(partial(_line_to, enter(_served(_child)))))))
        loop = enter(plain_loop(tiny))
        pool = enter(ProcessPoolExecutor(2, mp_context=spawn))
        master = enter(Master())
        enter(LocalWorkers(master, 2)).wait()
        contenders: dict[str, Callable[[], object]] = {
            "two bare round trips": lambda: (there_and_back(), there_and_back()),
            "a word through three processes": through_three,
            "a word through four processes": through_four,
            "ProcessPoolExecutor": lambda: pool.submit(tiny, "url_1").result(10),
            "plain loop": lambda: (loop.tasks.put("url_1"), loop.results.get(timeout=10)),
            "dqlab": lambda: master.submit(tiny, "url_1").result(10),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, once in contenders.items():
                times[name] += _times(once, TASKS // rounds)
    bare = statistics.median(times["two bare round trips"])
    rows = []
    for name, taken in times.items():
        median = statistics.median(taken)
        note = f"99th {statistics.quantiles(taken, n=100)[98]:,.0f} us"
        rows.append(Row(name, median, median / bare, note=note))
    return [Table("Latency of one task on an idle system, median", "us", rows)]
