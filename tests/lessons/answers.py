"""What the tables of answers need: a lesson's folded solution, a learner's cell, and a checker's words."""

import ast
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dqlab.lessons import check

ROOT = Path(__file__).resolve().parents[2]


#: how many answers of a table are tried in every run; the others are `long`
EVERY_RUN = 6


def rows(table: dict[str, tuple[Any, ...]]) -> list[Any]:
    """The answers of a table, each a parameter of a test with its name."""
    marks = [()] * EVERY_RUN + [pytest.mark.long] * len(table)
    return [pytest.param(*row, id=name, marks=mark) for (name, row), mark in zip(table.items(), marks, strict=False)]


def solution(lesson: str) -> str:
    """The code of the solution that a lesson folds away, the last of its folded boxes."""
    cells = json.loads((ROOT / "notebooks" / f"{lesson}.ipynb").read_text("utf8"))["cells"]
    prose = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.findall(r"<summary>A solution</summary>.*?```python\n(.*?)```", prose, re.DOTALL)[-1]


def learner(code: str) -> dict[str, Any]:
    """What a learner's cell defines: functions that no other process can import, as in a notebook."""
    namespace: dict[str, Any] = {"__name__": "a_notebook", "check": check}
    exec(compile(ast.parse("import os, sys, time\n" + textwrap.dedent(code)), "a cell", "exec"), namespace)
    return namespace


def verdict(checker: Callable[..., None], *args: Any, capsys: pytest.CaptureFixture[str], **kwargs: Any) -> str:
    """What a checker prints, on one line."""
    checker(*args, **kwargs)
    return " ".join(capsys.readouterr().out.split())
