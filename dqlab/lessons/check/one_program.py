"""Lesson 08: the same program on three engines, of which it is told the address only.

What it is given to run says where it runs, so that a program which uses another engine than it should is found out.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

import dqlab
from dqlab.lessons.check.answer import Answer
from dqlab.lessons.check.verdict import NotYet, a_function, checker

__all__ = ["same_program", "whose"]

#: the engines, by what is said of them
ENGINES = {"processes": "processes:2", "dqlab": "dqlab://local?n=2", "Dask": "dask://local?n=2"}
#: what the program is to work on
ITEMS = [f"{number}.png" for number in range(8)]
#: seconds that it may take on one of them, the start of the engine included
SECONDS = 40.0


@checker
def same_program(answer: Callable[..., Any]) -> str:
    """Run `answer(address, work, items)` on three engines, and look at what it returns and where `work` ran."""
    program = a_function(answer)
    for engine, address in ENGINES.items():
        look(engine, address, program)
    return f"the same {len(ITEMS)} pictures from {', '.join(ENGINES)}, and only the address was different."


def look(engine: str, address: str, program: Callable[..., Any]) -> None:
    """Raise `NotYet` unless `program` does on one engine what it should."""
    name = f"with {address!r} your program"
    with Answer(called, program, address, seconds=SECONDS, learner=program, name=name) as run:
        found = run.result()
    if not isinstance(found, dict):
        raise NotYet(f"{name} returned {found:.60}, and not a dictionary {{item: work(item)}}.")
    if missing := [item for item in ITEMS if item not in found]:
        raise NotYet(
            f"{name} returned {len(found)} of {len(ITEMS)} results; {missing[0]} is missing. What a task changes, it "
            "changes in its own process: only what it returns comes back."
        )
    for item, value in found.items():
        picture, _, place = str(value).partition(" by ")
        if item not in ITEMS or picture != f"painted {item}":
            raise NotYet(f"{name} returned {value!r} for {item!r}, and that isn't work({item!r}).")
        if place != engine:
            raise NotYet(f"{name} had its work done by {place}. Does it use the address that it is given?")


def called(program: Callable[..., Any], address: str) -> Any:
    """What the program returns; runs in the answer's process."""
    found = program(address, work, list(ITEMS))
    return {str(item): value for item, value in found.items()} if isinstance(found, dict) else repr(found)


def work(item: str) -> str:
    """Paint a picture, and say whose process did."""
    return f"painted {item} by {whose()}"


def whose() -> str:
    """Whose process this is: a worker's of dqlab or of Dask, one of a pool, or your own."""
    if dqlab.current():
        return "dqlab"
    if "distributed.worker" in sys.modules:
        with contextlib.suppress(ValueError):
            sys.modules["distributed"].get_worker()
            return "Dask"
    return "processes" if multiprocessing.parent_process() else "your own process"
