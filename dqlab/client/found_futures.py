"""Futures of tasks that somebody else has submitted, or oneself in an earlier life: found by their id.

Nothing is sent to who did not submit a task, so one thread asks the master how they end, as long as there are any.
"""

from __future__ import annotations

import threading
from typing import Any

from dqlab.client.future import Future
from dqlab.client.results import raise_outcome
from dqlab.client.session import Session
from dqlab.errors import DqlabError
from dqlab.wire.messages import Found

__all__ = ["FoundFutures"]

#: seconds that one question waits in the master
WAIT = 0.5


class FoundFutures:
    """The futures that one client has found, until they have an outcome."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._futures: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._asks = False

    def find(self, task_id: int) -> Future[Any]:
        """The future of a task; `Refused` if the master knows none with that id."""
        future: Future[Any] = Future(self._session)
        future.task_id = task_id
        self._tell(future, self._session.call("lookup", task_id))
        if not future.ended:
            with self._lock:
                future = self._futures.setdefault(task_id, future)
                if not self._asks:
                    self._asks = True
                    try:
                        threading.Thread(target=self._ask, name="dqlab-found", daemon=True).start()
                    except RuntimeError:  # no more threads: the next one that is looked for tries again
                        self._asks = False
                        raise
        return future

    def _tell(self, future: Future[Any], row: Any) -> None:
        found, task = Found.decode(row), future.task_id or 0
        if found.outcome.state == "done":
            self._session.show_found(task, found)
            try:
                future.resolve(raise_outcome(task, found, self._session.load), None)
            except Exception as exc:  # what can't be loaded here
                future.resolve(None, exc)
        elif found.outcome.state in ("failed", "cancelled"):
            self._session.show_found(task, found)
            future.end(found.outcome)

    def _ask(self) -> None:
        while True:
            wait = WAIT
            for task, future in list(self._futures.items()):
                try:
                    self._tell(future, self._session.wait_call("lookup", task, wait))
                except DqlabError as exc:
                    future.gone(exc)
                wait = 0.0  # the others, once in a round
                if future.ended:
                    del self._futures[task]
            with self._lock:
                if not self._futures:
                    self._asks = False
                    return
