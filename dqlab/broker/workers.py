"""What the broker remembers of each worker that has joined. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any

from dqlab.broker import topics
from dqlab.broker.meters import Utilisation
from dqlab.broker.tasks import Run, Span
from dqlab.broker.waiting_line import WaitingLine
from dqlab.wire.bounded_cache import BoundedCache
from dqlab.wire.messages import FUNCTION_BYTES, PAYLOADS_HELD, PLAIN

__all__ = ["Worker", "note_stuck", "worker_stats"]

#: seconds between two requests to one worker to give back what it has not begun
RECLAIM_PAUSE = 0.03


class Worker:
    """A worker that has joined: what it holds, and what it was told."""

    def __init__(
        self, name: str, host: str, pid: int, queues: tuple[str, ...] | None, handler: bool, now: float, python: str
    ) -> None:
        self.name, self.host, self.pid, self.queues, self.handler = name, host, pid, queues, handler
        self.python = python  #: "3.11", or "" if it didn't say
        #: what it waits for when it has asked for tasks
        self.news = (*(map(topics.ready, queues) if queues else [topics.ANY_QUEUE]), topics.stopping(name))
        self.deadline = now  #: when its leases end unless a heartbeat comes
        self.leases: dict[int, Span] = {}  #: by token
        self.holding = 0  #: tasks in these leases
        self.held: dict[tuple[str, str], int] = {}  #: the same by (queue, function)
        self.done = 0
        #: digests of the functions that it has: it forgets as we do
        self.functions: BoundedCache[str, None] = BoundedCache(FUNCTION_BYTES)
        self.batch: dict[tuple[str, str], int] = {}  #: size of the last batch by (queue, function)
        self.commands: deque[tuple[Any, ...]] = deque()  #: to be sent to it
        self.stopping = False
        self.alone = False  #: whether it holds a task's last attempt, and may hold nothing else
        self.stuck = 0  #: the lease whose task has said that it waits for one that nobody is free to do
        self.reported = now  #: when its last outcome came, or a lease after it had none
        self.asked = 0.0  #: when it was last asked to give something back
        self.turn = 0  #: which queue comes first
        self.meter = Utilisation(now)
        self._payloads: deque[int] = deque(maxlen=PAYLOADS_HELD)

    def __repr__(self) -> str:
        return f"<Worker {self.name} on {self.host}, {self.holding} leased, {self.done} done>"

    def serves(self, queue: str) -> bool:
        """Whether it may be given tasks of a queue."""
        return (queue != PLAIN or self.handler) and (self.queues is None or queue in self.queues)

    def could_do(self, span: Span) -> bool:
        """Whether it serves the span's queue, and can read it."""
        header = span.run.header
        return self.serves(header.queue) and (not self.python or header.python in ("", self.python))

    def take(self, span: Span, now: float) -> None:
        """It has the lease of a span now."""
        if not self.leases:
            self.reported = now
        count, key = len(span), span.run.header.key
        self.leases[span.token] = span
        self.holding += count
        self.held[key] = self.held.get(key, 0) + count

    def give_back(self, span: Span) -> Span:
        """It has the span, a lease or what was cut off one, no longer."""
        if self.leases[span.token] is span:
            del self.leases[span.token]
            self.alone = False
        count, key = len(span), span.run.header.key
        self.holding -= count
        self.held[key] -= count
        if not self.held[key]:
            del self.held[key]
        return span

    def could_give(self, now: float) -> bool:
        """Whether to ask it for something that it has not begun: it was not asked, nor has it reported, just now."""
        return self.holding > 1 and now - max(self.asked, self.reported) >= RECLAIM_PAUSE

    def payload_for(self, run: Run, span: Span) -> Any:
        """What to send along with a lease: None if the worker still holds the run's payload."""
        if run.header.kind == PLAIN:
            return run.payload[span.lo : span.hi]
        if run.first in self._payloads:
            return None
        self._payloads.append(run.first)
        return run.payload

    def as_dict(self, now: float) -> dict[str, Any]:
        """Its line in `stats()`."""
        running = next(iter(self.leases.values()), None)
        return {
            "name": self.name,
            "host": self.host,
            "pid": self.pid,
            "state": "stopping" if self.stopping else "busy" if self.leases else "idle",
            "done": self.done,
            "utilisation": round(self.meter.share(now), 4),
            "running": running.first if running else None,
            "stuck": self.stuck in self.leases,
            "queues": list(self.queues) if self.queues is not None else None,
        }


def worker_stats(lines: Iterable[WaitingLine], workers: Collection[Worker], now: float) -> dict[str, Any]:
    """The part of `stats` that is about workers: those that are there, and the Pythons that are missing."""
    return {"workers": [worker.as_dict(now) for worker in workers], "pythons": _missing_pythons(lines, workers)}


def _missing_pythons(lines: Iterable[WaitingLine], workers: Collection[Worker]) -> dict[str, list[str]]:
    """By queue, the Pythons that tasks wait for which come next there, and that no worker has which serves it."""
    found = {}
    for line in lines:
        there = {worker.python for worker in workers if worker.serves(line.queue)}
        if (missing := line.pythons() - there) and "" not in there:
            found[line.queue] = sorted(missing)
    return found


def note_stuck(workers: dict[str, Worker], name: str) -> None:
    """The task that a worker has in hand waits for another one, which no worker is free to do."""
    if name in workers:
        workers[name].stuck = next(iter(workers[name].leases), 0)
