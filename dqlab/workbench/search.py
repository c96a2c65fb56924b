"""The search for the smallest story, in the process of the learner's broker: hypothesis finds one and shrinks it."""

from __future__ import annotations

import contextlib
import io
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

from dqlab.workbench.levels import LEVELS
from dqlab.workbench.lives import Lives
from dqlab.workbench.story import Story
from dqlab.workbench.watch import Watch, forbid_leaving
from dqlab.workbench.world import SLOTS, Move, play

__all__ = ["SCHEDULES", "climb", "smallest"]

#: schedules that are tried on a level, and what part of them on those below, which it contains
SCHEDULES, BELOW = 300, 3
#: moves of a schedule, at least and at most; writes after which the master may die
MOVES, WRITES = (12, 20), 2
#: steps that a worker takes before and after the master's death, in a schedule that is looked for
STEPS = 2
#: a move that is none
REST = ("rest", 0)
#: calls that don't end, until no smaller story is looked for
ENDLESS = 3
#: characters that a broker prints in one story, of which the rest is dropped
PRINTED = 2_000


class Printed(io.StringIO):
    """What a broker prints, up to a bound."""

    def write(self, text: str) -> int:
        """Take in what there is room for."""
        room = PRINTED - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


def climb(pickled: bytes, level: int, tries: int = SCHEDULES) -> dict[str, Any] | None:
    """The smallest story in which a broker (a pickled class) fails, on the lowest level; None if on none of them."""
    forbid_leaving()
    watch = Watch()
    try:
        lives = Lives(pickle.loads(pickled), watch)
        for number in range(1, level + 1):
            here = tries if number == level else tries // BELOW
            if (story := smallest(lives, number, here, lambda: watch.ended > ENDLESS)) is not None:
                return story.as_dict()
    finally:
        watch.close()
    return None


def smallest(
    lives: Lives, level: int, tries: int = SCHEDULES, enough: Callable[[], bool] = lambda: False
) -> Story | None:
    """The smallest story on one level, if there is any in so many `tries`; `enough` ends the search early."""
    from hypothesis import HealthCheck, Phase, find, settings
    from hypothesis import strategies as some
    from hypothesis.errors import Flaky, NoSuchExample

    lists = some.lists(some.sampled_from(moves_up_to(level)), min_size=MOVES[0], max_size=MOVES[1])
    schedules = some.tuples(lists, some.integers(0, SLOTS - 1))
    how = settings(
        max_examples=tries, derandomize=True, database=None, deadline=None,
        suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip

    found: list[tuple[list[Move], int]] = []

    def fails(schedule: tuple[list[Move], int]) -> bool:
        if enough() or told(lives, level, *schedule) is None:
            return False
        found[:] = [min([schedule, *found], key=_moves)]
        return True

    with contextlib.suppress(NoSuchExample, Flaky):  # flaky is what fails no more, as it has been enough
        find(schedules, fails, settings=how)
    return shortened(lives, level, *found[0], enough) if found else None


def _moves(schedule: tuple[list[Move], int]) -> int:
    return sum(move != REST for move in schedule[0])


def shortened(lives: Lives, level: int, moves: list[Move], last: int, enough: Callable[[], bool]) -> Story | None:
    """The story of a schedule, or a shorter one of a schedule like it.

    Hypothesis finds the simplest schedule; in that, a simple move may bring about much.
    """
    moves = [move for move in moves if move != REST]
    best = told(lives, level, moves, last)
    while best is not None:
        for other in alike(moves, level):
            story = None if enough() else told(lives, level, other, last)
            if story is not None and (len(story), len(other)) < (len(best), len(moves)):
                best, moves = story, other
                break
        else:
            break
    return best


def alike(moves: list[Move], level: int) -> Iterator[list[Move]]:
    """Schedules with a move fewer, or with another, or a step and another, in its place; on the last level also those
    in which a worker steps, the master dies between two calls, and the worker goes on, instead of a move or two."""
    instead = [[], *([move] for move in moves_up_to(level)[1:])]
    instead += [[("step", place), *other] for place in range(SLOTS) for other in instead[1:]]
    for place in range(len(moves)):
        for others in instead:
            yield [*moves[:place], *others, *moves[place + 1 :]]
    if level == len(LEVELS):
        for number in (1, 2):
            for kept in combinations(moves, max(0, len(moves) - number)):
                for before, after in product(range(STEPS + 1), repeat=2):
                    yield [*kept, *[("step", 0)] * before, ("die", 0), *[("step", 0)] * after]


def told(lives: Lives, level: int, moves: list[Move], last: int) -> Story | None:
    """Play a schedule; the story has what the broker has printed."""
    random.seed(0)
    printed = Printed()
    with contextlib.redirect_stdout(printed):
        story = play(lives, level, moves, last)
    return replace(story, printed=printed.getvalue()) if story is not None else None


def moves_up_to(level: int) -> list[Move]:
    """Every move that may happen on a level, the simplest first."""
    numbers = {"step": SLOTS, "kill": SLOTS, "die": 1 + WRITES}
    kinds = [kind for known in LEVELS[:level] for kind in known.moves]
    return [REST] + [(kind, number) for kind in kinds for number in range(numbers.get(kind, 1))]
