"""One style in all of `dqlab/`, where no linter has a rule for it. CONTRIBUTING.md says what it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: lines of a module
LONGEST = 300

MODULES = sorted((ROOT / "dqlab").rglob("*.py"))


def named(file: Path) -> str:
    """A module as a test's name has it."""
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", MODULES, ids=named)
def test_names_and_code_stand_in_single_back_quotes(file: Path) -> None:
    assert [line for line in file.read_text("utf8").splitlines() if "``" in line] == []


@pytest.mark.parametrize("file", MODULES, ids=named)
def test_what_a_constant_is_for_begins_with_a_small_letter(file: Path) -> None:
    told = re.findall(r"#: ([A-Z][a-z]*\b.*)", file.read_text("utf8"))
    assert [text for text in told if not text.startswith(("SIGKILL", "CPython"))] == []


@pytest.mark.parametrize("file", MODULES, ids=named)
def test_no_module_is_too_long(file: Path) -> None:
    assert len(file.read_text("utf8").splitlines()) <= LONGEST
