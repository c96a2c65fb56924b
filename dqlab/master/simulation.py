"""A master and its workers in virtual time: the real broker, and the seconds that it takes here.

    client ──submit, collect──> ┌ master ───────────────────────────────┐ <──exchange, heartbeat── worker
                                │ one call at a time, each as long as   │
           <─────outcomes────── │ the broker takes for it on this       │ ──leases, half a trip──>
                                │ machine                               │
                                └───────────────────────────────────────┘

Tasks take no time here, and their seconds there. What sockets and pickles cost a real master is left out: this is the
most that a master with this broker could do.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from dqlab.broker.broker import Broker
from dqlab.broker.topics import What
from dqlab.errors import BadInput
from dqlab.master.simulated_worker import LEASE, SimulatedWorker
from dqlab.wire.checks import whole
from dqlab.wire.messages import Header, NewTasks

__all__ = ["Simulation", "SimulationResult", "simulate"]

#: seconds between two looks of the master at what is due, when the client is given its outcomes, too
TICK = 0.02
#: tasks in one message of the client
RUN = 1000
#: seconds of this thread alone: others who want the machine make no broker slower
CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter
#: what may be asked for
HOW_MANY = {"workers": whole(1, 1_000_000), "tasks": whole(1, 100_000_000)}


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """
    What `simulate` found. `lasted` is virtual seconds, from the first task submitted to the last one done.

    `throughput` is tasks/s, `utilisation` the share of their time that workers worked, `master` the share of the time
    in which the master was busy: at 1 it is the narrowest place, and more workers bring nothing.
    """

    workers: int
    tasks: int
    lasted: float
    throughput: float
    utilisation: float
    master: float

    def __str__(self) -> str:
        return (
            f"{self.workers:,} workers: {self.throughput:,.0f} tasks/s, workers busy {self.utilisation:.0%}, "
            f"master busy {self.master:.0%}"
        )


def simulate(
    *, workers: int = 10_000, tasks: int = 100_000, seconds: float = 0.2, trip: float = 0.001, seed: int = 0
) -> SimulationResult:
    """
    Let `workers` do `tasks` on paper, and say how fast they would be, and how busy the master.

    A task takes from half of `seconds` to one and a half; `trip` is the seconds of a message there and back; the same
    `seed` draws the same tasks. The broker is the real one, and takes what it takes on this machine, so that no two
    runs are quite equal. Raises `BadInput` for what makes no sense.
    """
    for name, value in (("workers", workers), ("tasks", tasks)):
        HOW_MANY[name](name, value)
    if not (0 <= seconds < math.inf and 0 <= trip < math.inf):
        raise BadInput(f"seconds={seconds} and trip={trip} make no sense", "both are seconds, 0 or more")
    random = Random(seed)
    simulation = Simulation(lambda task: seconds * random.uniform(0.5, 1.5), seed=seed, trip=trip, clock=CLOCK)
    simulation.hire(workers)
    simulation.submit(tasks)
    simulation.run()
    lasted = simulation.finished
    return SimulationResult(
        workers=workers,
        tasks=tasks,
        lasted=lasted,
        throughput=tasks / lasted,
        utilisation=simulation.worked / (workers * lasted),
        master=min(1.0, simulation.busy / lasted),
    )


class Simulation:
    """The clock, the master around the broker, and the workers.

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
        self.workers: dict[str, SimulatedWorker] = {}
        self.waiting: dict[str, SimulatedWorker] = {}
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

    def hire(self, count: int, kind: type[SimulatedWorker] = SimulatedWorker) -> None:
        """Let so many workers join."""
        for _ in range(count):
            kind(self)

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
