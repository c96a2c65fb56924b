"""Run every check of the project, linters to notebooks, as `make test` does: `python -m tests [--lint]`."""

import argparse
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: What Python is given to run, by part.
LINT = {
    "ruff": ["-m", "ruff", "check", "."],
    "mypy": ["-m", "mypy"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command as lint; lint()"],
}
NOTEBOOKS = [
    "-m", "pytest", "notebooks", "--nbval", "--nbval-sanitize-with=tests/sanitize.cfg", "--nbval-cell-timeout=180",
    "--nbval-kernel-startup-timeout=120", "-p", "tests.conftest", "--override-ini=filterwarnings=default",
]  # fmt: skip


class Account:
    """A pytest plugin: the run ends with a table of seconds by part, and in CI no test may have been skipped."""

    def __init__(self, parts: dict[str, float]) -> None:
        self.parts = defaultdict(float, parts)
        self.skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a test's setup, call or teardown to its file's time."""
        self.parts[report.nodeid.partition("::")[0]] += report.duration
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
        for part, seconds in self.parts.items():
            terminalreporter.write_line(f"{seconds:7.1f} s  {part}")
        terminalreporter.write_line(f"{sum(self.parts.values()):7.1f} s  in all")


def main() -> int:
    """Run all parts, even after one has failed; 0 only if all are well."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("--lint", action="store_true", help="only linters and types")
    lint_only = parser.parse_args().lint
    os.chdir(ROOT)
    parts, failed = steps_before(), []
    for name, command in (LINT if lint_only else LINT | {"notebooks": NOTEBOOKS}).items():
        print(f"== {name}", flush=True)
        start = time.monotonic()
        if subprocess.run([sys.executable, *command], stdin=subprocess.DEVNULL).returncode:
            failed.append(name)
        parts[name] = time.monotonic() - start
    if not lint_only:
        print("== tests", flush=True)
        if pytest.main(["tests", "--continue-on-collection-errors"], plugins=[Account(parts)]):
            failed.append("tests")
    if failed:
        print("FAILED:", ", ".join(failed))
    return int(bool(failed))


def steps_before() -> dict[str, float]:
    """Seconds of what ran before this, as .ci/run tells in DQLAB_STEPS: `name=seconds name=seconds`."""
    steps = (step.partition("=") for step in os.environ.get("DQLAB_STEPS", "").split())
    return {name: float(seconds) for name, _, seconds in steps}


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a thread that a failed test has left would keep this process, and CI with it, for ever
