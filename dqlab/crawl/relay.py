"""An executor for a crawl that starts its own workers: threads of this process begin, as workers take long to start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from dqlab.crawl.handful import prepare
from dqlab.crawl.threads import Threads
from dqlab.errors import DqlabError

__all__ = ["Relay"]

#: seconds within which a master and its workers have started, or have failed
LONGEST_START = 120.0


class Relay(Executor):
    """
    Threads of this process until workers have been started, have joined and loaded what they need, then these.

    `start`: gives a master and its `count` workers, for as long as they are needed; they start while threads crawl.
    A worker that died while it started is no loss as long as others live; if none does, `submit` raises LaunchFailed.
    """

    def __init__(self, start: AbstractContextManager[tuple[Any, Any]], count: int) -> None:
        self.start, self.count = start, count
        self.threads = Threads()
        self.master: Any = None
        self.started = threading.Event()
        self.there = self.ended = False
        self.failure: Exception | None = None
        self.preparing: list[Future[Any]] = []
        self.lock = threading.Lock()
        self.starter = threading.Thread(target=self.bring, name="crawl's workers", daemon=True)
        self.starter.start()

    def bring(self) -> None:
        """Start master and workers, and wait for these."""
        try:
            self.master, workers = self.start.__enter__()
        except Exception as failure:
            self.failure = failure
            return
        finally:
            self.started.set()
        try:
            workers.wait()
        except DqlabError as failure:
            if not len(workers):
                self.failure = failure
                return
        self.begin()

    def begin(self) -> None:
        """Let the workers load what they need; from then on they work, unless the crawl has ended by then."""
        try:
            images = self.master.options(queue="images")
            with self.lock:
                if not self.ended:
                    self.preparing = [images.submit(prepare) for _ in range(self.count)]
        except (DqlabError, RuntimeError):  # the master has ended
            return
        wait(self.preparing)
        self.there = not self.ended

    def options(self, **options: Any) -> Executor:
        """Return an executor that gives the master tasks with these options."""
        return Lane(self, options)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a task to whoever is there."""
        return self.options().submit(fn, *args, **kwargs)

    def are_there(self) -> bool:
        """Say whether the workers are there; raises what kept them from starting."""
        if self.failure:
            raise self.failure
        return self.there

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
        """Let nobody prepare any more for what is done already."""
        with self.lock:
            self.ended = True
        for future in self.preparing:
            future.cancel()

    def __exit__(self, *raised: Any) -> bool | None:
        """End the workers and their master, as soon as they have started."""
        self.shutdown()
        started = self.started.wait(LONGEST_START) and self.master is not None
        return self.start.__exit__(*raised) if started else None


class Lane(Executor):
    """One of the master's queues, for when the workers are there."""

    def __init__(self, relay: Relay, options: dict[str, Any]) -> None:
        self.relay, self.chosen = relay, options

    @cached_property
    def queue(self) -> Executor:
        """The master's queue, once there is a master."""
        return self.relay.master.options(**self.chosen)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a task to whoever is there."""
        return (self.queue if self.relay.are_there() else self.relay.threads).submit(fn, *args, **kwargs)
