"""A worker on paper: it works off what it is given, reports from time to time, and beats its heart.

The tasks that it does between two reports are one step, so that a minute of ten thousand workers takes seconds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from dqlab.wire.messages import Lease, Report

if TYPE_CHECKING:
    from dqlab.master.simulation import Simulation

__all__ = ["LEASE", "SimulatedWorker"]

#: seconds that an outcome may wait for others, while there is more to do
TOGETHER = 0.05
#: seconds of a lease, as a master has it if nobody says otherwise, and heartbeats in it
LEASE, BEATS = 15.0, 3


class SimulatedWorker:
    """Works off its jobs from left to right, in the time of a `simulation`, which it joins at once."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.entry = simulation.ask(simulation.broker.leases.join, "host", 1, None, False)
        self.name = self.entry.name
        self.jobs: deque[tuple[Lease, int, int]] = deque()  #: what is not begun: of a lease, from a task to another
        self.doing: tuple[Lease, int, int, float] | None = None  #: the same of what is, and how long that takes
        self.gone = False
        simulation.workers[self.name] = self
        simulation.at(simulation.free, self.exchange)
        simulation.at(simulation.now + LEASE / BEATS, self.beat_heart)

    def exchange(self, *reports: Report) -> None:
        """Here are my reports, give me more; who has lost its leases joins again."""
        simulation, leases = self.simulation, self.simulation.broker.leases
        if self.gone:
            return
        if reports:
            simulation.ask(leases.settle, self.name, reports)
            simulation.finished = simulation.free
        if leases.workers.get(self.name) is not self.entry:
            self.end()
            type(self)(simulation)
            return
        simulation.ask(leases.heartbeat, self.name)
        given = simulation.ask(leases.lease, self.name)
        simulation.wake()
        simulation.at(simulation.free + simulation.trip / 2, lambda: self.take(given))

    def take(self, given: list[Lease]) -> None:
        """The master's answer is here."""
        if self.gone:
            return
        self.jobs.extend((lease, lease.lo, lease.hi) for lease in given)
        if self.doing is None and self.jobs:
            self.begin()
        elif self.doing is None:
            self.simulation.waiting[self.name] = self

    def begin(self) -> None:
        """Begin as many tasks of the first job as are done before the next report."""
        lease, lo, hi = self.jobs.popleft()
        end, seconds = lo, 0.0
        while end < hi and (end == lo or (seconds < TOGETHER and not lease.careful)):
            seconds += self.simulation.seconds(lease.first + end)
            end += 1
        if end < hi:
            self.jobs.appendleft((lease, end, hi))
        self.doing = lease, lo, end, seconds
        self.simulation.at(self.simulation.now + seconds, self.finish)

    def finish(self) -> None:
        """Report what is done, and go on with the next."""
        if self.gone or self.doing is None:
            return
        lease, lo, hi, seconds = self.doing
        self.doing = None
        self.simulation.worked += seconds
        report = Report(kind="done", token=lease.token, lo=lo, hi=hi, value=b"r", seconds=seconds)
        if self.jobs:
            self.begin()  # the child goes on while its worker reports
        self.simulation.at(self.simulation.now + self.simulation.trip / 2, lambda: self.exchange(report))

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
                self.jobs.append((lease, lo, hi - n))
        if reports:
            self.exchange(*reports)

    def beat_heart(self) -> None:
        """Say that it lives, again and again."""
        if not self.gone:
            self.simulation.ask(self.simulation.broker.leases.heartbeat, self.name)
            self.simulation.at(self.simulation.now + LEASE / BEATS, self.beat_heart)

    def end(self) -> None:
        """It is gone without a word; whoever watches its connection notices."""
        self.gone = True
        self.simulation.workers.pop(self.name, None)
        self.simulation.waiting.pop(self.name, None)
