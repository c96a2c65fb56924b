"""An executor of threads in this process: for a crawl on one machine nothing starts sooner or costs less."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from dqlab.crawl import crew
from dqlab.crawl.handful import prepare

__all__ = ["Threads"]

Result = TypeVar("Result")


class Threads(Executor):
    """
    Runs each task at once, in a thread of its own. The crawl hands out no more than it wants to have under way.

    No thread keeps the process from ending: a crawl that was interrupted ends without those that still wait for a site.
    """

    #: handfuls at a time, with threads of their own in each: with fewer, what a host bears more is used later
    _max_workers = 16

    def __init__(self) -> None:
        prepare()

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Begin `fn` with these arguments, and return its future."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        future.set_running_or_notify_cancel()
        crew.start(run)
        return future

    def prepare(self) -> None:
        """Load what answers are read with: while the first one is on its way, there is nothing else to do."""
        import dqlab.crawl.find  # noqa: F401
