"""The lessons: what each must have, and what their checkers say to wrong, slow, crashing, empty and right answers."""

import ast
import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dqlab.errors import DqlabError
from dqlab.lessons import check, processes
from dqlab.lessons.guess import compare
from dqlab.lessons.scripts import Script, who_says
from tests.helpers import eventually

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("0*.ipynb"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: characters of a code line that JupyterLab shows without a scroll bar in a window of 1280 pixels, and lines of a cell
WIDTH, HEIGHT = 107, 30


def cells(notebook: Path, kind: str = "") -> list[dict[str, Any]]:
    return [c for c in json.loads(notebook.read_text("utf8"))["cells"] if kind in ("", c["cell_type"])]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def prose(notebook: Path) -> str:
    return "\n\n".join(source(cell) for cell in cells(notebook, "markdown"))


def outputs(notebook: Path) -> list[dict[str, Any]]:
    return [output for cell in cells(notebook, "code") for output in cell["outputs"]]


def named(path: Path) -> str:
    return path.stem


# -- what each lesson has ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", LESSONS, ids=named)
def test_a_lesson_has_its_parts(lesson: Path) -> None:
    text = prose(lesson)
    assert re.match(r"# \d\d · .*\?\n", text), "its title is a question"
    assert re.search(r"\d+ minutes", text)
    for part in ("You will be able to", "```mermaid", "**Predict.**", "What you saw", "## Exercise", "<details>",
                 "Where the code lives"):  # fmt: skip
        assert part in text, part
    saw = text.partition("What you saw")[2].partition("## ")[0]
    assert len(re.findall(r"^- ", saw, re.MULTILINE)) == 3
    assert "my_guess" in "".join(map(source, cells(lesson, "code"))), "a prediction stands beside a measurement"
    assert not re.search(r"\bsimply\b", text, re.IGNORECASE)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=named)
def test_a_notebook_is_committed_as_one_run_left_it(notebook: Path) -> None:
    code = cells(notebook, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert json.loads(notebook.read_text("utf8"))["metadata"]["kernelspec"]["name"] == "python3"
    for output in outputs(notebook):
        assert output["output_type"] != "error" and output.get("name") != "stderr", output
        assert not re.search(r"/(work|home|root|Users)/", json.dumps(output)), "a path of some machine"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=named)
def test_cells_need_no_scrolling(notebook: Path) -> None:
    for cell in cells(notebook, "code"):
        lines = source(cell).splitlines()
        assert len(lines) <= HEIGHT and max(map(len, lines)) <= WIDTH, source(cell)
    assert check.COLUMNS <= WIDTH, "a checker's words would be cut in two"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=named)
