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
    for diagnosis in (RIGHT, {"run_c": " BROKEN site", "run_a": "Poison task ", "run_b": "Starved"}):
        diagnosis_of(RUNS, diagnosis)
        said = " ".join(capsys.readouterr().out.split())
        assert said == (
            "Yes: run_a is a case of 'poison task', run_b is a case of 'starved', run_c is a case of 'broken site'."
        )


@pytest.mark.parametrize("runs", [{}, {"run_a": RUNS["run_a"]}])
def test_who_brings_fewer_records_has_not_diagnosed_them(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    diagnosis_of(runs, {name: RIGHT[name] for name in runs})
    assert f"Not yet: run_{'b' if runs else 'a'} has no diagnosis yet" in capsys.readouterr().out
    diagnosis_of(runs, RIGHT)
    assert f"Not yet: the record of run_{'b' if runs else 'a'} is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"run_a": ..., "run_b": ..., "run_c": ...}, "run_a has no diagnosis yet"),
        (
            {},
            "run_a has no diagnosis yet. Play it, then choose one of 'starved', 'flooded', 'poison task',",
        ),
        ({"run_a": "poison task"}, "run_b has no diagnosis yet"),
        ({**RIGHT, "run_c": ""}, "run_c: '' is none of"),
        ({**RIGHT, "run_d": "starved"}, "there is no patient 'run_d'; the three are run_a, run_b, run_c."),
        ("starved", "diagnosis is 'starved'; it should be a dictionary with run_a, run_b, run_c"),
        (["poison task", "starved", "broken site"], "it should be a dictionary"),
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
