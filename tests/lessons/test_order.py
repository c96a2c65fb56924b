"""The lessons' cells twice, and in three shuffled orders; and why that works: no name has two makers."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from dqlab.lessons.cells import made_in, maker, needed_by

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("[01]*.ipynb"))


def code(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text("utf8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_name_that_another_cell_uses_is_made_in_one_cell(lesson: Path) -> None:
    makers = defaultdict(list)
    for number, cell in enumerate(code(lesson), 1):
        for name in made_in(cell):
            makers[name].append(number)
    needed = {name for cell in code(lesson) for name in needed_by(cell)}
    assert {name: makers[name] for name in needed if len(makers[name]) != 1} == {}


def test_what_a_cell_makes_and_needs() -> None:
    cell = "import os\nx = y\ndef f(a):\n    b = a\n    return b, z, len(a)\n!ls\nfor i in x: pass"
    assert made_in(cell) == {"os", "x", "f", "i"} and needed_by(cell) == {"y", "z"}
    assert made_in("%%writefile a.py\nx = 1") == set() == needed_by("def half(")


def test_whoever_skips_a_cell_is_told_which(tmp_path: Path) -> None:
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["# Title\n", "text\n", "## A second worker"]},
            {"cell_type": "code", "source": ["my_guess = ...  # think first"]},
            {"cell_type": "code", "source": ["compare(my_guess, 3)"]},
            {"cell_type": "code", "source": [unpickled := "raise NameError(\"name 'my_guess' is not defined\")"]},
        ]
    }
    (tmp_path / "lesson.ipynb").write_text(json.dumps(notebook))
    for name, text in {"a_half.ipynb": '{"cells": [{"cell_ty', "a_list.ipynb": "[]", "empty.ipynb": ""}.items():
        (tmp_path / name).write_text(text)
    cell = "compare(my_guess, 3)"
    assert maker("my_guess", cell, tmp_path) == ("my_guess = ...  # think first", "A second worker")
    assert maker("nothing", cell, tmp_path) == ("", "") == maker("my_guess", "another notebook's", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "--simple-prompt"], cwd=tmp_path, capture_output=True,
        input=f"from dqlab.lessons import compare\n{cell}\n{unpickled}\n", text=True, timeout=60,
        env=os.environ | {"IPYTHONDIR": str(tmp_path / "ipython")},
    )  # fmt: skip
    words = 'NameError: my_guess is not there yet. First run this cell, under "A second worker":\n\n    my_guess = ...'
    assert (done.stdout + done.stderr).count(words) == 2


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["twice", "1", "2", "3"])
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_cells_may_run_twice_and_out_of_order(lesson: Path, how: str) -> None:
    command = [sys.executable, "-m", "tests.lessons.out_of_order", str(lesson), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=880)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
