"""Run the project's checks, as `make test PART=...` does: `python -m tests [PART]`.

PART is a folder of tests, or `lint` (linters and types), `notebooks` (each run strictly, outputs compared), or `long`
(what takes minutes: tests marked so, and everything on other Pythons). Without it, all but `long`. `ecosystem` and
`engines` run their `long` tests too: they want packages that only the extra `ecosystem` installs.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: the folders of tests
FOLDERS = sorted(path.parent.name for path in ROOT.glob("tests/*/__init__.py") if any(path.parent.glob("test_*.py")))

#: Pythons on which everything is run too, where they are found
OTHERS = [version for version in ("3.12", "3.13", "3.14") if version != f"{sys.version_info[0]}.{sys.version_info[1]}"]

#: what Python is given to run, by name
LINT = {
    "ruff": ["-m", "ruff", "check", "."],
    "format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "pyright": ["-m", "basedpyright"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command as lint; lint()"],
}
#: parts whose `long` tests want packages that only an extra of their own installs
WITH_MORE = ("ecosystem", "engines")
NOTEBOOKS = {"notebooks": [
    "-m", "pytest", "notebooks", "--nbval", "--nbval-sanitize-with=tests/sanitize.cfg", "--nbval-cell-timeout=180",
    "--nbval-kernel-startup-timeout=120", "-p", "tests.conftest", "--override-ini=filterwarnings=default",
]}  # fmt: skip


class Account:
    """A pytest plugin: the run ends with a table of seconds by part, and in CI no test may have been skipped.

    A part is a folder, or where only one of them is run (`by_file`) a file.
    """

    def __init__(self, parts: dict[str, float], by_file: bool) -> None:
        self.parts, self.by_file = defaultdict(float, parts), by_file
        self.skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's setup, call or teardown to its part's time."""
        file = report.nodeid.partition("::")[0]
        self.parts[file if self.by_file else file.rpartition("/")[0]] += report.duration
        self.skipped += report.skipped

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Count skipped tests as failed where everything that they need is installed."""
        if self.skipped and os.environ.get("CI"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table; pytest's own closing lines follow."""
        terminalreporter.section("time by part")
        if self.skipped and os.environ.get("CI"):
            terminalreporter.write_line("ERROR: in CI nothing may be skipped", red=True)
        for line in table(self.parts):
            terminalreporter.write_line(line)


def table(parts: dict[str, float]) -> list[str]:
    """A line for each part with its seconds, and one for all of them."""
    return [f"{seconds:7.1f} s  {part}" for part, seconds in [*parts.items(), ("in all", sum(parts.values()))]]


def main() -> int:
    """Run the parts that are asked for, even after one has failed; 0 only if all are well."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "part", nargs="?", choices=[*FOLDERS, "lint", "notebooks", "long"], help="(default: all but long)"
    )
    part = parser.parse_args().part
    os.chdir(ROOT)
    seconds, failed = steps_before(), []
    for name, command in commands(part).items():
        print(f"== {name}", flush=True)
        start = time.monotonic()
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
            failed.append(name)
        seconds[name] = time.monotonic() - start
    if part in ("lint", "notebooks"):
        print(*table(seconds), sep="\n")
    else:
        print("== tests", flush=True)
        account = Account(seconds, by_file=part in FOLDERS)
        if pytest.main([*chosen_tests(part), "--continue-on-collection-errors"], plugins=[account]):
            failed.append("tests")
    if failed:
        print("FAILED:", ", ".join(failed))
    return int(bool(failed))


def chosen_tests(part: str | None) -> list[str]:
    """What pytest is told to run for a part."""
    if part in WITH_MORE:
        return [f"tests/{part}", "-m", "long or not long"]
    if part == "long":
        return ["tests", "-m", "long", *(f"--ignore=tests/{part}" for part in WITH_MORE)]
    return [f"tests/{part}"] if part in FOLDERS else ["tests"]


def commands(part: str | None) -> dict[str, list[str]]:
    """The command lines, by name, that belong to a part besides its tests."""
    if part == "long":
        return {f"python {version}": everything_on(version, path) for version, path in other_pythons().items()}
    ours = {None: LINT | NOTEBOOKS, "lint": LINT, "notebooks": NOTEBOOKS}.get(part, {})
    return {name: [sys.executable, *command] for name, command in ours.items()}


def everything_on(version: str, python: str) -> list[str]:
    """All but `long` in an environment of another Python's own, beside ours."""
    return ["make", "test", f"PYTHON={python}", f"VENV=.venv/python{version}", "PART="]


def other_pythons() -> dict[str, str]:
    """Other Pythons of this machine by version, from the PATH or from pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {}
    for version in OTHERS:
        installed = [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
        for python in [*installed, shutil.which(f"python{version}")]:
            # pyenv leaves a `python3.12` on the PATH that only says that it isn't chosen
            if python and not subprocess.run([python, "-c", ""], capture_output=True).returncode:
                found[version] = python
                break
    return found


def steps_before() -> dict[str, float]:
    """Seconds of what ran before this, as .ci/run tells in DQLAB_STEPS: `name=seconds name=seconds`."""
    steps = (step.partition("=") for step in os.environ.get("DQLAB_STEPS", "").split())
    return {name: float(seconds) for name, _, seconds in steps}


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a thread that a failed test has left would keep this process, and CI with it, for ever
