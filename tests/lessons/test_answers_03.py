"""Lesson 03: what the checker says to a dozen numbers of workers."""

import fractions
from typing import Any

import numpy
import pytest

from dqlab.lessons import check
from dqlab.lessons.check import littles_law
from tests.lessons.answers import learner, solution, verdict

SOLUTION = learner(solution("03_speedup"))["my_workers"]

TABLE: dict[str, tuple[Any, str]] = {
    "blank": (..., "Not yet: write your number of workers instead of the dots."),
    "none": (None, "Not yet: your answer is None, and that is no number."),
    "in letters": ("twelve", "Not yet: your answer is 'twelve', and that is no number."),
    "true": (True, "your answer is True, and that is no number."),
    "infinite": (float("inf"), "your answer is inf, and that is no number."),
    "of 3,000 digits": (10**3000, "your answer is 1000"),
    "of 5,000 digits": (10**5000, "your answer is an object of type int that Python can't write down (Exc"),
    "zero": (0, "your answer is 0; a number of workers is a whole number from 1."),
    "half a worker": (12.5, "your answer is 12.5; a number of workers is a whole number from 1."),
    "too few": (
        4,
        "Not yet: 4 workers do at most 20 pictures/s, and 60 are wanted (one worker does 5 pictures/s, as each takes "
        "200 ms).",
    ),
    "one": (1, "Not yet: 1 worker does at most 5 pictures/s, and 60 are wanted"),
    "one too few": (11, "11 workers do at most 55 pictures/s"),
    "one too many": (13, "The question is how many it takes at least: would one fewer do?"),
    "half as many again": (18, "Not yet: 18 workers could do 90 pictures/s"),
    "a million": (10**6, "would one fewer do?"),
    "as it is computed": (60 * 0.2, "Yes: 12 workers / 0.2 s = 60 pictures/s by the law; measured"),
    "numpy's": (numpy.int64(12), "Yes: 12 workers"),
    "a string": ("12", "Yes: 12 workers"),
    "a fraction": (fractions.Fraction(60, 5), "Yes: 12 workers"),
    "solution": (SOLUTION, "Yes: 12 workers / 0.2 s = 60 pictures/s by the law; measured"),
}


@pytest.mark.parametrize(("answer", "says"), TABLE.values(), ids=TABLE.keys())
def test_answers_to_03(answer: Any, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in verdict(check.workers_needed, answer, capsys=capsys)


def test_a_busy_machine_is_no_fault_of_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(littles_law, "measured", lambda workers: 20.0)
    said = verdict(check.workers_needed, 12, capsys=capsys)
    assert said.startswith("Yes: ") and said.endswith(
        "measured 20 pictures/s, as this machine is busy with something else."
    )
