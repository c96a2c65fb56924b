"""The search: two dozen broken brokers are found, each by a story as short as the one by hand; right ones pass."""

from collections.abc import Iterator

import pytest

from dqlab.workbench.lives import Lives
from dqlab.workbench.search import smallest
from dqlab.workbench.watch import Watch
from tests.workbench.brokers import RIGHT, made
from tests.workbench.faults import FAULTS, Fault

#: of the broken brokers, every which one is tried in each run; the others are `long`
EVERY = 3
#: schedules of a level on which nothing should be found
SOME, MANY = 60, 2_000


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=[] if number % EVERY == 0 else pytest.mark.long)
        for number, fault in enumerate(FAULTS)
    ],
)
def test_a_broken_broker_is_found_by_a_story_as_short_as_by_hand(fault: Fault, watch: Watch) -> None:
    story = smallest(Lives(made(fault.code), watch), fault.level)
    assert story is not None and story.sentence.endswith(fault.ending), story
    assert len(story) == fault.steps, story.sentence


@pytest.mark.parametrize("tries", [SOME, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("code", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_broker_passes_each_level(code: str, tries: int, watch: Watch) -> None:
    lives = Lives(made(code), watch)
    assert [smallest(lives, level, tries) for level in range(1, 7)] == [None] * 6


def test_the_same_search_finds_the_same_story(watch: Watch) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "the frozen one is killed")
    first, second = (smallest(Lives(made(fault.code), watch), fault.level) for _ in range(2))
    assert first == second is not None
