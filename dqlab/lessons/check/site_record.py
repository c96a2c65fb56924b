"""Lesson 10: a time limit and retries, tried on the record of a sick site; the clock is virtual, nothing waits.

`play` is the whole of it: four workers, forty pictures, and a heap of what happens next.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dqlab.lessons.check.answer import Answer
from dqlab.lessons.check.verdict import NotYet, a_function, a_number, checker

__all__ = ["SiteRecord", "Told", "play", "recorded_site"]

#: what fetches, and seconds that the answer may take to say what it would do
WORKERS, PATIENCE = 4, 20.0
#: what is asked for: requests below, and seconds below
REQUESTS, SECONDS = 150, 60
#: requests, and seconds, after which nobody counts on
MOST, LONGEST = 5_000, 10 * SECONDS
#: how often it is played, each time with other chances
PLAYS = 5


@dataclass(frozen=True)
class SiteRecord:
    """The site as it was recorded. Seconds are those since the first request; pictures have numbers from 0."""

    pictures: int = 40
    #: seconds that an answer takes, where no other is said; and that a refusal takes
    usual: float = 0.3
    refusal: float = 0.05
    #: slow and good: seconds by picture
    slow: dict[int, float] = field(default_factory=lambda: {5: 2.4, 13: 2.9, 22: 2.7})
    #: those whose first try is never answered, and the one that is gone
    hang: frozenset[int] = frozenset({3, 9, 10, 18, 27})
    gone: int = 20
    #: from when to when the site is sick, and how many requests a second it bears then and afterwards
    sick: tuple[float, float] = (2.0, 9.0)
    bears: tuple[int, int] = (1, 8)

    def answer(self, picture: int, tries: int, now: float, recent: int) -> tuple[float, str]:
        """`(seconds, error)` of a request: the how many-eth try of a picture, after `recent` others in a second."""
        if picture == self.gone:
            return self.refusal, "404"
        if picture in self.hang and tries == 1:
            return math.inf, ""
        if recent > self.bears[not self.sick[0] <= now < self.sick[1]]:
            return self.refusal, "503"
        return self.slow.get(picture, self.usual), ""


@dataclass
class Told:
    """What came of it: pictures that came, requests, when the last worker was done, and what each last try met."""

    came: set[int] = field(default_factory=set)
    requests: list[float] = field(default_factory=list)
    end: float = 0.0
    last: tuple[int, str] = 0, ""  #: the picture that ended last, and its error
    met: dict[int, tuple[int, str]] = field(default_factory=dict)  #: tries and error of what was given up
    held: int = 0  #: workers that wait for ever


def play(record: SiteRecord, limit: float, wait: Callable[[int, str], float | None]) -> Told:
    """Fetch all pictures of a record in virtual time; it is left after `MOST` requests, and after `LONGEST` seconds."""
    told, free = Told(), WORKERS
    ready = deque((picture, 1) for picture in range(record.pictures))
    coming: list[tuple[float, int, str, int, int]] = []  #: when, what (an end or a turn), its error, picture, tries
    now = 0.0
    while len(told.requests) < MOST and now < LONGEST:
        while ready and free:
            picture, tries = ready.popleft()
            recent = sum(now - when < 1 for when in told.requests[-100:]) + 1
            seconds, error = record.answer(picture, tries, now, recent)
            told.requests.append(now)
            if seconds > limit:
                seconds, error = limit, "timeout"
            free -= 1
            if math.isinf(seconds):
                told.held += 1
            else:
                heapq.heappush(coming, (now + seconds, 0, error, picture, tries))
        if not coming:
            break
        now, turn, error, picture, tries = heapq.heappop(coming)
        if turn:
            ready.append((picture, tries + 1))
            continue
        free += 1
        told.end, told.last = now, (picture, error)
        if not error:
            told.came.add(picture)
        elif (pause := wait(tries, error)) is None:
            told.met[picture] = tries, error
        else:
            heapq.heappush(coming, (now + max(0.0, pause), 1, error, picture, tries))
    if coming:
        told.end, told.last = now, (picture, error)
    return told


def _play(limit: float, wait: Callable[[int, str], Any]) -> list[list[Any]] | str:
    """In the answer's process: what came of each play, as plain data; or what is wrong with what it returned."""
    odd = ""

    def pause(tries: int, error: str) -> float | None:
        nonlocal odd
        value = wait(tries, error)
        try:
            return None if value is None else a_number(value)
        except NotYet:
            odd = odd or f"my_wait({tries}, {error!r}) returned {value!r:.60}; it should be seconds, or None."
            return None

    plays = []
    for seed in range(PLAYS):
        random.seed(seed)
        told = play(SiteRecord(), limit, pause)
        busiest = max(Counter(int(when) for when in told.requests).values())
        met = sorted((picture, *how) for picture, how in told.met.items())
        plays.append([sorted(told.came), len(told.requests), told.end, told.last, met, told.held, busiest])
    return odd or plays


