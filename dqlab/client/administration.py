"""What whoever looks after a master asks of it: how it stands, what happened, what shall wait or begin anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqlab.client.found_futures import FoundFutures
from dqlab.client.future import Future
from dqlab.client.session import Session

if TYPE_CHECKING:
    from dqlab.client.recording import Recorder

__all__ = ["Administration"]


class Administration:
    """That half of a `Client` which is about the master, not about a task of its own."""

    _session: Session
    _found: FoundFutures

    @property
    def away(self) -> bool:
        """Whether the master is being looked for now: a call found it gone, and waits until it is back."""
        return self._session.away

    def stats(self) -> dict[str, Any]:
        """Counts by queue, workers, throughput in tasks/s, latency in s; what `dqlab status --json` prints."""
        return self._session.call("stats")

    def events(self, since: int = 0, timeout: float = 0.0, expand: bool = True) -> list[dict[str, Any]]:
        """What happened after event number `since`; waits up to `timeout` seconds for the first.

        One dictionary per task, or, with `expand=False`, one for several consecutive tasks.
        """
        if timeout > 0:
            return self._session.wait_call("events", since, timeout, expand)
        return self._session.call("events", since, 0.0, expand)

    def pause(self, queue: str = "default") -> None:
        """Give out no more tasks of a queue; those leased are finished."""
        self._session.call("pause", queue, True)

    def resume(self, queue: str = "default") -> None:
        """Give out the tasks of a paused queue again."""
        self._session.call("pause", queue, False)

    def requeue(self, queue: str | None = None) -> int:
        """Make the failed tasks of a queue (None: of all) ready again; return how many."""
        return int(self._session.call("requeue", queue))

    def failures(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last failed tasks, newest first: task, queue, attempts, reason, traceback, history."""
        return self._session.call("failures", limit)

    def unfinished(self, limit: int = 1_000) -> list[dict[str, Any]]:
        """Tasks that are ready, delayed or leased, whoever submitted them: task, queue, function, state, and its age in
        seconds since it was submitted. `future(task)` gives one back."""
        return self._session.call("open_tasks", limit)

    def future(self, task_id: int) -> Future[Any]:
        """The future of a task that another client has submitted, or this one's program before it was killed.

        Raises `Refused` if the master knows no such task: results are kept for an hour.
        """
        return self._found.find(task_id)

    def stop_worker(self, name: str) -> None:
        """Ask a worker to end after the task in hand."""
        self._session.call("stop_worker", name)

    def record(self, path: str | Path) -> Recorder:
        """Keep the event log in a file, until the recorder's `stop()`; see `dqlab.client.recording`.

        It begins with what the master remembers of the time before.
        """
        from dqlab.client.recording import Recorder

        return Recorder(self, path)
