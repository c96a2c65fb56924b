"""A broker on a stage: a clock that stands still until it is moved, and short words for clients and workers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dqlab.broker.broker import Broker
from dqlab.broker.clients import Client
from dqlab.broker.tasks import Run
from dqlab.wire.messages import Grant, Outcome

LEASE = 10.0


class Scene:
    """``first`` is the client that submits unless another is named. Settings are the broker's."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        self.broker = Broker(now=self.now, **{"lease": LEASE, **settings})
        self.broker.functions.update(f=b"f", g=b"g")
        self.first = self.broker.open_client()

    def submit(self, count: int = 1, client: Client | None = None, **fields: Any) -> range:
        """Submit a run and return its task ids."""
        client = client or self.first
        first = max(client.last + 1, client.first)
        run = {"queue": "default", "kind": "map", "function": "f", "payload": b"items", **fields}
        assert self.broker.submit(client.number, Run(first, count, **run), self.now), "the backlog is full"
        return range(first, first + count)

    def join(self, queues: tuple[str, ...] | None = None, handler: bool = False, name: str | None = None) -> str:
        return self.broker.join("host", 17, queues, handler, self.now, name).name

    def lease(self, worker: str) -> list[Grant]:
        return self.broker.lease(worker, self.now)

    def say(
        self, worker: str, kind: str, grant: Grant, lo: int | None = None, hi: int | None = None, **more: Any
    ) -> None:
        """Settle a grant, or [lo, hi) of it. ``value`` and ``seconds`` as in `Outcome`."""
        value = {
            "done": b"results",
            "error": (None, "", "ValueError: no"),
            "timeout": (None, "", "too long"),
            "died": "killed",
        }
        lo, hi = grant.lo if lo is None else lo, grant.hi if hi is None else hi
        more = {"value": value.get(kind), "seconds": 0.001, **more}
        self.broker.settle(worker, [Outcome(kind, grant.token, lo, hi, **more)], self.now)

    def work(self, worker: str, seconds: float = 0.001) -> list[int]:
        """Lease what the worker gets now and do it, ``seconds`` for each task; return the tasks."""
        grants = self.lease(worker)
        for grant in grants:
            self.now += seconds * (grant.hi - grant.lo)
            self.broker.heartbeat(worker, self.now)
            self.say(worker, "done", grant, seconds=seconds * (grant.hi - grant.lo))
        return tasks(grants)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.broker.tick(self.now)

    def states(self, numbers: Iterable[int]) -> list[str]:
        """The state of each of the tasks; "forgotten" where the broker knows nothing any more."""
        spans = [self.broker.find(number) for number in numbers]
        return ["forgotten" if span is None else span.state.value for span in spans]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [record.as_dict() for record in self.broker.events.since(0, 100_000) if record.kind == kind]

    def commands(self, worker: str) -> list[tuple[Any, ...]]:
        """What the worker was told since the last look."""
        waiting = self.broker.workers[worker].commands
        return [waiting.popleft() for _ in range(len(waiting))]

    def signals(self) -> set[tuple[str, Any]]:
        """Who was told to look since the last look."""
        signals, self.broker.signals = self.broker.signals, set()
        return signals


def tasks(grants: Iterable[Grant]) -> list[int]:
    """The ids of all tasks in some grants."""
    return [grant.first + i for grant in grants for i in range(grant.lo, grant.hi)]
