"""A prediction beside the measurement, and a table of such pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["compare", "table"]


def compare(guess: Any, seen: Any, unit: str = "") -> None:
    """Print a guess and what was seen, in `unit`, one below the other; ask for a guess that is still `...`."""
    said = "nothing yet: write your guess in the cell above" if guess is ... else f"{guess} {unit}".rstrip()
    print("you said ", said)
    print("it was   ", f"{seen} {unit}".rstrip())


def table(rows: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Print a line for each row, `(guesses, seen)` by column: what was guessed, an arrow, and what was seen."""
    columns = list(next(iter(rows.values()))[1])
    lines = [["", *columns]]
    for name, (guesses, seen) in rows.items():
        said = {column: "?" if guesses[column] is ... else str(guesses[column]) for column in columns}
        lines.append([name, *(f"{said[column]} -> {seen[column]}" for column in columns)])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for cells in lines:
        print("   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
