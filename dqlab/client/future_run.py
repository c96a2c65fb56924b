"""The futures of calls that went out together."""

from __future__ import annotations

from itertools import repeat
from typing import Any

from dqlab.client.future import Future
from dqlab.client.results import unpack
from dqlab.errors import DqlabError
from dqlab.wire.messages import Outcome

__all__ = ["FutureRun"]


class FutureRun:
    """The futures of consecutive tasks that went out as one run (a `submission.Sink`); each until it has its outcome:
    what nobody else holds is free then, whatever the others wait for."""

    def __init__(self, futures: list[Future[Any]]) -> None:
        self._futures: list[Future[Any] | None] = [*futures]
        self._load = futures[0].load
        self._left = len(futures)

    def goes_out(self, first: int) -> bool:
        """Calls always do: their futures are held by somebody."""
        return True

    def deliver(self, lo: int, hi: int, outcome: Outcome) -> bool:
        """Tasks [lo, hi) are final; return whether that was the last of the run."""
        done = outcome.state == "done"
        results = unpack(outcome.result, hi - lo, self._load) if done else repeat(None, hi - lo)
        for future, data in zip(self._take(lo, hi), results, strict=True):
            if future is not None:
                future.fulfil(data) if done else future.end(outcome)
        return not self._left

    def gone(self, error: DqlabError) -> None:
        """There will be no outcome."""
        self.forgotten(0, len(self._futures), error)

    def forgotten(self, lo: int, hi: int, error: DqlabError) -> bool:
        """There will be none of those of tasks [lo, hi) that have none; return as `deliver` does."""
        for future in self._take(lo, hi):
            if future is not None:
                future.gone(error)
        return not self._left

    def _take(self, lo: int, hi: int) -> list[Future[Any] | None]:
        """The futures of tasks [lo, hi), which need not be held any more; None for each that has its outcome."""
        taken = self._futures[lo:hi]
        self._futures[lo:hi] = repeat(None, hi - lo)
        self._left -= hi - lo - taken.count(None)
        return taken
