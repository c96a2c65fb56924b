"""Lesson 10: what the checker says to a dozen ways to try again; the record is played in virtual time."""

from typing import Any

import pytest

from dqlab.lessons import check
from dqlab.lessons.check import site_record
from dqlab.lessons.check.site_record import SiteRecord, play
from tests.lessons.answers import learner, rows, solution, verdict

RIGHT = solution("10_time")
GIVEN = "my_limit = 4\ndef my_wait(tries, error): return 0"
TOO_MANY = "fewer than 150 are asked for."


def wait(code: str, limit: object = 4) -> str:
    """An answer: its limit, and the wait after a try that may still be made good."""
    head = f"my_limit = {limit}\ndef my_wait(tries, error):\n    if error == '404' or tries > 8: return None"
    return f"{head}\n    {code}"


GROWING = "return 0.5 * 2**tries * random.uniform(0.5, 1.5)"

TABLE = {
    "blank": ("my_limit = ...\ndef my_wait(tries, error): return 0", "Not yet: write your time limit in seconds"),
    "at once": (GIVEN, f"Not yet: 5000 requests, and no end: {TOO_MANY} In its busiest second the site got"),
    "without jitter": (wait("return 0.5 * 2**tries"), f"Not yet: 165 requests: {TOO_MANY}"),
    "too short a limit": (
        wait(GROWING, 2).replace("> 8", "> 3"),
        "was given up: each of its 4 tries was ended by the time limit, and it is only slow: 2.4 s.",
    ),
    "endless": (wait("while True: pass"), "Not yet: my_wait still ran after 2 s."),
    "solution": (RIGHT, "Yes: 39 of 39 pictures that are there, 139 requests at most, after 27 s, in 5 plays."),
    "no limit": (wait(GROWING, None), "Not yet: 4 of 4 workers wait for ever for an answer that never comes, and 8 of"),
    "too long a limit": (wait(GROWING, 30), "after 63 s, and 60 s are asked for. The last to be done with was picture"),
    "too few tries": (
        wait(GROWING).replace("> 8", "> 2"), "of 39 pictures came. Picture 3 was given up: its last error was '503',",
    ),
    "what is gone is asked for": (
        wait(GROWING).replace("error == '404' or ", ""), "The last to be done with was picture 20 (404). What",
    ),
    "nothing is tried again": ("my_limit = 4\ndef my_wait(tries, error): return None", "was given up: its last error"),
    "a limit that is none": (wait(GROWING, "'four'"), "Not yet: your answer is 'four', and that is no number."),
    "a limit of nothing": (wait(GROWING, 0), "Not yet: a time limit of 0 s: nothing is ever done in time."),
    "no function": ("my_limit = 4\nmy_wait = 2", "Not yet: the answer should be a function, and it is 2."),
    "raising": (wait("return tries / 0"), "Not yet: my_wait raised ZeroDivisionError: division by zero"),
    "leaving": (wait("sys.exit(2)"), "Not yet: my_wait raised SystemExit: 2"),
    "ending its process": (wait("os._exit(3)"), "Not yet: my_wait ended its process (exit code 3)."),
    "text": (wait("return 'soon'"), "Not yet: my_wait(1, '503') returned 'soon'; it should be seconds, or None."),
    "whether": (wait("return True"), "Not yet: my_wait(1, '503') returned True; it should be seconds, or None."),
    "for ever": (wait("return float('inf')"), "Not yet: my_wait(1, '503') returned inf; it should be"),
    "for a week": (wait("return 6e5"), "8 of 39 pictures came, with 40 requests, after 600001 s, and 60 s are"),
    "404 as a number": (
        "my_limit = 4\ndef my_wait(tries, error): return None if error == 404 else 2**tries * random.uniform(0.5, 1.5)",
        "The last to be done with was picture 20 (404). What takes long",
    ),
    "digits": (wait("return '5'"), "Yes: 39 of 39"),
    "forking": (wait("os.fork() or time.sleep(77); return 5"), "Yes: 39 of 39"),
    "a flood": (wait("print('x' * 1000); return 5"), "Yes: 39 of 39 pictures that are there, 99 requests at most"),
    "a patient constant": (wait("return 5", "'6'"), "Yes: 39 of 39"),
    "by the kind of error": (wait("return 1 if error == 'timeout' else random.uniform(5, 15)"), "Yes: 39 of 39"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "says"), rows(TABLE))
def test_answers_to_10(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site_record, "PATIENCE", 2.0 if "2 s." in says and "still" in says else 20.0)
    answer: dict[str, Any] = learner("import random\n" + code)
    assert says in verdict(check.recorded_site, answer["my_limit"], answer["my_wait"], capsys=capsys)


def test_a_healthy_record_needs_a_request_for_each_picture() -> None:
    healthy = SiteRecord(slow={}, hang=frozenset(), gone=-1, sick=(0.0, 0.0), bears=(99, 99))
    told = play(healthy, 4.0, lambda tries, error: None)
    assert len(told.came) == len(told.requests) == 40 and told.end == pytest.approx(10 * 0.3)
