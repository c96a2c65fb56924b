"""Brokers in earnest: served to real workers, which are killed, frozen and let go on; nothing of it is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dqlab.errors import BadInput
from dqlab.workbench import serve
from tests.helpers import eventually
from tests.workbench.brokers import CODE, RIGHT, made
from tests.workbench.faults import FAULTS

#: what `get` does first in the code
GET = "        if not self.ready:\n            return None\n"
BY_NAME = {fault.name: fault.code for fault in FAULTS}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if number else []) for number, name in enumerate(RIGHT)]
)
def test_a_right_broker(name: str) -> None:
    served = serve(made(RIGHT[name]), 6)
    assert served and repr(served).splitlines() == [
        "level 1, two workers share: 4 tasks, a result for each",
        "level 2, a worker is killed: task 5 was given to another worker, and its result is there",
        "level 3, a worker freezes: task 6 was given to another worker, and its result is there",
        "level 4, a frozen worker comes back: task 6 has one result, and two were brought",
        "level 5, a task ends its workers: poison 7 ended 3 workers, and is among the failed",
        "level 6, the master is killed: 4 tasks of before have their results, and what had been there is still there",
    ]


@pytest.mark.parametrize(
    ("code", "level", "says"),
    [
        (BY_NAME["results are kept twice"], 1, "level 1, two workers share: task 1 has 2 results"),
        (CODE.replace(GET, "        1 / 0\n"), 1, "your broker raised ZeroDivisionError: division by zero"),
        (CODE.replace(GET, "        import os; os._exit(3)\n"), 1, "the process of your broker ended"),
        (CODE.replace(GET, "        while True: pass\n"), 1, "the broker has not answered within 2 s"),
        pytest.param(
            BY_NAME["late results count"], 4, "level 4, a frozen worker comes back: task 6 has 2 results",
            marks=pytest.mark.long,
        ),
        pytest.param(BY_NAME["no end"], 5, "poison 7 was given to 4 workers", marks=pytest.mark.long),
        pytest.param(BY_NAME["results are not written"], 6, "been there before the master was", marks=pytest.mark.long),
    ],
    ids=["twice", "raising", "leaving", "endless", "late", "no end", "not written"],
)  # fmt: skip
def test_a_broken_broker(code: str, level: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dqlab.workbench.caller.PATIENCE", 2.0)
    served = serve(made(code), level)
    assert not served and says in repr(served)


def test_no_such_level() -> None:
    with pytest.raises(BadInput, match="there is no level 7"):
        serve(made(CODE), 7)


def at_least(number: int, processes: list[psutil.Process]) -> list[psutil.Process]:
    return processes if len(processes) >= number else []


def test_nothing_outlives_a_killed_notebook(tmp_path: Path) -> None:
    (tmp_path / "notebook.py").write_text(
        "from dqlab.workbench import serve\n"
        "class MyBroker:\n"
        "    def __init__(self, journal=()): self.results, self.failed = [], []\n"
        "    def put(self, task): print('put')\n"
        "    def get(self, worker, now): pass\n"
        "serve(MyBroker, 1)\n"
    )
    notebook = subprocess.Popen([sys.executable, "notebook.py"], cwd=tmp_path)
    try:
        below = eventually(lambda: at_least(3, psutil.Process(notebook.pid).children(True)), 20)
    finally:
        os.kill(notebook.pid, signal.SIGKILL)
        notebook.wait(10)
    eventually(lambda: not any(process.is_running() for process in below), 10, "the guard has ended all of them")
