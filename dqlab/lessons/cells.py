"""Which cell of a notebook makes a name: whoever runs cells out of order is told which one to run first.

`explain_missing_names` is called when a notebook imports `dqlab.lessons`; from then on a `NameError` there reads

    NameError: my_guess_share is not there yet. First run this cell, under "A second worker":

        my_guess_share = ...  # think first
"""

from __future__ import annotations

import builtins
import json
import re
import symtable
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["explain_missing_names", "made_in", "needed_by"]

#: lines of a cell that are shown
SHOWN = 3


def made_in(source: str) -> set[str]:
    """The names that a cell makes: variables, functions, classes, modules."""
    table = _table(source)
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()} if table else set()


def needed_by(source: str) -> set[str]:
    """The names that a cell, or a function in it, uses and doesn't make itself."""
    table = _table(source)
    return _used(table) - made_in(source) - set(dir(builtins)) if table else set()


def explain_missing_names() -> None:
    """Let a missing name or module say which cell of this notebook to run first; elsewhere, do nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        shell.set_custom_exc((NameError, ModuleNotFoundError), _tell)


def maker(name: str, cell: str, folder: Path) -> tuple[str, str]:
    """`(source, heading)` of the cell that makes `name`, in the notebook in `folder` with `cell`; two "" if none."""
    for path in sorted(folder.glob("*.ipynb")):
        try:
            cells = json.loads(path.read_text("utf8"))["cells"]
        except (OSError, ValueError, TypeError, KeyError):
            continue  # half saved, or no notebook at all
        if any("".join(other["source"]).strip() == cell.strip() for other in cells):
            return _maker(name, cells)
    return "", ""


def _maker(name: str, cells: Sequence[dict[str, Any]]) -> tuple[str, str]:
    heading = ""
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            headings = [line.lstrip("# ") for line in source.splitlines() if line.startswith("#")]
            heading = headings[-1] if headings else heading
        elif name in made_in(source) or source.startswith(f"%%writefile {name}.py\n"):
            return source, heading
    return "", ""


def _tell(shell: Any, kind: type, error: Any, trace: TracebackType, tb_offset: Any = None) -> None:
    """What IPython calls instead of showing an error: show it with the cell to run first, if one is known."""
    from dqlab.lessons.scripts import notebook_folder

    quoted = re.search(r"'(\w+)'", str(error))  # an error that comes from a worker has lost its `name`
    name = error.name or (quoted[1] if quoted else "")
    source, heading = maker(name, shell.user_ns["In"][-1], notebook_folder())
    if source:
        lines = source.strip().splitlines()
        shown = [f"    {line}" for line in lines[:SHOWN]] + ["    ..."] * (len(lines) > SHOWN)
        first = f'{kind.__name__}: {name} is not there yet. First run this cell, under "{heading}":'
        error._render_traceback_ = lambda: [first, "", *shown]
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def _table(source: str) -> symtable.SymbolTable | None:
    """What Python knows of a cell's names; None if it is no Python, such as a script that the cell writes."""
    if source.startswith("%%"):
        return None
    python = "\n".join("pass" if line.startswith(("!", "%")) else line for line in source.splitlines())
    try:
        return symtable.symtable(python, "a cell", "exec")
    except SyntaxError:
        return None


def _used(table: symtable.SymbolTable) -> set[str]:
    """The module's names that are read here or further in."""
    top = table.get_type() == "module"
    own = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return own.union(*map(_used, table.get_children()))
