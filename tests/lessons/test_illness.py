"""Lesson 05's exercise: the records are what they are said to be, and each wrong answer is told why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dqlab.lessons.illness import ILLNESSES, diagnosis_of, symptoms

DATA = Path(__file__).parents[2] / "notebooks" / "data"
RUNS = {name: DATA / f"{name}.jsonl" for name in ("run_a", "run_b", "run_c")}
RIGHT = {"run_a": "poison task", "run_b": "starved", "run_c": "broken site"}


@pytest.mark.parametrize("run", RUNS)
def test_each_run_has_one_illness(run: str) -> None:
    seen = symptoms(RUNS[run])
    assert [name for name, (_, is_there, _) in ILLNESSES.items() if is_there(seen)] == [RIGHT[run]]


@pytest.mark.parametrize("run", RUNS)
def test_the_records_hold_nothing_of_the_machine_that_made_them(run: str) -> None:
    text = RUNS[run].read_text()
    assert len(text) < 100_000
    assert "/home" not in text and "/tmp" not in text and str(Path.home()) not in text


def test_the_right_diagnosis_is_praised(capsys: pytest.CaptureFixture[str]) -> None:
    diagnosis_of(RUNS, RIGHT)
    assert capsys.readouterr().out.startswith("Yes: run_a is a case of 'poison task'")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"run_a": ..., "run_b": ..., "run_c": ...}, "run_a has no diagnosis yet"),
        ({}, "run_a has no diagnosis yet"),
        (None, "diagnosis is None"),
        ({**RIGHT, "run_b": "the flu"}, "run_b: 'the flu' is none of"),
        ({**RIGHT, "run_b": ["starved"]}, "is none of"),
        ({**RIGHT, "run_a": "dead machine"}, "0 workers died"),
        ({**RIGHT, "run_a": "starved"}, "the workers were busy"),
        ({**RIGHT, "run_b": "flooded"}, "at most"),
        ({**RIGHT, "run_c": "poison task"}, "0 attempts were lost"),
    ],
)
def test_a_wrong_or_empty_answer_is_told_why(answer: Any, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    diagnosis_of(RUNS, answer)
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("Not yet: ") and says in told
