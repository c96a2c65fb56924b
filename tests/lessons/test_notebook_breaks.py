"""Breaking the package turns the notebooks red: a small break in a copy of dqlab fails the lesson that shows it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: seconds that one cell, and one whole notebook, may take
CELL_SECONDS, NOTEBOOK_SECONDS = 60, 200


@dataclass(frozen=True)
class Break:
    """In ``module``, ``right`` (which stands there once) becomes ``wrong``; the lesson ``notebook`` shows it."""

    name: str
    module: str
    right: str
    wrong: str
    notebook: str


BREAKS = [
    Break(
        "wrong result order", "client/drawn_items",
        "pickle.dumps(self.items, 5)",
        "pickle.dumps(self.items[::-1], 5)",
        "02_workers",
    ),
    Break(
        "lost redelivery", "broker/leases",
        "for span in reversed(worker.leases.values()):",
        "for span in ():",
        "02_workers",
    ),
    Break(
        "wrong counts in stats", "broker/states",
        '["ready"] += run.count',
        '["ready"] += 2 * run.count',
        "01_master",
    ),
    Break(
        "duplicate results", "broker/plain_queues",
        "self.results.extend(values)",
        "self.results.extend([*values, *values])",
        "00_two_scripts",
    ),
    Break(
        "lost exception text", "worker/result_pickling",
        'text = "".join(traceback.format_exception(type(exc), exc, tb))',
        'text = ""',
        "02_workers",
    ),
    Break(
        "workers that ignore kill", "launch/launcher",
        "                    group.kill(name)\n                    return name",
        "                    return name",
        "02_workers",
    ),
    Break(
        "an off-by-one in attempts", "broker/leases",
        "if counts and span.attempt >= span.run.max_attempts:",
        "if counts and span.attempt > span.run.max_attempts:",
        "02_workers",
    ),
    Break(
        "a stale event order", "broker/events",
        "found[: -limit - 1 : -1]",
        "found[:limit]",
        "02_workers",
    ),
    Break(
        "a master that unpickles anything", "wire/plain_reader",
        "        value = _run(machine)\n",
        "        value = pickle.loads(data, buffers=buffers)\n",
        "01_master",
    ),
    Break(
        "workers that are never added", "launch/command_launcher",
        "for _ in range(n)]",
        "for _ in range(1)]",
        "03_speedup",
    ),
    Break(
        "a crawl that leaves no calendar", "crawl/traps",
        "if self.barren.get(pattern, 0) < self.patience:",
        "if pattern:",
        "07_polite_crawl",
    ),
    Break(
        "a crawl that believes labels", "crawl/images",
        "    return kind_of(head) is not None",
        '    return label.startswith("image/")',
        "07_polite_crawl",
    ),
    Break(
        "workers that believe a master without a proof", "wire/greeting",
        "if not hmac.compare_digest(expected, welcome.proof):",
        "if False:",
        "09_who",
    ),
    Break(
        "a client that unpickles what should be plain", "client/results",
        "return load_plain if results == PLAIN else pickle.loads",
        "return pickle.loads",
        "09_who",
    ),
    Break(
        "back-off without an end to it", "broker/leases",
        "full * self._random.uniform(0.5, 1.5)",
        "1e9",
        "10_time",
    ),
    Break(
        "a master on paper that takes no time", "master/simulated_master",
        "self.free += spent",
        "self.free += 0.0",
        "08_outgrow",
    ),
    Break(
        "queues that don't take turns", "broker/leases",
        "for turn in range(worker.turn, worker.turn + len(names)):",
        "for turn in range(len(names)):",
        "11_load",
    ),
    Break(
        "a backlog without a bound", "broker/states",
        "return self.waiting_in(queue) + count <= self.backlog",
        "return self.waiting_in(queue) + count <= 3 * self.backlog",
        "11_load",
    ),
    Break(
        "a referee who doesn't count", "workbench/referee",
        "            if number > 1:",
        "            if number > 2:",
        "12_build_it",
    ),
]  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its notebooks."""
    without = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("dqlab", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=without)
    shutil.copy(ROOT / "tests" / "sanitize.cfg", tmp_path)
    return tmp_path


def run(copy: Path, notebook: str, *more: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook of the copy against the copy's package, and `more` on Python's path, up to a cell that differs."""
    command = [
        sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"notebooks/{notebook}.ipynb", "--nbval",
        "--nbval-sanitize-with=sanitize.cfg", f"--nbval-cell-timeout={CELL_SECONDS}", f"--rootdir={copy}",
    ]  # fmt: skip
    path = os.pathsep.join(map(str, (copy, *more)))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=NOTEBOOK_SECONDS)


@pytest.mark.timeout(NOTEBOOK_SECONDS + 60)
@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.name)
def test_what_a_break_breaks_stands_in_the_code_once(broken: Break) -> None:
    assert (ROOT / "dqlab" / f"{broken.module}.py").read_text("utf8").count(broken.right) == 1


@pytest.mark.long
@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.name)
def test_a_break_turns_its_notebook_red(broken: Break, copy: Path) -> None:
    module = copy / "dqlab" / f"{broken.module}.py"
    module.write_text(module.read_text("utf8").replace(broken.right, broken.wrong), "utf8")
    done = run(copy, broken.notebook)
    assert done.returncode == 1, done.stdout[-3000:]
    # The lesson itself noticed, in a later cell: it isn't that nothing ran at all.
    assert re.search(r"Notebook cell execution failed|Cell outputs differ|Timeout", done.stdout), done.stdout[-3000:]
    assert re.search(r"1 failed, \d+ passed", done.stdout), done.stdout[-3000:]


@pytest.mark.long
@pytest.mark.timeout(NOTEBOOK_SECONDS + 60)
def test_an_unbroken_copy_is_green(copy: Path) -> None:
    done = run(copy, "01_master")
    assert done.returncode == 0, done.stdout[-3000:]


#: Python runs a module of this name before anything else.
SLOW_WORKERS = """
import sys, time
if "worker" in sys.orig_argv:
    time.sleep(1.5)
"""


@pytest.mark.timeout(NOTEBOOK_SECONDS + 60)
def test_where_workers_are_slow_to_start_the_outputs_are_the_same(copy: Path) -> None:
    slow = copy / "slow"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text(SLOW_WORKERS)
    done = run(copy, "02_workers", slow)
    assert done.returncode == 0, done.stdout[-3000:]