def test_links_lead_somewhere(notebook: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", prose(notebook))
    assert targets
    for target in targets:
        assert target.startswith("http") or (notebook.parent / target).exists(), target


def test_the_course_names_every_lesson() -> None:
    text = prose(ROOT / "notebooks" / "index.ipynb")
    assert all(f"({lesson.name})" in text for lesson in LESSONS)


# -- answers ----------------------------------------------------------------------------------------------------------


def solution(lesson: str) -> str:
    """The code that a lesson folds away."""
    (folded,) = re.findall(r"<details>.*?```python\n(.*?)```", prose(ROOT / "notebooks" / f"{lesson}.ipynb"), re.DOTALL)
    return folded


def learner(code: str) -> dict[str, Any]:
    """What a learner's cell defines: functions that no worker can import, as in a notebook."""
    namespace: dict[str, Any] = {"__name__": "a_notebook", "check": check}
    exec(compile(ast.parse("import os, time\n" + textwrap.dedent(code)), "a cell", "exec"), namespace)
    return namespace


def verdict(checker: Callable[..., None], *args: Any, capsys: pytest.CaptureFixture[str], **kwargs: Any) -> str:
    """What a checker prints, on one line."""
    checker(*args, **kwargs)
    return " ".join(capsys.readouterr().out.split())


WORKER = """
import queue, sys, time
from multiprocessing.managers import BaseManager
class QueueManager(BaseManager): pass
if __name__ == "__main__":
    QueueManager.register("get_task_queue")
    QueueManager.register("get_result_queue")
    manager = QueueManager(address=("127.0.0.1", int(sys.argv[1])), authkey=b"abc")
    manager.connect()
    task, result = manager.get_task_queue(), manager.get_result_queue()
"""
LOOP = """
    while True:
        try:
            url = task.get(timeout=4)
        except queue.Empty:
            break
        result.put(f"{url} ------> success")
"""


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("", "both workers ended, and 0 of 3 results"),
        ("import nothing_at_all", " crashed: ModuleNotFoundError: No module named 'nothing_at_all'"),
        (WORKER + "    while not task.empty():\n        result.put(task.get() + ' ------> success')", "a worker went"),
        (WORKER + "    time.sleep(60)", "after 2 s there are 0 of 3 results"),
        (WORKER + LOOP.replace("timeout=4", ""), "still runs 3 s after the last of them"),
        (WORKER + LOOP.replace("result.put", "for _ in 1, 2: result.put"), "url_0 has 2 results, and should have 1"),
        (WORKER + LOOP.replace("success", "done"), "one of yours reads 'url_"),
        (WORKER + LOOP.replace("result.put", "time.sleep(1); result.put"), "Yes: 6 of 6 urls"),
        (solution("00_two_scripts"), "Yes: 6 of 6 urls"),
    ],
    ids=["empty", "crashing", "early", "slow", "endless", "twice", "other words", "slow but right", "solution"],
)
def test_answers_to_00(
    script: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my_worker.py"
    path.write_text(script)
    right = says.startswith("Yes")
    monkeypatch.setattr(check, "LEAVE_PATIENCE", 15.0 if right else 3.0)
    patience = 20.0 if "after 2 s" not in says else 2.0
    assert says in verdict(check.worker_that_stays, str(path), patience=patience, capsys=capsys)


def test_no_answer_to_00(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no" in verdict(check.worker_that_stays, str(tmp_path / "my_worker.py"), capsys=capsys)


RAW = solution("01_master")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("do_one_task = ...\nmy_round_trips = 3", "should be a function, and it is Ellipsis"),
        (RAW.replace('"get"', "..."), "still has dots (...) in it"),
        (RAW.replace('"get"', '"take"'), "'take' may not be called on 'tasks'"),
        (RAW.replace("success", "well"), "and it holds 'url_7 ------> well'"),
        (RAW.replace("= 3", "= 2"), "with 3 round trips after the handshake; you said 2"),
        (RAW.replace("= 3", "= ..."), "you have not said how many"),
        ("def do_one_task(address, key): pass\nmy_round_trips = 3", "url_7 is still not done"),
        ("def do_one_task(address, key): 1 / 0\nmy_round_trips = 3", "it raised ZeroDivisionError"),
        ("def do_one_task(address, key): os._exit(1)\nmy_round_trips = 3", "the process in which it ran ended"),
        ("def do_one_task(address, key): time.sleep(99)\nmy_round_trips = 3", "it still ran after 2 s"),
        (RAW, "Yes: url_7 is done"),
    ],
    ids=[
        "empty", "dots", "wrong method", "wrong words", "miscounted", "uncounted", "nothing", "raising", "dying",
        "slow", "solution",
    ],
)  # fmt: skip
def test_answers_to_01(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "FUNCTION_PATIENCE", 2.0 if "2 s" in says else 15.0)
    cell = learner(code)
    assert says in verdict(check.raw_client, cell["do_one_task"], cell["my_round_trips"], capsys=capsys)


