"""How much one host bears: requests at a time, pauses it asked for, when it is given up. Pure: time is passed in.

          every second, while answers come            429, 503, silence
8 at a time ──────────────────────────> ... 64        ───────────────> half as many, after the pause asked for

several failures in a row ──> left alone for a while ──> one more try ──> given up
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dqlab.crawl.errand import Pressure
from dqlab.crawl.outcome import Outcome

__all__ = ["Host"]

#: requests at a time with which a host is begun, and at most
FIRST, MOST = 8.0, 64.0
#: seconds in which the number of requests at a time doubles while nothing speaks against it
DOUBLING = 1.0
#: once it was pressed, it gets so many requests at a time more each second
CAREFUL = 1.0
#: answers are slower if they take this many times as long as the first ones, and so many seconds more
SLOWER, SLACK = 2.0, 0.1
#: how much the newest answers count in the mean time of an answer
NEWEST = 0.2
#: seconds without a word about how long to wait, after the first and with each further refusal in a row; at most
PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: a host that wants to be left alone for longer (seconds) is given up: the same command brings the rest later
LONGEST_HOLD = 300.0
#: failures in a row after which a host is left alone, and for how many seconds
FAILURES, REST = 5, 10.0


@dataclass
class Host:
    """What is known of one host. `per_host`: requests at a time, if they are fixed; `delay`: seconds between two."""

    per_host: int | None = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        self.limit = float(self.per_host or FIRST)
        self.out = 0  # requests that may be under way
        self.answered = False  # whether anything is known of it
        self.timed = False  # whether it is known how long its answers take
        self.mean = self.quickest = 0.0  # seconds until an answer begins
        self.grown = self.pressed_at = self.rested_at = -math.inf
        self.careful = self.resting = False
        self.held_until, self.why = -math.inf, ""
        self.failures = self.pauses = 0  # in a row: requests, and those that were under way together
        self.given_up: str | None = None

    def free(self, now: float) -> int:
        """Return how many requests more may be under way at `now`."""
        if now < self.held_until or self.given_up:
            return 0
        if self.delay or not self.answered or self.resting:  # one after the other; a first one shows what it bears
            return 1 - min(self.out, 1)
        return max(0, int(self.limit) - self.out)

    @property
    def ready_at(self) -> float:
        """When it may be asked again without that anything comes back; infinite if that isn't so."""
        if self.out and (self.out >= int(self.limit) or self.delay or not self.answered or self.resting):
            return math.inf
        return self.held_until

    def begin(self, slots: int, now: float) -> None:
        """Note that `slots` requests at a time are under way from `now` on."""
        self.out += slots
        if self.delay:
            self.held_until, self.why = max(self.held_until, now + self.delay), "its delay"

    def end(self, slots: int) -> None:
        """Note that they aren't any more."""
        self.out -= slots

    def answer(self, outcome: Outcome, began: float, now: float) -> None:
        """Learn from an `outcome` of a request that was handed out at `began` and is back at `now`."""
        if outcome.pressure is not Pressure.NONE:
            self.press(outcome, began, now)
            return
        if outcome.alone:  # there was no time to see how it is
            return
        self.answered = True
        if outcome.again is None:
            self.failures = self.pauses = 0
            self.resting = False
        self.delay = max(self.delay, outcome.delay)
        if self.delay:
            self.held_until, self.why = max(self.held_until, now - outcome.seconds + self.delay), "its delay"
        if outcome.latency is not None and outcome.again is None:
            self.time(outcome.latency)
            self.grow(now)

    def time(self, latency: float) -> None:
        """Note how long an answer took to begin."""
        if self.timed:
            self.mean += NEWEST * (latency - self.mean)
            self.quickest = min(self.quickest, self.mean)
        else:
            self.timed, self.mean, self.quickest = True, latency, latency

    def grow(self, now: float) -> None:
        """Allow more requests at a time, if the answers don't become slower."""
        since = min(now - self.grown, DOUBLING) if math.isfinite(self.grown) else 0.0
        self.grown = now
        slower = self.mean > SLOWER * self.quickest + SLACK
        if self.per_host is None and not slower and self.out >= int(self.limit) // 2:
            more = self.limit + CAREFUL * since if self.careful else self.limit * 2 ** (since / DOUBLING)
            self.limit = min(more, MOST)

    def press(self, outcome: Outcome, began: float, now: float) -> None:
        """Take back: half as many at a time, once for all that were under way together, after the pause asked for."""
        self.failures += 1
        self.grown = now
        words = outcome.again or ""
        if began >= self.pressed_at:
            self.pressed_at = now
            self.pauses += 1
            self.careful = True
            if self.per_host is None:
                self.limit = max(1.0, self.limit / 2)
        pause = outcome.wait if outcome.wait is not None else min(PAUSE * 2 ** (self.pauses - 1), LONGEST_PAUSE)
        self.hold(now + pause, words)
        if pause > LONGEST_HOLD:
            self.given_up = f"{words}; it asks to be left alone for {pause:.0f} s, the same command goes on then"
        elif self.resting and began >= self.rested_at:
            self.given_up = f"{words}; so its host was given up"
        elif self.failures >= FAILURES and not self.resting:
            self.resting, self.rested_at = True, now
            self.hold(now + REST, words)

    def hold(self, until: float, why: str) -> None:
        """Hand out nothing `until` then."""
        if until > self.held_until:
            self.held_until, self.why = until, why
