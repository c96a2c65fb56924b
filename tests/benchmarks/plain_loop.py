"""The reference: one BaseManager, two queues, workers that get and put one by one, as every tutorial has it."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.managers import BaseManager
from typing import Any

spawn = multiprocessing.get_context("spawn")
KEY = b"only for this benchmark, on loopback"

task_queue: queue.Queue[Any] = queue.Queue()
result_queue: queue.Queue[Any] = queue.Queue()


def get_task_queue() -> queue.Queue[Any]:
    return task_queue


def get_result_queue() -> queue.Queue[Any]:
    return result_queue


class ServingManager(BaseManager):
    pass


ServingManager.register("get_task_queue", get_task_queue)
ServingManager.register("get_result_queue", get_result_queue)


class ClientManager(BaseManager):
    pass


ClientManager.register("get_task_queue")
ClientManager.register("get_result_queue")


def worker(address: tuple[str, int], function: Callable[[Any], Any], authkey: bytes) -> None:
    manager = ClientManager(address=address, authkey=authkey)
    manager.connect()
    tasks, results = manager.get_task_queue(), manager.get_result_queue()
    while True:
        item = tasks.get()
        if item is None:
            return
        results.put(function(item))


class PlainLoop:
    """``map`` puts all items, then collects as many results."""

    def __init__(self, address: tuple[str, int], authkey: bytes, function: Callable[[Any], Any], workers: int) -> None:
        manager = ClientManager(address=address, authkey=authkey)
        manager.connect()
        self.tasks, self.results = manager.get_task_queue(), manager.get_result_queue()
        self._processes = [
            spawn.Process(target=worker, args=(address, function, authkey), daemon=True) for _ in range(workers)
        ]
        for process in self._processes:
            process.start()

    def map(self, items: Iterable[Any]) -> list[Any]:
        count = 0
        for item in items:
            self.tasks.put(item)
            count += 1
        return [self.results.get(timeout=60) for _ in range(count)]

    def close(self) -> None:
        for _ in self._processes:
            self.tasks.put(None)
        for process in self._processes:
            process.join(10)


@contextmanager
def plain_loop(function: Callable[[Any], Any], workers: int = 2) -> Iterator[PlainLoop]:
    """A plain master and its workers, ended with the block."""
    manager = ServingManager(address=("127.0.0.1", 0), authkey=KEY, ctx=spawn)
    manager.start()
    try:
        loop = PlainLoop(manager.address, KEY, function, workers)
        loop.map([""] if function.__name__ == "tiny" else [0.0])
        yield loop
        loop.close()
    finally:
        manager.shutdown()
