"""The lessons: what each must have, and what their checkers say to wrong, slow, crashing, empty and right answers."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from dqlab.errors import DqlabError
from dqlab.lessons import process_group, processes
from dqlab.lessons.check.verdict import COLUMNS
from dqlab.lessons.guess import compare
from dqlab.lessons.scripts import Script, who_says
from tests.helpers import eventually

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("[01]*.ipynb"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: lessons that are stopped half-way, run again and killed in the long run only
LATER = ("01_master", "02_workers")

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
    minutes = re.search(r"(\d+) minutes", text)
    turns = len(re.findall(r"\*\*(?:Your turn|Mend it)\*\* \(", text))
    assert minutes and turns and int(minutes[1]) / (turns + 1) < 13, "there is something to do every ten minutes"
    for part in ("You will be able to", "```mermaid", "**Predict.**", "What you saw", "## Exercise", "<details>",
                 "Where the code lives"):  # fmt: skip
        assert part in text, part
    saw = text.partition("What you saw")[2].partition("## ")[0]
    assert len(re.findall(r"^- ", saw, re.MULTILINE)) == 3
    assert "my_guess" in "".join(map(source, cells(lesson, "code"))), "a prediction stands beside a measurement"
    assert not re.search(r"\bsimply\b", text, re.IGNORECASE)


@pytest.mark.parametrize("lesson", LESSONS, ids=named)
def test_a_slide_with_a_question_has_no_answer(lesson: Path) -> None:
    asked = 0
    for cell in cells(lesson, "code"):
        slide = cell["metadata"].get("slideshow", {}).get("slide_type")
        if cell["metadata"].get("jupyter", {}).get("outputs_hidden"):
            assert not asked or slide == "subslide", source(cell)
            asked = 0
        elif source(cell).startswith("my_guess"):
            assert slide is None, "it stands on its question's slide"
            asked += 1


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
    assert COLUMNS <= WIDTH, "a checker's words would be cut in two"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=named)
def test_links_lead_somewhere(notebook: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", prose(notebook))
    assert targets
    for target in targets:
        assert target.startswith("http") or (notebook.parent / target).exists(), target


def test_the_course_names_every_lesson() -> None:
    text = prose(ROOT / "notebooks" / "index.ipynb")
    assert all(f"({lesson.name})" in text for lesson in LESSONS)


def test_each_lesson_leads_to_the_next_one() -> None:
    for lesson, following in zip(LESSONS, [*LESSONS[1:], None], strict=True):
        end = source(cells(lesson, "markdown")[-1]).splitlines()[-1]
        if following is None:
            assert end.endswith("Back to the [index](index.ipynb)")
        else:
            title = source(cells(following, "markdown")[0]).splitlines()[0].removeprefix("# ")
            assert end == f"All words so far: [glossary](glossary.md). Next: [{title}]({following.name})", lesson.name


def test_index_and_instructor_have_the_minutes_of_each_lesson() -> None:
    index = prose(ROOT / "notebooks" / "index.ipynb")
    instructor = (ROOT / "notebooks" / "instructor.md").read_text("utf8")
    for lesson in LESSONS:
        title, _, rest = prose(lesson)[2:].partition("\n")
        found = re.search(r"(\d+) minutes, and (\d+) for the exercise", rest)
        assert found is not None, lesson.name
        question = title.partition(" · ")[2]
        helps = re.search(rf"\({lesson.name}\) \| .*? \| .*? \| (.*?) \|", index)
        needed = re.search(r"·.*?lessons? (.*?) helps?|no earlier lesson", rest)
        assert helps and needed, lesson.name
        assert re.findall(r"\d\d", needed[0]) == re.findall(r"\d\d", helps[1]), lesson.name
        assert f"({lesson.name}) | {question} | {found[1]} + {found[2]} |" in index, lesson.name
        assert f"## {title} ({found[1]} minutes, exercise {found[2]})" in instructor, lesson.name


def test_the_glossary_is_in_order_and_knows_every_lesson() -> None:
    lines = re.findall(
        r"^\| (.*?) \| .* \[\d\d\]\((.*?)\) \|$", (ROOT / "notebooks" / "glossary.md").read_text("utf8"), re.M
    )
    words = [word.lower() for word, _ in lines]
    assert words == sorted(words) and len(set(words)) == len(words)
    assert {lesson for _, lesson in lines} == {lesson.name for lesson in LESSONS}


# -- guesses -----------------------------------------------------------------------------------------------------------


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


def test_what_has_left_a_scripts_group_ends_with_it_too(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys\ncommand = [sys.executable, '-c', 'import time; time.sleep(77)']\n"
        "print(subprocess.Popen(command, start_new_session=True).pid, subprocess.Popen(command).pid)\n"
    )
    with Script(tmp_path / "parent.py") as parent:
        assert parent.wait(20) and parent.exit_code == 0
        pids = [int(word) for word in parent.lines[0].split()]
    eventually(lambda: not any(map(psutil.pid_exists, pids)), 10, "both have ended")


def test_what_a_script_says_of_its_error_has_no_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a notebook's kernel does
    (tmp_path / "wrong.py").write_text("import queue\nraise queue.Empty\n")
    with Script(tmp_path / "wrong.py") as wrong:
        assert wrong.wait(20) and wrong.error == "_queue.Empty"
        assert "raise queue.Empty\n" in wrong.traceback


def test_a_flood_is_heard_to_its_end_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "flood.py").write_text("print('x' * 10_000_000)\nfor i in range(100_000): print(i)\n")
    with Script(tmp_path / "flood.py") as flood:
        assert flood.wait(30)
    assert len(flood.lines) == process_group.LINES and max(map(len, flood.lines)) == process_group.LINE


def test_what_is_frozen_ends_with_a_killed_notebook(tmp_path: Path) -> None:
    (tmp_path / "notebook.py").write_text(
        "import os, psutil, subprocess, sys\nfrom dqlab.lessons.processes import freeze\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(77)'], stdout=subprocess.DEVNULL)\n"
        "freeze(child.pid)\nprint(*(each.pid for each in psutil.Process().children()), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "notebook.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    (frozen,) = map(int, done.stdout.split())  # and no zombie of the guard's
    eventually(lambda: not psutil.pid_exists(frozen), 10, "the guard has ended what was frozen")


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


@pytest.mark.timeout(240)
@pytest.mark.parametrize("lesson", ["00_two_scripts", *(pytest.param(n, marks=pytest.mark.long) for n in LATER)])
def test_a_lesson_is_stopped_run_again_and_its_kernel_killed(lesson: str) -> None:
    # A process of its own: Jupyter's client leaves sockets and an event loop to the end of the interpreter.
    command = [sys.executable, "-m", "tests.lessons.rerun", str(ROOT / "notebooks" / f"{lesson}.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220)
    assert (done.returncode, done.stdout) == (0, "stopped, run again, killed\n"), done.stdout + done.stderr
    # Then its workers are gone as well: see the fixture `own_folders`.


@pytest.mark.timeout(120)
def test_a_frozen_worker_makes_no_stop_button_wait_and_ends_with_its_kernel() -> None:
    command = [sys.executable, "-m", "tests.lessons.frozen", str(ROOT / "notebooks" / "02_workers.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stdout) == (0, "stopped while frozen, killed while frozen\n"), (
        done.stdout + done.stderr
    )
