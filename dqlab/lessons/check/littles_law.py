"""Lesson 03: how many workers a wanted rate needs, by Little's law and by running so many."""

from __future__ import annotations

import time
from typing import Any

import dqlab
from dqlab.lessons.check.verdict import NotYet, a_number, checker

__all__ = ["workers_needed"]

#: pictures a second that are asked for, and seconds that one takes
WANTED, SECONDS_EACH = 60, 0.2
#: what the law says
NEEDED = round(WANTED * SECONDS_EACH)
#: the share of the law's rate that a machine reaches which has nothing else to do
REACHED = 0.75


@checker
def workers_needed(answer: Any) -> str:
    """Compare `answer` with Little's law, then run so many workers and measure."""
    workers = a_number(answer)
    if abs(workers - round(workers)) > 1e-6 or workers < 1:
        raise NotYet(f"your answer is {answer!r}; a number of workers is a whole number from 1.")
    workers = round(workers)
    most = workers / SECONDS_EACH
    each = f"one worker does {1 / SECONDS_EACH:g} pictures/s, as each takes {SECONDS_EACH * 1000:g} ms"
    if workers < NEEDED:
        do = "1 worker does" if workers == 1 else f"{workers} workers do"
        raise NotYet(f"{do} at most {most:g} pictures/s, and {WANTED} are wanted ({each}).")
    if workers > NEEDED:
        raise NotYet(
            f"{workers} workers could do {most:g} pictures/s, and {WANTED} are wanted ({each}). The question is how "
            "many it takes at least: would one fewer do?"
        )
    rate = measured(workers)
    law = f"{workers} workers / {SECONDS_EACH:g} s = {most:g} pictures/s by the law"
    if rate < REACHED * WANTED:
        return f"{law}; measured {rate:.0f} pictures/s, as this machine is busy with something else."
    return f"{law}; measured {rate:.0f} pictures/s."


def measured(workers: int) -> float:
    """Pictures a second of so many workers, each taking `SECONDS_EACH`."""
    with dqlab.Master() as master, dqlab.LocalWorkers(master, workers) as started:
        started.wait(timeout=60)
        list(master.map(time.sleep, [0.01] * 4 * workers, timeout=60))  # everybody has begun
        began = time.monotonic()
        list(master.map(time.sleep, [SECONDS_EACH] * 10 * workers, timeout=60))
        return 10 * workers / (time.monotonic() - began)