SAVE = solution("02_workers")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("save = ...", "should be a function, and it is Ellipsis"),
        ("def save(name, folder): pass", "there is no 0.png in the folder"),
        ("def save(name, folder): 1 / 0", "it raised ZeroDivisionError"),
        ("def save(name, folder): os._exit(3)", "the process in which it ran ended: worker died"),
        ("def save(name, folder): time.sleep(99)", "it still ran after 2 s"),
        (SAVE.replace(' + ".part"', ""), "half of it is there, under its real name"),
        (SAVE.replace('"wb"', '"ab"').replace("write(piece)", "write(piece); file.flush()"), "it is too long"),
        (SAVE.replace('".part"', "os.urandom(4).hex()"), "Let the temporary file's name come from the picture's"),
        (SAVE.replace("write(piece)", "write(piece[::-1])"), "not the right bytes"),
        (SAVE, "Yes: killed 6 times; 6 of 6 pictures"),
    ],
    ids=[
        "empty", "nothing", "raising", "dying", "slow", "in place", "appending", "random names", "wrong bytes",
        "solution",
    ],
)  # fmt: skip
def test_answers_to_02(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "SAVE_PATIENCE", 2.0 if "2 s" in says else 15.0)
    monkeypatch.setattr(check, "KILL_WITHIN", 0.06)
    if "too long" in says or "half" in says or "temporary" in says:
        monkeypatch.setattr(check.random, "uniform", lambda low, high: high / 2)  # a kill in the middle, for certain
    assert says in verdict(check.idempotent, learner(code)["save"], kills=6, capsys=capsys)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (..., "write your number"),
        ("twelve", "is no number of workers"),
        (0, "is no number of workers"),
        (4, "4 workers do at most 20 pictures/s"),
        (60, "many of them would idle"),
        ("solution", "Yes: 12 workers / 0.2 s = 60 pictures/s"),
    ],
)
def test_answers_to_03(
    answer: Any, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if answer == "solution":
        answer = learner(solution("03_speedup"))["my_workers"]
    monkeypatch.setattr(check, "REACHED", 0.5)  # the machine that tests may be busy with other tests
    assert says in verdict(check.workers_needed, answer, capsys=capsys)


def test_a_guess_stands_beside_what_was_seen(capsys: pytest.CaptureFixture[str]) -> None:
    compare(9, 10, "results")
    compare(..., 10, "results")
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["you", "said", "9", "results"] and said[1].split() == ["it", "was", "10", "results"]
    assert "nothing yet" in said[2]


# -- scripts that a lesson starts -------------------------------------------------------------------------------------


def test_scripts_end_with_their_block_and_with_a_killed_notebook(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("import time\nprint('here')\ntime.sleep(60)\n")
    with Script(tmp_path / "child.py") as child:
        assert who_says("here", child) is child and child.running
    assert not child.running

    (tmp_path / "notebook.py").write_text(
        "import os\nfrom pathlib import Path\nfrom dqlab.lessons.scripts import Script, enter_folder\n"
        "child = Script('child.py').wait_for('here')\nenter_folder()\n"
        "print(child._process.pid, os.getcwd())\nPath('more.txt').touch()\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "notebook.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    pid, folder = done.stdout.split()
    eventually(lambda: not psutil.pid_exists(int(pid)) and not Path(folder).exists(), 10, "the guard has done its work")


def test_where_no_groups_of_processes_are_what_a_script_has_started_ends_with_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taskkill").write_text(f"#!/bin/sh\necho $@ > {tmp_path}/asked\nkill -9 $4\n")
    (tmp_path / "taskkill").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delattr(os, "killpg")  # as on Windows
    (tmp_path / "child.py").write_text("import time\nprint('here')\ntime.sleep(60)\n")
    with Script(tmp_path / "child.py").wait_for("here") as child:
        pid = child._process.pid
    assert (tmp_path / "asked").read_text() == f"/F /T /PID {pid}\n" and not child.running


# -- what makes a lesson the same on every machine --------------------------------------------------------------------


def test_a_gate_is_passed_once_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gate = pickle.loads(pickle.dumps(processes.Gate()))
    with pytest.raises(DqlabError, match="after 0.05 s"):
        gate.wait(0.05)
    gate.open()
    gate.wait(0.05)
    with pytest.raises(DqlabError):
        processes.Gate().wait(0.05)


# -- stopped, run again, killed ---------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
@pytest.mark.parametrize("lesson", ["00_two_scripts", "02_workers"])
def test_a_lesson_is_stopped_run_again_and_its_kernel_killed(lesson: str) -> None:
    # A process of its own: Jupyter's client leaves sockets and an event loop to the end of the interpreter.
    command = [sys.executable, "-m", "tests.lessons.rerun", str(ROOT / "notebooks" / f"{lesson}.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220)
    assert (done.returncode, done.stdout) == (0, "stopped, run again, killed\n"), done.stdout + done.stderr
    # Then its workers are gone as well: see the fixture `own_folders`.
