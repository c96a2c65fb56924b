"""Lesson 04's exercise: its checker says what is wrong with an answer, whatever the answer is."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dqlab import Master, SSHWorkers
from dqlab.lessons.machines import average_there, lanes
from dqlab.sandbox.ssh import ssh_hosts
from tests.lessons.answers import rows

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_other_machines.ipynb"
IMAGES = {f"/{i}.png": b"." * (1000 * i) for i in range(1, 12)}


@pytest.fixture(scope="module")
def far() -> Iterator[Any]:
    """Submits to a machine that has the standard library and dqlab."""
    with ssh_hosts(1, packages=False) as hosts, Master() as master:
        SSHWorkers(master, hosts.names, ssh_config=hosts.config, install=True).wait()
        far = master.options(queue="far")
        assert far.submit(len, "it works").result(20) == 8
        yield far


@pytest.fixture
def verdict(
    far: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    Path("skip.txt").write_text("/1.png /2.png /3.png")

    def verdict(answer: Any, **options: Any) -> str:
        average_there(far, answer, IMAGES, **options)
        said = capsys.readouterr().out
        assert Path("skip.txt").exists(), "the checker has put it back"
        return " ".join(said.split())

    return verdict


def answer(source: str) -> Any:
    """What a learner's cell defines as `average_size`; it lives in no module, as in a notebook."""
    space = {"__name__": "__main__", "Path": Path, "fetch": lambda path: (IMAGES[path], "lab1"), "IMAGES": IMAGES}
    exec(source, space)
    return space["average_size"]


def cell(beginning: str) -> str:
    """The code in the notebook, of a cell or folded away in the text, that has this in it."""
    for content in json.loads(NOTEBOOK.read_text())["cells"]:
        source = "".join(content["source"])
        blocks = [source] if content["cell_type"] == "code" else re.findall(r"```python\n(.*?)```", source, re.DOTALL)
        if found := [block for block in blocks if beginning in block]:
            return found[0]
    raise AssertionError(f"no cell with {beginning!r}")


def test_the_exercise_as_it_stands_is_not_yet_right(verdict: Callable[..., str]) -> None:
    source = cell("import numpy as np").split("print(")[0].replace('Path("skip.txt").write_text', "str")
    said = verdict(answer(source.replace("list(web.images)", "list(IMAGES)")))
    assert said.startswith("Not yet: there, it raised ModuleNotFoundError: No module named 'numpy'. That package")


def test_the_solution_is_right(verdict: Callable[..., str]) -> None:
    assert verdict(answer(cell("from statistics import mean"))).startswith("Yes: the same numbers")


HALF = """
from statistics import mean
def average_size(paths):
    skip = Path("skip.txt").read_text().split()
    return round(mean(len(fetch(path)[0]) for path in paths if path not in skip) / 1000, 1)
"""


def test_half_a_solution_hears_of_the_file(verdict: Callable[..., str]) -> None:
    said = verdict(answer(HALF))
    assert "there, it raised FileNotFoundError" in said and "'skip.txt'" in said and "who could read the file" in said


def test_an_absolute_path_is_no_way_out(verdict: Callable[..., str]) -> None:
    said = verdict(answer(HALF.replace('"skip.txt"', repr(str(Path("skip.txt").absolute())))))
    assert "there, it raised FileNotFoundError" in said


THERE = "    import os, sys, time\n    there = 'SSH_CONNECTION' in os.environ\n"
#: one page of the site says "come back later" when it is first asked
BUSY = """
    from urllib.error import HTTPError
    if not os.path.exists("asked") and not there:
        open("asked", "w").close()
        raise HTTPError("http://site", 503, "come back later", {}, None)
    return right(paths)
"""

#: what it is: the body of the function (`right` is the solution), and what the checker says
TABLE = {
    "nought": ("    return 0.0", "here, for 6 pictures, the average is .* kB without those .*; yours says 0.0"),
    "nothing": ("    pass", "Not yet: here, for 6 pictures, .* yours says None"),
    "in words": ("    return '18.1'", "yours says '18.1'"),
    "raising": (
        "    return 1 / 0",
        'here, on this machine, it raised ZeroDivisionError: division by zero Traceback .* line 11, in average_size',
    ),
    "all of them": (
        "    return round(sum(len(IMAGES[p]) for p in paths) / len(paths) / 1000, 1)", "without those on the skip list",
    ),
    "wrong there": (THERE + "    return -1 if there else right(paths)", "there, for 6 pictures, .* yours says -1.0"),
    "raising there": (THERE + "    return 1 / 0 if there else right(paths)", "there, it raised ZeroDivisionError: div"),
    "endless": ("    while True: pass", "here, on this machine, it still ran after 2 s."),
    "endless there": (THERE + "    while there: pass\n    return right(paths)", "there, it had no result after 2 s"),
    "leaving": (THERE + "    sys.exit()", "here, on this machine, it raised SystemExit"),
    "ending its process": (THERE + "    os._exit(5)", "here, on this machine, it ended its process .exit code 5.."),
    "ending its process there": (
        THERE + "    os._exit(5 * there) if there else 0\n    return right(paths)",
        "there, the process in which it ran ended: .* exit code 5",
    ),
    "forking": (THERE + "    if not there and os.fork() == 0: time.sleep(77)\n    return right(paths)", "Yes: "),
    "a flood": (THERE + "    for _ in range(100_000): print('x' * 99)\n    return right(paths)", "Yes: "),
    "a busy site": (THERE + BUSY, "Yes: the same numbers"),
    "not rounded": (
        "    rest = [p for p in paths if p not in skip]\n    return mean(len(IMAGES[p]) for p in rest) / 1000",
        "Yes: the same numbers here and there, without the package and without the file.",
    ),
    "solution": ("    return right(paths)", "Yes: the same numbers here and there, without the package"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "says"), rows(TABLE))
def test_answers_to_04(verdict: Callable[..., str], body: str, says: str) -> None:
    right = cell("from statistics import mean").replace("average_size", "right")
    code = answer(f"import os\n{right}\ndef average_size(paths):\n{body}\n")
    assert re.search(says, verdict(code, patience=2.0 if "2 s" in says else 20.0))


def test_no_answer_at_all(verdict: Callable[..., str]) -> None:
    assert verdict(...).startswith("Not yet: the answer should be a function, and it is Ellipsis.")


def test_lanes_in_words() -> None:
    events = [
        {"kind": "worker_joined", "worker": "w1", "host": "lab1", "time": 1.0},
        {"kind": "submitted", "time": 2.0},
        {"kind": "done", "worker": "w1", "time": 3.0, "seconds": 0.5},
    ]
    picture = lanes(events, {"lab1": "lab1", "lab2": "lab2"}, cable_pulled=2.5)
    assert repr(picture) == "a bar for each task, in a lane for each machine: lab1"
    assert picture.png.startswith(b"\x89PNG")
