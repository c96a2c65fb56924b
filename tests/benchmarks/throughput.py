"""Tiny tasks per second, two workers: dqlab untuned, against the plain loop and what people use."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

from dqlab import LocalWorkers, Master, as_completed
from tests.benchmarks.harness import Table, compare, side_by_side, stopwatch, tiny, tiny_list
from tests.benchmarks.plain_loop import KEY, ClientManager, plain_loop

PLAIN_ITEMS, SUBMIT_ITEMS, MAP_ITEMS, LIST_ITEMS = 3_000, 20_000, 400_000, 100_000
CHUNKS = (100, 1_000, 10_000)


def items(n: int) -> list[str]:
    return [f"url_{i}" for i in range(n)]


def rate(work: Callable[[list[str]], Any], n: int) -> Callable[[], float]:
    """A measurement: tasks per second of ``work`` on ``n`` tiny tasks, whose results must be right."""
    texts = items(n)

    def measure() -> float:
        with stopwatch() as seconds:
            results = work(texts)
            took = seconds()
        assert len(results) == n and sorted(results)[-1].endswith("success")
        return n / took

    return measure


def submit_all(pool: Any, wait: Callable[..., Any]) -> Callable[[list[str]], list[str]]:
    return lambda texts: [future.result() for future in wait([pool.submit(tiny, text) for text in texts])]


def in_lists(pool: Executor, texts: list[str]) -> list[str]:
    """What values that could change cost: each item and each result is pickled by itself."""
    return [text for (text,) in pool.map(tiny_list, [[text] for text in texts])]


def best_chunk(pool: Executor) -> int:
    """The chunk size with which this pool is fastest here and now."""
    speeds = {c: rate(lambda xs, c=c: list(pool.map(tiny, xs, chunksize=c)), MAP_ITEMS)() for c in CHUNKS}
    return max(speeds, key=speeds.__getitem__)


def run(rounds: int = 5) -> list[Table]:
    with ExitStack() as stack:
        loop = stack.enter_context(plain_loop(tiny))
        spawn = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=spawn))
        other = stack.enter_context(spawn.Pool(2))
        master = stack.enter_context(Master())
        stack.enter_context(LocalWorkers(master, 2)).wait()
        chunk = best_chunk(pool)
        contenders: dict[str, Callable[[], float]] = {
            "plain loop": rate(loop.map, PLAIN_ITEMS),
            "ProcessPoolExecutor, chunk 1": rate(lambda xs: list(pool.map(tiny, xs)), SUBMIT_ITEMS),
            f"ProcessPoolExecutor, best chunk ({chunk})": rate(
                lambda xs: list(pool.map(tiny, xs, chunksize=chunk)), MAP_ITEMS
            ),
            "Pool.map, its own chunk": rate(lambda xs: other.map(tiny, xs), MAP_ITEMS),
            "Pool.imap_unordered, chunk 1000": rate(lambda xs: list(other.imap_unordered(tiny, xs, 1000)), MAP_ITEMS),
            "dqlab map, untuned": rate(lambda xs: list(master.map(tiny, xs)), MAP_ITEMS),
            "dqlab map, lists instead of texts": rate(lambda xs: in_lists(master, xs), LIST_ITEMS),
            "dqlab submit + as_completed": rate(submit_all(master, as_completed), SUBMIT_ITEMS),
        }
        contenders |= _engines(stack)
        values = side_by_side(contenders, rounds)
    return [compare("Tiny tasks, 2 workers", "tasks/s", values, "plain loop"), _plain_pair(rounds)]


def _engines(stack: ExitStack) -> dict[str, Callable[[], float]]:
    """Distributed engines, where they are installed (`pip install dqlab[bench]`)."""
    found: dict[str, Callable[[], float]] = {}
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError:
        pass
    else:
        cluster = stack.enter_context(LocalCluster(2, threads_per_worker=1, dashboard_address=None))
        client = stack.enter_context(Client(cluster))
        found["dask.distributed map"] = rate(lambda xs: client.gather(client.map(tiny, xs, pure=False)), 2_000)
    try:
        import ipyparallel
    except ImportError:
        pass
    else:
        view = stack.enter_context(ipyparallel.Cluster(n=2)).load_balanced_view()
        found["ipyparallel map, chunk 1"] = rate(lambda xs: view.map_sync(tiny, xs), 1_000)
    return found


def _plain_pair(rounds: int) -> Table:
    """The same two-queue loop by unchanged clients: on BaseManager's own master, and on dqlab's."""

    def put_and_get(manager: Any, n: int = 2_000) -> Callable[[], float]:
        tasks, results = manager.get_task_queue(), manager.get_result_queue()

        def measure() -> float:
            with stopwatch() as seconds:
                for i in range(n):
                    tasks.put(f"url_{i}")
                for _ in range(n):
                    results.put(tasks.get(timeout=5) + " ------>success")
                for _ in range(n):
                    results.get(timeout=5)
                return n / seconds()

        return measure

    from tests.benchmarks.plain_loop import ServingManager, spawn

    with ServingManager(address=("127.0.0.1", 0), authkey=KEY, ctx=spawn) as own, Master(authkey=KEY) as master:
        ours = ClientManager(address=master.connection.address, authkey=KEY)
        ours.connect()
        values = side_by_side({"BaseManager's own": put_and_get(own), "dqlab's master": put_and_get(ours)}, rounds)
    title = "Plain put and get by an unchanged client (four round trips a task)"
    return compare(title, "tasks/s", values, "BaseManager's own")
