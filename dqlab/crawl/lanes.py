"""Where the crawl's tasks run: on any executor. Queues, time limits, hints and counts are used where it has them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import Any

from dqlab.crawl.failures import fail
from dqlab.crawl.threads import Threads

__all__ = ["Lanes"]

#: tasks that an executor is taken to run at a time if nobody says it
WORKERS = 4
#: seconds beyond a task's own limits after which the worker's process is taken to hang
GRACE = 60.0
#: reasons that a master is told, and seconds for which its answers are waited for in the end
REASONS, LAST_WORDS = 20, 1.0
#: seconds between two looks at how many workers there are
LOOK = 1.0


class Lanes:
    """
    An executor with a queue for pages and one for pictures, if it knows queues.

    `workers`: the tasks that it runs at a time, None to ask it; `seconds`: what a task may take by its own limits.
    """

    def __init__(self, executor: Executor, workers: int | None, seconds: float) -> None:
        self.executor, self.fixed = executor, workers
        self.pages = self.images = executor
        if options := getattr(executor, "options", None):
            self.pages = options(queue="pages", timeout=seconds + GRACE)
            self.images = options(queue="images", timeout=seconds + GRACE)
        self.told: dict[str, Future] = {}
        self.looked = 0.0
        self.workers = workers or WORKERS
        self.look()

    def look(self) -> int:
        """Return how many tasks run at a time, by the newest count."""
        now = time.monotonic()
        if self.fixed is None and now - self.looked > LOOK:
            self.looked = now
            self.workers = self.count() or self.workers
        return self.workers

    def count(self) -> int:
        """Return how many tasks the executor runs at a time, 0 if it doesn't say."""
        if stats := getattr(self.executor, "stats", None):
            return len(stats()["workers"])
        # Private by its name only: it is what everybody asks an executor of the standard library.
        return getattr(self.executor, "_max_workers", 0)

    @property
    def are_here(self) -> bool:
        """Whether all tasks run in this process."""
        return isinstance(self.executor, Threads)

    def names(self) -> str:
        """Return who runs the tasks, in words."""
        if self.are_here:
            return "threads of this process"
        return "1 worker" if self.workers == 1 else f"{self.workers} workers"

    def prepare(self) -> None:
        """Load what tasks need that run in this process: while the first one is under way."""
        if prepare := getattr(self.executor, "prepare", None):
            prepare()

    def submit(self, of_pages: bool, task: Callable, *arguments: Any) -> Future:
        """Submit a task."""
        return (self.pages if of_pages else self.images).submit(task, *arguments)

    def tell(self, address: str, why: str, of_pages: bool) -> None:
        """Let a master have the reason why `address` gives nothing among its failures, one address for each reason."""
        if self.images is not self.executor and why not in self.told and len(self.told) < REASONS:
            self.told[why] = self.submit(of_pages, fail, address, why)

    def close(self, finished: bool) -> None:
        """Leave nothing behind in the queues; what was told in a crawl that `finished` is to arrive."""
        if finished and self.told:
            wait(self.told.values(), LAST_WORDS)
        for future in self.told.values():
            future.cancel()

    def hint(self) -> None:
        """Say so if nobody is there who could do the work."""
        if hint := getattr(self.executor, "hint_if_stuck", None):
            hint()
