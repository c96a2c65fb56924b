"""A master on paper, and the time that passes there: it has the real broker, and does one thing after another."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from dqlab.broker.broker import Broker
from dqlab.broker.topics import What
from dqlab.wire.messages import Header, NewTasks

__all__ = ["LEASE", "SimulatedMaster"]

#: seconds between two looks of the master at what is due, when the client is given its outcomes, too
TICK = 0.02
#: tasks in one message of the client
RUN = 1000
#: seconds of a lease, as a master has it if nobody says otherwise
LEASE = 15.0


class Joined(Protocol):
    """A worker that has joined, as the master sees it."""

    name: str

    def exchange(self) -> None:
        """There is something to do again."""

    def give_back(self, share: float) -> None:
        """The master takes back so much of what is not begun."""


class SimulatedMaster:
    """The clock, the master around the broker, and the workers that have joined.

    `seconds` says how long a task takes, by its id; `trip` is the seconds of a message there and back, `tick` those
    between two looks of the master; `clock` is what the broker's calls are measured by (None: they take no time).
    """

    def __init__(
        self,
        seconds: Callable[[int], float],
        *,
        seed: int = 0,
        trip: float = 0.001,
        tick: float = TICK,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.seconds, self.trip, self.step, self.clock = seconds, trip, tick, clock or (lambda: 0.0)
        self.now = 0.0
        self.free = self.busy = 0.0  #: when the master has done all that was asked of it, and the seconds of that
        self.worked = self.finished = 0.0  #: seconds of all tasks, and when the last outcome came
        self.broker = Broker(lease=LEASE, seed=seed)
        self.broker.states.functions["f"] = b"f"
        self.client = self.broker.states.clients.open()
        self.heard = 0  #: the last outcome that the client has
        self.workers: dict[str, Joined] = {}
        self.waiting: dict[str, Joined] = {}
        self._plan: list[tuple[float, int, Callable[[], object]]] = []
        self._number = itertools.count()

    def at(self, time: float, what: Callable[[], object]) -> None:
        """Let `what` happen at `time`."""
        heapq.heappush(self._plan, (time, next(self._number), what))

    def ask(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call the broker, as soon as it is free; the time goes last. Its answer is there when it is `free` again."""
        self.free = max(self.free, self.now)
        began = self.clock()
        answer = method(*args, self.free)
        spent = self.clock() - began
        self.free += spent
        self.busy += spent
        return answer

    def submit(self, count: int, per_run: int = RUN, **fields: Any) -> None:
        """Submit `count` tasks, so many in a message; `fields` are those of their header."""
        first, header = self.client.last + 1, Header(kind="map", function="f", **fields)
        for start in range(first, first + count, per_run):
            size = min(per_run, first + count - start)
            self.ask(self.broker.submit, self.client, NewTasks(first=start, count=size, header=header, payload=b""))

    def run(self, limit: float = math.inf, left: int = 0) -> None:
        """Let time pass until all tasks but `left` have ended; `TimeoutError` if that takes longer than `limit`."""
        self.at(self.now, self._tick)
        while self.broker.states.unfinished() > left:
            self.now, _, what = heapq.heappop(self._plan)
            if self.now > limit:
                raise TimeoutError(f"{self.broker.states.unfinished()} tasks have not ended")
            what()

    def wake(self) -> None:
        """Do with the broker's signals what the master does."""
        states, known = self.broker.states, self.broker.leases.workers
        signals, states.signals = states.signals, set()
        for kind, name in sorted(signals, key=str):
            if kind is What.COMMANDS and name in known:
                commands = known[name].commands
                while commands:
                    worker, command = self.workers.get(name), commands.popleft()
                    if worker is not None:
                        self.at(self.free + self.trip / 2, partial(worker.give_back, command[1]))
            elif kind is What.READY:
                for worker in list(itertools.islice(self.waiting.values(), states.ready_in(str(name)))):
                    del self.waiting[worker.name]
                    self.at(self.free, worker.exchange)

    def _tick(self) -> None:
        self.ask(self.broker.tick)
        self.ask(self.collect)
        self.wake()
        self.at(self.now + self.step, self._tick)

    def collect(self, now: float) -> None:
        """Let the client fetch its outcomes."""
        if batch := self.broker.collect(self.client, self.heard):
            self.heard = batch[-1][0]
