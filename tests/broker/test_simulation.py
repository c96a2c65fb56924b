"""Workers by the thousand in virtual time, with deaths, freezes and slow tasks, on the broker's public methods alone.

A simulated worker does what a real one does: it works off what it was given, reports from time to time, beats its
heart, gives back what it has not begun when it is asked, and may die, or freeze and come back with late results. The
tasks done between two reports are one step, so that a minute of ten thousand workers takes seconds.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable
from random import Random

import pytest

from dqlab.broker.broker import Broker
from dqlab.broker.clients import CLIENT_IDS
from dqlab.broker.topics import What
from dqlab.wire.messages import Header, Lease, NewTasks, Report

LEASE = 15.0
#: seconds: between two reports, between two ticks, and for one round trip
REPORT, TICK, TRIP = 0.05, 0.02, 0.001


class World:
    """The clock, the master around the broker, and the workers. ``seconds`` is how long a task takes, by its id."""

    def __init__(self, seconds: Callable[[int], float], seed: int, tick: float = TICK) -> None:
        self.now, self.seconds, self.random, self.step = 0.0, seconds, Random(seed), tick
        self.broker = Broker(lease=LEASE, seed=seed)
        self.broker.states.functions["f"] = b"f"
        self.client = self.broker.states.clients.open()
        self.workers: dict[str, SimulatedWorker] = {}
        self.waiting: dict[str, SimulatedWorker] = {}
        self.runs: Counter[int] = Counter()  # how often each task was run to its end
        self.finished = 0.0  # when the last outcome came
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._plan, (time, next(self._number), what))

    def submit(self, count: int, per_run: int = 1000, **fields: int) -> None:
        first, header = self.client.last + 1, Header(kind="map", function="f", **fields)
        for start in range(first, first + count, per_run):
            size = min(per_run, first + count - start)
            tasks = NewTasks(first=start, count=size, header=header, payload=b"")
            assert self.broker.submit(self.client, tasks, self.now)

    def hire(self, n: int) -> None:
        for _ in range(n):
            SimulatedWorker(self)

    def run(self, limit: float, left: int = 0) -> None:
        """Let time pass until all tasks but ``left`` have ended; fail if that takes longer than ``limit`` seconds."""
        self.at(self.now, self._tick)
        while self.broker.states.unfinished() > left:
            self.now, _, what = heapq.heappop(self._plan)
            assert self.now <= limit, f"{self.broker.states.unfinished()} tasks have not ended"
            what()

    def _tick(self) -> None:
        self.broker.tick(self.now)
        self.wake()
        self.at(self.now + self.step, self._tick)

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
                        self.at(self.now + TRIP, lambda worker=worker, share=command[1]: worker.give_back(share))
            elif kind is What.READY:
                for worker in list(itertools.islice(self.waiting.values(), states.ready_in(name))):
                    del self.waiting[worker.name]
                    self.at(self.now, worker.exchange)

    def check(self, tasks: int) -> None:
        """Every task ended once, and the client heard of it once."""
        heard: Counter[int] = Counter()
        ack = 0
        while batch := self.broker.collect(self.client, ack):
            ack = batch[-1][0]
            heard.update(i for _, span in batch for i in range(span.first, span.first + len(span)))
        assert heard == Counter(range(1, tasks + 1)), "an outcome is missing, or came twice"
        counts = self.broker.states.counts["default"]
        assert counts["done"] + counts["failed"] == tasks
        assert counts["ready"] == counts["delayed"] == counts["leased"] == 0


class SimulatedWorker:
    """Works off its jobs from left to right. ``frozen`` until a time, it neither works nor beats nor hears."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.entry = world.broker.leases.join("host", 1, None, False, world.now)
        self.name = self.entry.name
        self.jobs: deque[list] = deque()  # [lease, lo, hi] of what is not begun
        self.doing: tuple[Lease, int, int, float] | None = None
        self.dead, self.frozen = False, 0.0
        world.workers[self.name] = self
        world.at(world.now, self.exchange)
        world.at(world.now + LEASE / 3, self._beat)

    def exchange(self, *reports: Report) -> None:
        """Here are my reports, give me more; a worker that has lost its leases joins again."""
        if self.dead:
            return
        world, leases = self.world, self.world.broker.leases
        if self.frozen > world.now:
            world.at(self.frozen, lambda: self.exchange(*reports))
            return
        leases.settle(self.name, reports, world.now)
        if leases.workers.get(self.name) is not self.entry:
            self.end()
            SimulatedWorker(world)
            return
        leases.heartbeat(self.name, world.now)
        self.jobs.extend([lease, lease.lo, lease.hi] for lease in leases.lease(self.name, world.now))
        if reports:
            world.finished = world.now
        world.wake()
        if self.doing is None and not self.jobs:
            world.waiting[self.name] = self
        elif self.doing is None:
            self._begin()

    def _begin(self) -> None:
        """Begin as many tasks of the first job as are done before the next report."""
        lease, lo, hi = self.jobs.popleft()
        end, seconds = lo, 0.0
        while end < hi and (end == lo or (seconds < REPORT and not lease.careful)):
            seconds += self.world.seconds(lease.first + end)
            end += 1
        if end < hi:
            self.jobs.appendleft([lease, end, hi])
        self.doing = lease, lo, end, seconds
        self.world.at(self.world.now + seconds, self._finish)

    def _finish(self) -> None:
        if self.dead:
            return
        if self.frozen > self.world.now:
            self.world.at(self.frozen, self._finish)
            return
        lease, lo, hi, seconds = self.doing
        self.doing = None
        self.world.runs.update(range(lease.first + lo, lease.first + hi))
        report = Report(kind="done", token=lease.token, lo=lo, hi=hi, value=b"r", seconds=seconds)
        if self.jobs:
            self._begin()  # the child goes on while its worker reports
        self.world.at(self.world.now + TRIP, lambda: self.exchange(report))

    def give_back(self, share: float) -> None:
        """Obey a reclaim: release the later part of what has not begun."""
        back = math.ceil(share * sum(hi - lo for _, lo, hi in self.jobs))
        reports = []
        while back > 0 and self.jobs:
            lease, lo, hi = self.jobs.pop()
            n = min(back, hi - lo)
            reports.append(Report(kind="released", token=lease.token, lo=hi - n, hi=hi))
            back -= n
            if lo < hi - n:
                self.jobs.append([lease, lo, hi - n])
        if reports:
            self.exchange(*reports)

    def _beat(self) -> None:
        if not self.dead:
            if self.frozen <= self.world.now:
                self.world.broker.leases.heartbeat(self.name, self.world.now)
            self.world.at(self.world.now + LEASE / 3, self._beat)

    def end(self) -> None:
        """It is gone without a word; whoever watches its connection notices."""
        self.dead = True
        self.world.workers.pop(self.name, None)
        self.world.waiting.pop(self.name, None)

    def die(self) -> None:
        self.end()
        self.world.broker.leases.leave(self.entry, "its connection ended", self.world.now)
        self.world.wake()


