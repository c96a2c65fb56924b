"""Which addresses wait, by host, and which of them may be asked for now. Pure: no I/O, time is passed in.

add(errand) ──> waits ──> handful(now) ──> (fetched elsewhere) ──> back(handful, outcomes, now) ──> what is settled
                  ^                                                  │
                  └────────────── not begun, once more ──────────────┘
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dqlab.crawl.addresses import site_of
from dqlab.crawl.errand import Errand, Pressure
from dqlab.crawl.host import Host
from dqlab.crawl.outcome import Outcome

__all__ = ["Frontier", "Handful"]

#: addresses in one handful, at most; pages take the worker's time, pictures the network's
MOST, MOST_PAGES = 32, 8
#: threads in one handful
THREADS = 32
#: addresses one after the other on one thread of a handful, and seconds that they should take about
ROUNDS, SECONDS = 16, 0.1
#: seconds that an answer takes from which on a handful has as many threads as it may, rather than few busy ones
SLOW = 0.02
#: tries at an address, and at one whose host refuses because it has too much to do
TRIES, TRIES_BUSY = 3, 6
#: seconds before another try, times two with each
BACK_OFF = 0.3


@dataclass(frozen=True)
class Handful:
    """What one task is to fetch: with how many requests at a time of each host, since when, in how many bytes."""

    errands: tuple[Errand, ...]
    slots: dict[str, int]
    began: float
    room: int
    alone: bool = False

    @property
    def of_pages(self) -> bool:
        """Whether it is of pages, not of pictures."""
        return self.errands[0].page


@dataclass
class Line:
    """What waits for one host."""

    host: Host
    pages: deque[Errand] = field(default_factory=deque)
    images: deque[Errand] = field(default_factory=deque)

    def of(self, pages: bool) -> deque[Errand]:
        return self.pages if pages else self.images


class Frontier:
    """
    All addresses of a crawl that aren't settled. `workers`: tasks that run at a time; `room`: bytes of one handful,
    `most_room` of one that is fetched alone; `per_host` and `delay` as `Host` has them.
    """

    def __init__(
        self, *, workers: int = 4, room: int, most_room: int, per_host: int | None = None, delay: float = 0.0
    ) -> None:
        self.workers, self.room, self.most_room = workers, room, most_room
        self.per_host, self.delay = per_host, delay
        self.lines: dict[str, Line] = {}
        self.turns: deque[str] = deque()  # hosts for which something waits, the one whose turn it is first
        self.alone: deque[tuple[Errand, int]] = deque()  # what needs a task of its own, and so many bytes
        self.later: list[tuple[float, int, Errand]] = []  # what is due again, and when
        self.order = itertools.count()
        self.tries: Counter[str] = Counter()
        self.waiting = self.under_way = 0  # errands, and handfuls
        self.dropped: list[Outcome] = []  # of hosts that were given up

    def add(self, errand: Errand, first: bool = False) -> None:
        """Let `errand` wait, as the `first` of its host or as the last."""
        name = site_of(errand.target)
        line = self.line(name)
        if line.host.given_up:
            self.dropped.append(Outcome(errand=errand, again=line.host.given_up))
            self.waiting += 1
            return
        if not line.pages and not line.images:
            self.turns.append(name)
        waiting = line.of(errand.page)
        waiting.appendleft(errand) if first else waiting.append(errand)
        self.waiting += 1

    def line(self, name: str) -> Line:
        """The line of a host, which is made when first asked for."""
        if name not in self.lines:
            self.lines[name] = Line(Host(self.per_host, self.delay))
        return self.lines[name]

    def host(self, errand: Errand) -> Host:
        """The host that an errand goes to."""
        return self.line(site_of(errand.target)).host

    # -- handing out ---------------------------------------------------------------------------------------------------

    def handful(self, now: float, budget: int) -> Handful | None:
        """Return what the next task is to fetch, in `budget` bytes; None if there is nothing at `now`. Pages first."""
        while self.later and self.later[0][0] <= now:
            self.waiting -= 1
            self.add(heapq.heappop(self.later)[2])  # behind the others: they may show that the host is well
        single = self.single(now, budget)
        if single or self.room > budget:
            return single
        return self.gathered(now, pages=True) or self.gathered(now, pages=False)

    def single(self, now: float, budget: int) -> Handful | None:
        """Return a task for one errand that needs all the time or room."""
        for place, (errand, size) in enumerate(self.alone):
            if size <= budget and self.host(errand).free(now):
                del self.alone[place]
                return self.handed_out([errand], {site_of(errand.target): 1}, now, size, alone=True)
        return None

    def gathered(self, now: float, pages: bool) -> Handful | None:
        """Return a handful from the hosts whose turn it is."""
        errands: list[Errand] = []
        slots: dict[str, int] = {}
        most = MOST_PAGES if pages else MOST
        for _ in range(len(self.turns)):
            name = self.turns.popleft()
            line = self.lines[name]
            waiting = line.of(pages)
            share = self.share(line.host, now)
            rounds = self.rounds(line.host, share)
            some = min(len(waiting), most - len(errands))
            threads = min(share, -(-some // rounds), THREADS - sum(slots.values()))
            if threads > 0:
                fair = max(threads, -(-len(waiting) // self.workers))  # near the end, something is left for each worker
                count = min(threads * rounds, fair, some)
                slots[name] = threads
                errands += [waiting.popleft() for _ in range(count)]
            if line.pages or line.images:
                self.turns.append(name)
            if len(errands) >= most:
                break
        return self.handed_out(errands, slots, now, self.room, alone=False) if errands else None

    def share(self, host: Host, now: float) -> int:
        """Return with how many requests at a time one worker may ask `host`: a fair part of all, or none for now."""
        free, fair = host.free(now), -(-int(host.limit) // self.workers)
        if free >= fair or self.under_way < self.workers:  # who has nothing to do takes what is left
            return min(free, fair)
        return 0 if host.out else free

    def rounds(self, host: Host, share: int) -> int:
        """Return how many addresses follow each other on one thread: as many as take little time."""
        if host.delay or host.resting or not host.timed:
            return 1
        most = MOST // max(1, share) if host.mean > SLOW else ROUNDS
        return max(1, min(most, round(SECONDS / max(host.mean, 0.001))))

    def handed_out(self, errands: list[Errand], slots: dict[str, int], now: float, room: int, alone: bool) -> Handful:
        """A handful of errands, which takes up their hosts from `now` on."""
        for name, count in slots.items():
            self.lines[name].host.begin(count, now)
        self.waiting -= len(errands)
        self.under_way += 1
        return Handful(tuple(errands), slots, now, room, alone)

    # -- taking back ---------------------------------------------------------------------------------------------------

    def back(self, handful: Handful, outcomes: Sequence[Outcome], now: float) -> list[Outcome]:
        """Take the `outcomes` of `handful` back and return those that are settled; the others wait again."""
        settled = []
        for outcome in outcomes:
            self.host(outcome.errand).answer(outcome, handful.began, now)
            if outcome.moved:
                self.add(replace(outcome.errand, place=outcome.moved, hops=outcome.hops), first=True)
            elif outcome.alone and not (handful.alone and handful.room >= self.most_room):
                self.by_itself(outcome.errand, outcome.size)
            elif outcome.again is None or not self.once_more(outcome, now):
                settled.append(outcome)
        self.end(handful)
        begun = {outcome.errand.url for outcome in outcomes}
        for errand in reversed(handful.errands):
            if errand.url not in begun:
                self.add(errand, first=True)
        return settled

    def lost(self, handful: Handful) -> list[Errand]:
        """Take `handful` back, whose task failed: each errand is tried alone; return those that were alone already."""
        self.end(handful)
        if handful.alone:
            return list(handful.errands)
        for errand in handful.errands:
            self.by_itself(errand, self.room)
        return []

    def end(self, handful: Handful) -> None:
        """The handful is back, or lost: its hosts are free again."""
        self.under_way -= 1
        for name, count in handful.slots.items():
            self.lines[name].host.end(count)

    def by_itself(self, errand: Errand, size: int | None) -> None:
        """Let `errand` wait for a task of its own with `size` bytes."""
        self.alone.append((errand, min(size or self.most_room, self.most_room)))
        self.waiting += 1

    def once_more(self, outcome: Outcome, now: float) -> bool:
        """Let the errand wait for another try, if it has one left."""
        errand = outcome.errand
        tries = self.tries[errand.url] + 1
        if self.host(errand).given_up or tries >= (TRIES_BUSY if outcome.pressure is Pressure.BUSY else TRIES):
            return False
        self.tries[errand.url] = tries
        heapq.heappush(self.later, (now + BACK_OFF * 2 ** (tries - 1), next(self.order), errand))
        self.waiting += 1
        return True

    def given_up(self) -> list[Outcome]:
        """Return, and forget, what waits for hosts that are given up; to be asked for after `handful` and `back`."""
        for name in [name for name in self.turns if self.lines[name].host.given_up]:
            line = self.lines[name]
            self.dropped += [Outcome(errand=e, again=line.host.given_up) for e in (*line.pages, *line.images)]
            line.pages.clear()
            line.images.clear()
            self.turns.remove(name)
        if any(self.host(errand).given_up for errand, _ in self.alone):
            alone, self.alone = self.alone, deque()
            for errand, size in alone:
                if why := self.host(errand).given_up:
                    self.dropped.append(Outcome(errand=errand, again=why))
                else:
                    self.alone.append((errand, size))
        dropped, self.dropped = self.dropped, []
        self.waiting -= len(dropped)
        return dropped

    def attempts(self, url: str) -> int:
        """Return how many tries there were at `url`, the last one included."""
        return self.tries.pop(url, 0) + 1

    def next_turn(self, now: float) -> float:
        """Return after how many seconds something may be handed out without that anything comes back; may be inf."""
        times = [self.lines[name].host.ready_at for name in self.turns]
        times += [self.host(errand).ready_at for errand, _ in self.alone]
        times += [due for due, _, _ in self.later[:1]]
        return max(0.0, min(times, default=math.inf) - now)

    def holds(self, now: float) -> dict[str, tuple[float, str]]:
        """Return the hosts that are waited for, with the seconds that are left, and why."""
        hosts = {name: self.lines[name].host for name in self.turns}
        return {name: (host.held_until - now, host.why) for name, host in hosts.items() if host.held_until > now}
