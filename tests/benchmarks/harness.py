"""What every benchmark shares: rounds side by side, medians, a table on screen and as JSON."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field


@dataclass
class Row:
    """One contender: the median of its rounds, in the table's unit, and how that compares with the reference."""

    name: str
    value: float
    ratio: float | None = None
    rounds: list[float] = field(default_factory=list)
    note: str = ""


@dataclass
class Table:
    title: str
    unit: str
    rows: list[Row]

    def __str__(self) -> str:
        width = max([len(row.name) for row in self.rows] + [10])
        lines = [self.title, f"  {'':{width}}  {self.unit:>14}  {'ratio':>8}"]
        for row in self.rows:
            ratio = "" if row.ratio is None else f"{row.ratio:,.2f}"
            lines.append(f"  {row.name:{width}}  {row.value:>14,.5g}  {ratio:>8}  {row.note}".rstrip())
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def side_by_side(contenders: dict[str, Callable[[], float]], rounds: int = 5) -> dict[str, list[float]]:
    """Measure every contender once in each round, so that all of them see the same weather."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            values[name].append(measure())
    return values


def compare(title: str, unit: str, values: dict[str, list[float]], reference: str) -> Table:
    """A table of medians, each with its ratio to the reference (the median of the rounds' own ratios)."""
    rows = []
    for name, rounds in values.items():
        ratio = statistics.median(v / r for v, r in zip(rounds, values[reference], strict=True))
        rows.append(Row(name, statistics.median(rounds), ratio, rounds))
    return Table(title, unit, rows)


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """``with stopwatch() as seconds: ...; seconds()``"""
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began


def tiny(text: str) -> str:
    """The tiny task of every comparison."""
    return text + " ------>success"


def tiny_list(texts: list[str]) -> list[str]:
    """The same, with an item and a result that could change."""
    return [text + " ------>success" for text in texts]


def nap(seconds: float) -> float:
    """A task that waits."""
    time.sleep(seconds)
    return seconds