def trouble(world: World, every: float, until: float) -> None:
    """Again and again a worker dies and is replaced, or freezes, mostly for longer than its lease."""

    def strike() -> None:
        worker = world.random.choice(list(world.workers.values()))
        if world.random.random() < 0.5:
            worker.die()
            world.hire(1)
        else:
            worker.frozen = world.now + world.random.uniform(1.0, 3 * LEASE)
        if world.now < until:
            world.at(world.now + world.random.expovariate(1 / every), strike)

    world.at(every, strike)


def heavy_tail(seed: int, tasks: int, longest: float) -> list[float]:
    """Lengths of tasks in seconds: most take milliseconds, some take seconds, and nobody knows which."""
    random = Random(seed)
    return [0.0, *(min(longest, 0.004 * random.paretovariate(1.1)) for _ in range(tasks))]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_dies_or_freezes_every_task_ends_once(seed):
    lengths = heavy_tail(seed, 20_000, 20.0)
    world = World(lengths.__getitem__, seed)
    world.hire(50)
    world.submit(20_000, max_attempts=100)
    trouble(world, every=0.2, until=60.0)
    world.run(limit=600.0)
    world.check(20_000)
    counts = world.broker.states.counts["default"]
    assert counts["failed"] == 0 and counts["redelivered"] > 0
    assert seed == 2 or world.broker.leases.late > 0  # with that seed no frozen worker had a result in hand
    # What ran twice was lost in between; nothing else was.
    assert world.runs.total() - 20_000 <= counts["redelivered"]


def test_a_worker_killer_is_failed_and_takes_nobody_with_it():
    """Given a task that kills its worker, when it has had its attempts, then it alone has failed."""
    world = World(lambda task: 0.01, seed=1)
    begin = SimulatedWorker._begin

    class Mortal(SimulatedWorker):
        def _begin(self) -> None:
            lease, lo, _ = self.jobs[0]
            begin(self)
            if self.doing[1] <= 4999 - lease.first < self.doing[2]:
                self.world.at(self.world.now + 0.001, lambda: (self.die(), Mortal(self.world)))

    for _ in range(8):
        Mortal(world)
    world.submit(10_000)
    world.run(limit=100.0)
    world.check(10_000)
    assert world.broker.states.counts["default"]["failed"] == 1
    assert world.broker.find(4999).state.value == "failed" and len(world.broker.find(4999).history) == 3


@pytest.mark.parametrize("workers", [2, 8, 32])
def test_on_tasks_of_mixed_length_all_workers_end_nearly_together(workers):
    """The makespan is within 15 % of the ideal: the work divided by the workers, or the longest task."""
    tasks = 500 * workers
    lengths = heavy_tail(7, tasks, 2.0)
    world = World(lengths.__getitem__, seed=1)
    world.hire(workers)
    world.submit(tasks)
    world.run(limit=1000.0)
    world.check(tasks)
    ideal = max(sum(lengths) / workers, max(lengths))
    assert world.finished <= 1.15 * ideal + 0.1


@pytest.mark.parametrize("obedient", [True, False])
def test_what_stands_behind_a_long_task_is_taken_back_and_done_by_others(obedient, monkeypatch):
    """Given a long task among short ones, all others are done while it runs; the counter-proof gives nothing back."""
    if not obedient:
        monkeypatch.setattr(SimulatedWorker, "give_back", lambda self, share: None)
    world = World(lambda task: 10.0 if task == 200 else 0.001, seed=1)
    world.hire(2)
    world.submit(1000)
    world.run(limit=20.0, left=60)  # what was done just before it is reported with it
    assert (world.now < 2.0) is obedient


def test_ten_thousand_workers():
    """A hundred thousand tasks, ten thousand workers, a hundred of which die or freeze."""
    tasks = 100_000
    world = World(lambda task: 0.5 + (task * 7919 % 1000) / 250, seed=3, tick=0.5)
    world.hire(10_000)
    world.submit(tasks, max_attempts=10)
    trouble(world, every=0.2, until=20.0)
    world.run(limit=300.0)
    world.check(tasks)
    assert len(world.broker.stats(world.now)["workers"]) >= 9_900
    assert world.broker.states.clients[0].last < CLIENT_IDS
