"""A broker on a stage: a clock that stands still until it is moved, and short words for clients and workers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dqlab.broker.broker import Broker
from dqlab.broker.clients import Client
from dqlab.broker.topics import Topic
from dqlab.wire.messages import Failure, Header, Lease, NewTasks, Report

LEASE = 10.0


class Scene:
    """``first`` is the client that submits unless another is named. Settings are the broker's."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        self.broker = Broker(now=self.now, **{"lease": LEASE, **settings})
        self.broker.states.functions.update(f=b"f", g=b"g")
        self.first = self.broker.states.clients.open()

    def submit(self, count: int = 1, client: Client | None = None, **fields: Any) -> range:
        """Submit a run and return its task ids."""
        client = client or self.first
        first = max(client.last + 1, client.first)
        payload = fields.pop("payload", b"items")
        header = Header(**{"kind": "map", "function": "f", **fields})
        tasks = NewTasks(first=first, count=count, header=header, payload=payload)
        assert self.broker.submit(client, tasks, self.now), "the backlog is full"
        return range(first, first + count)

    def join(
        self, queues: tuple[str, ...] | None = None, handler: bool = False, name: str | None = None, python: str = ""
    ) -> str:
        return self.broker.leases.join("host", 17, queues, handler, self.now, name, python).name

    def lease(self, worker: str) -> list[Lease]:
        return self.broker.leases.lease(worker, self.now)

    def say(
        self, worker: str, kind: str, lease: Lease, lo: int | None = None, hi: int | None = None, **more: Any
    ) -> None:
        """Settle a lease, or [lo, hi) of it. ``value`` and ``seconds`` as in `Report`."""
        value = {
            "done": b"results",
            "error": Failure(kind="error", summary="ValueError: no"),
            "timeout": Failure(kind="timeout", summary="too long"),
            "died": "killed",
        }
        lo, hi = lease.lo if lo is None else lo, lease.hi if hi is None else hi
        more = {"value": value.get(kind), "seconds": 0.001, **more}
        report = Report(kind=kind, token=lease.token, lo=lo, hi=hi, **more)
        self.broker.leases.settle(worker, [report], self.now)

    def work(self, worker: str, seconds: float = 0.001) -> list[int]:
        """Lease what the worker gets now and do it, ``seconds`` for each task; return the tasks."""
        leases = self.lease(worker)
        for lease in leases:
            self.now += seconds * (lease.hi - lease.lo)
            self.broker.leases.heartbeat(worker, self.now)
            self.say(worker, "done", lease, seconds=seconds * (lease.hi - lease.lo))
        return tasks(leases)

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """As the master does it, which looks every now and then at what is due."""
        end = self.now + seconds
        for _ in range(int(min(seconds, LEASE + 1) / step)):
            self.now = min(end, self.now + step)
            self.broker.tick(self.now)
        self.now = end
        self.broker.tick(self.now)

    def states(self, numbers: Iterable[int]) -> list[str]:
        """The state of each of the tasks; "forgotten" where the broker knows nothing any more."""
        spans = [self.broker.find(number) for number in numbers]
        return ["forgotten" if span is None else span.state.value for span in spans]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [record.as_dict() for record in self.broker.states.events.since(0, 100_000) if record.kind == kind]

    def commands(self, worker: str) -> list[tuple[Any, ...]]:
        """What the worker was told since the last look."""
        waiting = self.broker.leases.workers[worker].commands
        return [waiting.popleft() for _ in range(len(waiting))]

    def signals(self) -> set[Topic]:
        """Who was told to look since the last look."""
        signals, self.broker.states.signals = self.broker.states.signals, set()
        return signals


def tasks(leases: Iterable[Lease]) -> list[int]:
    """The ids of all tasks in some leases."""
    return [lease.first + i for lease in leases for i in range(lease.lo, lease.hi)]