@checker
def recorded_site(limit: Any, wait: Callable[[int, str], float | None]) -> str:
    """Play the record with a time limit in seconds, and `wait(tries, error)`; judge the worst of the plays."""
    if limit is ...:
        raise NotYet("write your time limit in seconds instead of the dots.")
    seconds = math.inf if limit is None else a_number(limit)
    if seconds <= 0:
        raise NotYet(f"a time limit of {limit!r} s: nothing is ever done in time.")
    a_function(wait)
    with Answer(_play, seconds, wait, seconds=PATIENCE, learner=wait, name="my_wait") as run:
        plays = run.result()
    if isinstance(plays, str):
        raise NotYet(plays)
    record = SiteRecord()
    for came, requests, end, (picture, error), met, held, busiest in plays:
        _nothing_held(record, came, held)
        _requests(requests, busiest)
        _nothing_lost(record, came, met)
        if end >= SECONDS:
            raise NotYet(
                f"{len(came)} of {record.pictures - 1} pictures came, with {requests} requests, after {end:.0f} s, and "
                f"{SECONDS} s are asked for. The last to be done with was picture {picture} ({error or 'it came'}). "
                "What takes long: the time limit, the longest waits, or what can't come?"
            )
    most, last = max(play[1] for play in plays), max(play[2] for play in plays)
    there = record.pictures - 1
    return f"{there} of {there} pictures that are there, {most} requests at most, after {last:.0f} s, in {PLAYS} plays."


def _nothing_held(record: SiteRecord, came: list[int], held: int) -> None:
    if held:
        raise NotYet(
            f"{held} of {WORKERS} workers wait for ever for an answer that never comes, and {len(came)} of "
            f"{record.pictures - 1} pictures came. Without a time limit a try that hangs holds its worker."
        )


def _requests(requests: int, busiest: int) -> None:
    if requests >= REQUESTS:
        many = f"{MOST} requests, and no end" if requests >= MOST else f"{requests} requests"
        raise NotYet(
            f"{many}: fewer than {REQUESTS} are asked for. In its busiest second the site got {busiest}. Does the wait "
            "grow from try to try, do those who were refused together come back together, and is a picture that is "
            "gone (404) asked for again?"
        )


def _nothing_lost(record: SiteRecord, came: list[int], met: list[list[Any]]) -> None:
    lost = [how for how in met if how[0] != record.gone]
    if not lost:
        return
    picture, tries, error = max(lost, key=lambda how: how[0] in record.slow and how[2] == "timeout")
    why = f"its last error was {error!r}, after {tries} tries"
    if error == "timeout" and picture in record.slow:
        why = f"each of its {tries} tries was ended by the time limit, and it is only slow: {record.slow[picture]:g} s"
    raise NotYet(f"{len(came)} of {record.pictures - 1} pictures came. Picture {picture} was given up: {why}.")
