"""A worker on paper: it works off what it is given, reports from time to time, and beats its heart.

The tasks that it does between two reports are one step, so that a minute of ten thousand workers takes seconds.
"""

from __future__ import annotations

import math
from collections import deque

from dqlab.master.simulated_master import LEASE, SimulatedMaster
from dqlab.wire.messages import Lease, Report

__all__ = ["SimulatedWorker"]

#: seconds that an outcome may wait for others, while there is more to do
TOGETHER = 0.05
#: heartbeats in a lease
BEATS = 3


class SimulatedWorker:
    """Works off its jobs from left to right, in the time of a `master`, which it joins at once."""

    def __init__(self, master: SimulatedMaster) -> None:
        self.master = master
        self.entry = master.ask(master.broker.leases.join, "host", 1, None, False)
        self.name = self.entry.name
        self.jobs: deque[tuple[Lease, int, int]] = deque()  #: what is not begun: of a lease, from a task to another
        self.doing: tuple[Lease, int, int, float] | None = None  #: the same of what is, and how long that takes
        self.gone = False
        master.workers[self.name] = self
        master.at(master.free, self.exchange)
        master.at(master.now + LEASE / BEATS, self.beat_heart)

    def exchange(self, *reports: Report) -> None:
        """Here are my reports, give me more; who has lost its leases joins again."""
        master, leases = self.master, self.master.broker.leases
        if self.gone:
            return
        if reports:
            master.ask(leases.settle, self.name, reports)
            master.finished = master.free
        if leases.workers.get(self.name) is not self.entry:
            self.end()
            type(self)(master)
            return
        master.ask(leases.heartbeat, self.name)
        given = master.ask(leases.lease, self.name)
        master.wake()
        master.at(master.free + master.trip / 2, lambda: self.take(given))

    def take(self, given: list[Lease]) -> None:
        """The master's answer is here."""
        if self.gone:
            return
        self.jobs.extend((lease, lease.lo, lease.hi) for lease in given)
        if self.doing is None and self.jobs:
            self.begin()
        elif self.doing is None:
            self.master.waiting[self.name] = self

    def begin(self) -> None:
        """Begin as many tasks of the first job as are done before the next report."""
        lease, lo, hi = self.jobs.popleft()
        end, seconds = lo, 0.0
        while end < hi and (end == lo or (seconds < TOGETHER and not lease.careful)):
            seconds += self.master.seconds(lease.first + end)
            end += 1
        if end < hi:
            self.jobs.appendleft((lease, end, hi))
        self.doing = lease, lo, end, seconds
        self.master.at(self.master.now + seconds, self.finish)

    def finish(self) -> None:
        """Report what is done, and go on with the next."""
        if self.gone or self.doing is None:
            return
        lease, lo, hi, seconds = self.doing
        self.doing = None
        self.master.worked += seconds
        report = Report(kind="done", token=lease.token, lo=lo, hi=hi, value=b"r", seconds=seconds)
        if self.jobs:
            self.begin()  # the child goes on while its worker reports
        self.master.at(self.master.now + self.master.trip / 2, lambda: self.exchange(report))

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
            self.master.ask(self.master.broker.leases.heartbeat, self.name)
            self.master.at(self.master.now + LEASE / BEATS, self.beat_heart)

    def end(self) -> None:
        """It is gone without a word; whoever watches its connection notices."""
        self.gone = True
        self.master.workers.pop(self.name, None)
        self.master.waiting.pop(self.name, None)
