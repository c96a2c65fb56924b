"""Threads that are kept for the next task: to start one costs as much as to fetch a small picture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

__all__ = ["start"]

#: seconds for which a thread without work is kept
PATIENCE = 1.0

jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
lock = threading.Lock()
idle = 0  # threads that wait, less the jobs that wait for them


def start(job: Callable[[], None]) -> None:
    """Run `job`, which raises nothing, at once in a thread; none keeps the process from ending."""
    global idle
    with lock:  # until the job is there: else who waits might give up before it comes
        if idle > 0:
            idle -= 1
            jobs.put(job)
            return
    threading.Thread(target=work, args=(job,), name="crawl", daemon=True).start()


def work(job: Callable[[], None]) -> None:
    """Run one job after the other, until none comes for some time."""
    global idle
    while True:
        job()
        del job
        with lock:
            idle += 1
        while True:
            try:
                job = jobs.get(timeout=PATIENCE)
                break
            except Empty:
                with lock:
                    if jobs.empty():
                        idle -= 1
                        return
