"""Lesson 06: what the checker says to a dozen jobs that are killed; each is killed twice, for real."""

from typing import Any

import pytest

from dqlab.lessons import check
from dqlab.lessons.check import resumed_job
from tests.lessons.answers import learner, rows, solution, verdict

RIGHT = solution("06_journal")
HEAD = "def resume(urls, folder):\n    from pathlib import Path\n    from dqlab import LocalWorkers, Master, connect\n"
OPEN = '    with Master(journal=f"{folder}/jobs.db") as master, LocalWorkers(master, 2):\n'
WAIT = "        for task in master.unfinished(): master.future(task['task']).result()\n"
REST = (
    "        missing = [url for url in urls if not Path(folder, f'{url}.png').exists()]\n"
    "        for future in [master.submit(fetch, url, folder) for url in missing]: future.result()\n"
)
GIVEN = HEAD + OPEN + "        for future in [master.submit(fetch, url, folder) for url in urls]: future.result()\n"

TABLE = {
    "given": (GIVEN, "Not yet: what was done was fetched again. What waits in the journal comes by itself: who"),
    "solution": (RIGHT, "Yes: killed twice, all 10 pictures are there;"),
    "the folder first": (HEAD + OPEN + REST, "What waits in the journal comes by itself"),
    "raising": (HEAD + "    raise OSError('no')", "Not yet: resume raised OSError: no"),
    "nothing": (HEAD + "    return", "Not yet: resume has returned when 0 of 10 pictures were asked for."),
    "blank": ("resume = ...", "Not yet: write your resume(urls, folder)."),
    "no function": ("resume = 3", "Not yet: the answer should be a function, and it is 3."),
    "no journal": ((HEAD + OPEN + REST).replace('journal=f"{folder}/jobs.db"', ""), "Yes: killed twice"),
    "by map": (
        HEAD + OPEN + WAIT + "        missing = [u for u in urls if not Path(folder, f'{u}.png').exists()]\n"
        "        list(master.map(fetch, missing, [folder] * len(missing)))",
        "Yes: killed twice",
    ),
    "no master": (HEAD + "    for url in urls: fetch(url, folder)", "there is no master below your process."),
    "the journal only": (HEAD + OPEN + WAIT, "Not yet: resume has returned when 0 of 10 pictures were asked for."),
    "endless": (HEAD + "    while True: pass", "there were 0 fetches, and 3 are waited for. Is there a worker?"),
    "leaving": (HEAD + "    import os; os._exit(3)", "Not yet: resume ended its process (exit code 3)."),
    "a flood": (RIGHT.replace("    with", "    print('x' * 100_000)\n    with"), "Yes: killed twice"),
}  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("code", "says"), rows(TABLE))
def test_answers_to_06(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resumed_job, "PATIENCE", 4.0 if "3 are waited" in says else 60.0)
    answer: dict[str, Any] = learner("from dqlab.lessons.check.resumed_job import fetch\n" + code)
    assert says in verdict(check.resumed, answer["resume"], capsys=capsys)
