"""Lesson 07: what the checker says to a dozen pairs of limits, and what the recorded site makes of them."""

import fractions
import json
from pathlib import Path
from typing import Any

import numpy
import pytest

from dqlab.lessons import check
from dqlab.lessons.check import site_limits
from dqlab.lessons.check.site_limits import RecordedSite, replay
from tests.lessons.answers import ROOT, learner, rows, solution, verdict

RECORD = ROOT / "notebooks" / "data" / "site.jsonl"
SOLUTION = learner(solution("07_polite_crawl"))["my_limits"]
FELL = "the site fell over, wants to be left alone for 600 s, and was given up. With how many requests in a second"


def limits(delay: Any, per_host: Any = 1) -> dict[str, Any]:
    return {"per_host": per_host, "delay": delay}


TABLE: dict[str, tuple[Any, str]] = {
    "blank": (limits(..., ...), "Not yet: write your limits instead of the dots."),
    "as the crawl begins": (
        limits(0, None),
        f"Not yet: with per_host=None and delay=0, 288 of 300 pictures are lost: {FELL}",
    ),
    "one at a time": (
        limits(0),
        "Not yet: with per_host=1 and delay=0, 48 of 348 requests were refused, and 3 may be. From how many requests "
        "in a second on does the record refuse? How far apart must they be?",
    ),
    "very careful": (
        limits(1),
        "Not yet: with per_host=1 and delay=1, hardly anybody was refused, but it took 299.0 s, and 40 may pass. How "
        "far apart may 300 requests be?",
    ),
    "solution": (
        SOLUTION,
        "Yes: with per_host=1 and delay=0.09, 300 pictures in 27 s: 0 requests refused, none lost.",
    ),
    "two numbers": ((1, 0.09), "Not yet: your answer is (1, 0.09); it should be a dictionary with per_host and delay."),
    "half blank": (limits(0.09, ...), "write your limits instead of the dots."),
    "another limit": ({"delay": 0.09}, "it should be a dictionary with per_host and delay."),
    "sixteen": (limits(0, 16), f"288 of 300 pictures are lost: {FELL}"),
    "a little too near": (limits(0.08), "24 of 324 requests were refused"),
    "a little too far": (limits(0.134), "it took 40.1 s, and 40 may pass"),
    "half a request": (limits(0.09, 1.5), "per_host=1.5: requests at a time are a whole number, or None."),
    "nobody": (limits(0.09, 0), "Not yet: per_host=0 makes no sense: take 1 or more."),
    "back in time": (limits(-1), "Not yet: delay=-1: seconds from one request to the next are 0 or more."),
    "never": (limits(float("inf")), "your answer is inf, and that is no number."),
    "in letters": (limits("slowly"), "your answer is 'slowly', and that is no number."),
    "the very least": (limits(1 / 12 + 0.0001, None), "Yes: with per_host=None and delay=0.0834333, 300 pictures"),
    "a string and numpy's": (limits("0.1", numpy.int64(4)), "Yes: with per_host=4 and delay=0.1, 300 pictures in 30"),
    "a fraction": (limits(fractions.Fraction(1, 8), 1.0), "Yes: with per_host=1 and delay=0.125, 300 pictures in 37"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "says"), rows(TABLE))
def test_answers_to_07(answer: Any, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in verdict(check.limits_for_a_site, answer, RECORD, capsys=capsys)


def test_a_record_that_is_gone_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = verdict(check.limits_for_a_site, SOLUTION, tmp_path / "site.jsonl", capsys=capsys)
    assert said.startswith("Not yet: the record site.jsonl is missing in ")


def test_the_record_is_the_one_that_is_made(tmp_path: Path) -> None:
    site_limits.make(tmp_path / "site.jsonl")
    assert (tmp_path / "site.jsonl").read_text() == RECORD.read_text()


@pytest.mark.parametrize(("per_host", "delay"), [(None, 0.0), (1, 0.0), (64, 0.0), (2, 0.05)])
def test_each_picture_is_brought_or_lost(per_host: int | None, delay: float) -> None:
    run = replay(RecordedSite(map(json.loads, RECORD.read_text().splitlines())), per_host, delay)
    assert run.requests - run.refused + run.lost == site_limits.PICTURES
