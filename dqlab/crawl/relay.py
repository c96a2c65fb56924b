"""An executor for a crawl that starts its own workers: threads of this process begin, as workers take long to start."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import Any

from dqlab.crawl.handful import prepare
from dqlab.crawl.threads import Threads
from dqlab.errors import DqlabError

__all__ = ["Relay"]


class Relay(Executor):
    """
    Threads of this process until the `workers` of `master` have joined and loaded what they need, then these.

    One that died while it started is no loss as long as others live; if none does, `submit` raises LaunchFailed.
    """

    def __init__(self, master: Any, workers: Any, count: int) -> None:
        self.master, self.workers, self.count = master, workers, count
        self.threads = Threads()
        self.there = self.ended = False
        self.failure: DqlabError | None = None
        self.preparing: list[Future[Any]] = []
        self.lock = threading.Lock()
        self.waiter = threading.Thread(target=self.wait, name="crawl's workers", daemon=True)
        self.waiter.start()

    def wait(self) -> None:
        """Wait for the workers; they stay away, too, if the crawl ends before they are there."""
        try:
            self.workers.wait()
        except DqlabError as failure:
            if not len(self.workers):
                self.failure = failure
                return
        with contextlib.suppress(DqlabError, RuntimeError):  # the master has ended
            images = self.master.options(queue="images")
            with self.lock:
                if not self.ended:
                    self.preparing = [images.submit(prepare) for _ in range(self.count)]
            wait(self.preparing)
            self.there = not self.ended

    def options(self, **options: Any) -> Executor:
        """Return an executor that gives the master tasks with these options."""
        return Lane(self, self.master.options(**options))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a task to whoever is there."""
        return self.runner(self.master).submit(fn, *args, **kwargs)

    def runner(self, then: Executor) -> Executor:
        """Return who runs a task: threads of this process, or `then` the workers."""
        if self.failure:
            raise self.failure
        return then if self.there else self.threads

    def stats(self) -> dict[str, Any]:
        """Return the master's figures; as long as there are none, as many workers as there are to be."""
        return self.master.stats() if self.there else {"workers": range(self.count)}

    def prepare(self) -> None:
        """Load what answers are read with."""
        self.threads.prepare()

    def hint_if_stuck(self) -> None:
        """Say so if nobody is there who could do the work."""
        if self.there:
            self.master.hint_if_stuck()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End: nobody need prepare any more for what is done already."""
        with self.lock:
            self.ended = True
        for future in self.preparing:
            future.cancel()


class Lane(Executor):
    """One of the master's queues, for when the workers are there."""

    def __init__(self, relay: Relay, queue: Executor) -> None:
        self.relay, self.queue = relay, queue

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a task to whoever is there."""
        return self.relay.runner(self.queue).submit(fn, *args, **kwargs)
