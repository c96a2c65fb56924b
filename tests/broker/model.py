"""What the broker must do, said once more and as simply as possible: one object per task, no runs, no spans, no lines.

`test_state_machine` drives the broker and this model side by side. The model is told what happened to which tasks and
knows what must have become of each; it chooses nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dqlab.broker.revival import DIED

#: From which states each kind of event may move a task, and where to. A delayed task gets ready without an event.
MOVES = {
    "submitted": ((None,), "ready"),
    "leased": (("ready", "delayed"), "leased"),
    "done": (("leased",), "done"),
    "failed": (("leased",), "failed"),
    "delayed": (("leased",), "delayed"),
    "redelivered": (("leased",), "ready"),
    "released": (("leased",), "ready"),
    "cancelled": (("ready", "delayed"), "cancelled"),
    "requeued": (("failed",), "ready"),
}


@dataclass
class Task:
    """One task, as anybody may see it."""

    number: int
    queue: str
    client: int
    retries: int
    max_attempts: int
    payload: object
    state: str = "ready"
    attempt: int = 0
    errors: int = 0
    deaths: int = 0
    suspect: bool = False  #: whether it or one that ran beside it, nobody knows which, ended their process
    reason: str = ""  #: why it failed
    history: list[tuple[str, str]] = field(default_factory=list)
    holder: str = ""
    place: str = ""  #: once final: "outbox", "shelf" or "forgotten"
    size: int = 0  #: bytes of its result, and of those that came together with it
    handed: bool = False  #: whether its client has it, and will say so with the next `collect`


class Model:
    """All tasks, and what is counted of them."""

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}
        self.connected: dict[int, bool] = {}
        self.redelivered: Counter[str] = Counter()
        self.done_by: Counter[str] = Counter()
        self.late = 0

    def among(self, *states: str) -> list[Task]:
        """The tasks in some of the states."""
        return [task for task in self.tasks.values() if task.state in states]

    def counts(self, queue: str) -> Counter[str]:
        """How many tasks of a queue are in each state."""
        return Counter(task.state for task in self.tasks.values() if task.queue == queue)

    def held_by(self, worker: str) -> list[Task]:
        """What is leased to a worker."""
        return [task for task in self.tasks.values() if task.state == "leased" and task.holder == worker]

    def outbox(self, client: int) -> list[Task]:
        """What has ended and waits for its client."""
        return [task for task in self.tasks.values() if task.client == client and task.place == "outbox"]

    def lease(self, task: Task, holder: str) -> None:
        assert task.state == "ready", f"{task} was given to {holder}"
        task.state, task.holder = "leased", holder
        task.attempt += 1

    def done(self, task: Task, size: int) -> None:
        self.done_by[task.holder] += 1
        task.size = size
        self._end(task, "done")

    def raised(self, task: Task, summary: str) -> None:
        """The task raised, or ran too long."""
        task.errors += 1
        task.history.append((task.holder, summary))
        if task.errors > task.retries:
            task.reason = summary
            self._end(task, "failed")
        else:
            task.state = "delayed"

    def died(self, task: Task, reason: str, together: int = 0) -> None:
        """Its worker did, or its process, of which so many `together` may be the cause."""
        task.deaths += 1
        if together:
            task.suspect = together > 1
        task.history.append((task.holder, reason))
        if task.attempt >= task.max_attempts:
            task.reason = f"worker died {task.deaths} times: {reason}".replace(" 1 times", "")
            self._end(task, "failed")
        else:
            self.lost(task)

    def lost(self, task: Task) -> None:
        """It is given to somebody again, and nobody is to blame."""
        self.redelivered[task.queue] += 1
        task.state = "ready"

    def released(self, task: Task) -> None:
        task.state = "ready"
        task.attempt -= 1

    def master_died(self) -> None:
        """Every lease and every connection ended, which is nobody's fault."""
        for task in self.among("leased"):
            task.attempt = 0 if task.queue == "plain" and not task.holder else task.attempt - 1
            task.history.append((task.holder, DIED))
            self.lost(task)
        for client in self.connected:
            if not any(task.client == client and task.queue == "plain" for task in self.tasks.values()):
                self.close(client)
        self.late = 0

    def hung_up(self, task: Task) -> None:
        """The plain connection that held it ended."""
        task.attempt = 0
        self.lost(task)

    def unanswered(self, task: Task) -> None:
        """A script took it and never answered."""
        task.attempt = 0
        task.errors += 1
        task.history.append(("", "taken, and not answered for 60 s"))
        if task.errors >= 3:
            task.reason = "taken 3 times and never answered; if it is a stop sign, name it with --pill"
            self._end(task, "failed")
        else:
            self.lost(task)

    def cancel(self, tasks: Iterable[Task]) -> set[int]:
        """Cancel those that have not started; return their ids."""
        waiting = [task for task in tasks if task.state in ("ready", "delayed")]
        for task in waiting:
            self._end(task, "cancelled")
        return {task.number for task in waiting}

    def _end(self, task: Task, state: str) -> None:
        task.state, task.holder, task.handed = state, "", False
        if task.queue == "plain":
            task.place = "shelf" if state == "failed" else "forgotten"
        else:
            task.place = "outbox" if self.connected[task.client] else "shelf"

    def requeue(self, queue: str | None) -> int:
        """Every failed task begins anew; return how many."""
        failed = [task for task in self.among("failed") if queue in (None, task.queue)]
        for task in failed:
            task.state, task.place, task.size = "ready", "", 0
            task.attempt = task.errors = task.deaths = 0
            task.suspect = False
            task.history = []
        return len(failed)

    def close(self, client: int) -> None:
        for task in self.outbox(client):
            task.place = "shelf"
        self.connected[client] = False

    def reopen(self, client: int, pending: Iterable[tuple[int, int]]) -> None:
        self.connected[client] = True
        for first, count in pending:
            for number in range(first, first + count):
                if self.tasks[number].place == "shelf":
                    self.tasks[number].place, self.tasks[number].handed = "outbox", False


class Replay:
    """Every task's state as the events tell it, one event at a time."""

    def __init__(self) -> None:
        self.state: dict[int, str] = {}
        self.attempt: dict[int, int] = {}
        self.worker: dict[int, str | None] = {}
        self.seen: Counter[str] = Counter()

    def take(self, event: dict) -> None:
        """Take in one expanded event; it must be possible after all that came before."""
        kind, number = event["kind"], event.get("task")
        self.seen[kind] += 1
        if kind not in MOVES:
            return
        before, after = MOVES[kind]
        assert self.state.get(number) in before, f"{event}, but the task is {self.state.get(number)}"
        if kind in ("done", "failed", "delayed", "redelivered", "released"):
            # Plain scripts have no name: None when they take a task, nothing or "" when they end.
            assert (event.get("worker") or None) == self.worker[number], f"{event}, but {self.worker[number]} had it"
        if kind == "leased":
            self.worker[number] = event.get("worker")
            self.attempt[number] = event["attempt"]
        self.state[number] = after
