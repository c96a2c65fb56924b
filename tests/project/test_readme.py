"""README.md says what is true: its commands run, its code prints what it shows, its promises name tests that exist."""

import ast
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dqlab.crawl.summary import LOSSES
from tests.helpers import eventually, free_port

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()

#: Commands that are run elsewhere: by whoever reads this, by test_lab.py, and by `make test` itself.
ELSEWHERE = {"git clone <this repository> dqlab", "cd dqlab", "make lab", "make test"}

#: Commands that serve until they are ended, and what each prints once it does.
SERVERS = {"python -m dqlab.sandbox": "sandbox site at", "dqlab master": "serving at", "dqlab worker": "joined"}


#: what a command ends with, if not with 0: the sandbox has pictures that can't be had
ENDS_WITH = {"crawl": LOSSES}


def blocks(language: str) -> list[str]:
    """The README's fenced blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def environment() -> dict[str, str]:
    """Ours, with the commands of this Python first, as an activated environment has them."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@contextlib.contextmanager
def in_a_terminal(command: str, says: str, folder: Path) -> Iterator[None]:
    """Run `command` as in a terminal of its own, from when it has printed `says` until the block ends, then Ctrl-C."""
    log = folder / f"{free_port()}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            shlex.split(command), cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        eventually(lambda: says in log.read_text() or process.poll() is not None, 30, f"{command}: {says}")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_every_command_line_runs(tmp_path: Path) -> None:
    port = str(free_port())
    with contextlib.ExitStack() as terminals:
        for line in "".join(blocks("sh")).replace("8000", port).splitlines():
            served = next((says for server, says in SERVERS.items() if line.startswith(server)), None)
            if served:
                terminals.enter_context(in_a_terminal(line, served, tmp_path))
            elif line == "make bench":
                run_shortest_benchmark(tmp_path)
            elif line not in ELSEWHERE:
                ended = subprocess.run(
                    shlex.split(line), cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, timeout=90
                )
                assert ended.returncode == ENDS_WITH.get(line.split()[1], 0), line
    assert len(list((tmp_path / "pictures").rglob("*.*"))) > 200


def run_shortest_benchmark(folder: Path) -> None:
    """As `make bench` does, with this Python and what it has installed; all of them would take six minutes."""
    report = folder / "benchmarks.json"
    variables = [f"BIN={Path(sys.executable).parent}", f"NAME=latency --rounds 1 --json {report}"]
    subprocess.run(["make", "-o", ".venv/.bench", "bench", *variables], cwd=ROOT, check=True, timeout=90)
    assert json.loads(report.read_text())["latency"][0]["rows"]


def test_the_code_prints_what_is_shown(tmp_path: Path) -> None:
    (code,), shown = blocks("python"), blocks("text")[0]
    (tmp_path / "squares.py").write_text(code)
    command = [sys.executable, "squares.py"]
    printed = subprocess.run(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (printed.stdout, printed.stderr, printed.returncode) == (shown, "", 0)


def test_the_lines_for_a_notebook_run_as_one_cell(tmp_path: Path) -> None:
    (code,) = blocks("py")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("328350\n", "", 0)


def test_the_code_has_twelve_lines() -> None:
    (code,) = blocks("python")
    assert sum(bool(line.strip()) for line in code.splitlines()) == 12


@pytest.mark.parametrize("named", re.findall(r"`(\w+/test_\w+\.py(?:::\w+)?)`", README))
def test_what_backs_a_promise_exists(named: str) -> None:
    file, _, test = named.partition("::")
    source = (ROOT / "tests" / file).read_text()
    assert not test or re.search(rf"^ *(async )?def {test}\b|^class {test}\b|^{test} = ", source, re.MULTILINE)


def test_the_rows_of_the_picture_are_those_of_the_import_contract() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    height = {module: -row for row, names in enumerate(layers) for module in re.findall(r"\w+", names)}
    picture = next(block for block in blocks("text") if "broker" in block)
    rows = [re.findall(r"\w+", row.partition("   ")[0]) for row in picture.splitlines() if row.strip()]
    assert {module for row in rows for module in row} == set(height) - {"__main__"}
    for above, below in zip(rows, rows[1:], strict=False):
        assert min(height[module] for module in above) > max(height[module] for module in below), (above, below)


def test_no_windows_command_names_a_file_that_is_not_there() -> None:
    (commands,) = blocks("bat")
    for script in re.findall(r"python (\.jupyter\\\S+)", commands):
        assert (ROOT / script.replace("\\", "/")).exists()
    for module in re.findall(r"python -m (\w\S+)", commands):
        path = ROOT / module.replace(".", "/")
        assert module == "venv" or path.is_dir() or path.with_suffix(".py").is_file()


# -- the reading path -------------------------------------------------------------------------------------------------

#: lines of code that somebody can read in an afternoon
AN_AFTERNOON = 2_000

#: what a line may consist of and still hold no code
NO_CODE = {
    tokenize.COMMENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER, tokenize.INDENT, tokenize.NEWLINE,
    tokenize.NL,
}  # fmt: skip


def lines_of_code(source: str) -> int:
    """How many lines are neither blank, nor a comment, nor part of a docstring."""
    told = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = {n for token in tokens if token.type not in NO_CODE for n in range(token.start[0], token.end[0] + 1)}
    return len(code - told)


def test_only_code_is_counted() -> None:
    source = '"What it is.\n\nMore.\n"\n\n# why\nx = "two\nlines"  # here\n\n\ndef f():\n    "Do it."\n    return x\n'
    assert lines_of_code(source.replace('"', '"""')) == 4


def test_the_heart_can_be_read_in_an_afternoon() -> None:
    path = re.findall(r"^\d+\. \[.*?\]\((dqlab/.*?\.py)\)", README, re.MULTILINE)
    (said,) = re.findall(r"Its heart is ([\d,]+) lines", README)
    counted = sum(lines_of_code((ROOT / file).read_text("utf8")) for file in path)
    assert len(path) > 5
    assert counted <= AN_AFTERNOON
    assert abs(int(said.replace(",", "")) - counted) <= 0.05 * counted, f"the README says {said}, and it is {counted:,}"


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)]+)\)", README))
def test_a_link_leads_somewhere(target: str) -> None:
    file, _, heading = target.partition("#")
    assert not file or (ROOT / file).exists()
    assert not heading or heading in [
        re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    ]
