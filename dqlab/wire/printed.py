"""What tasks print, as it travels with their outcomes, and as it is shown to whoever reads it.

A piece is `(task, stream, text)`: what a task wrote to one of `STREAMS`. The master adds the worker in front of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

__all__ = ["STREAMS", "TASK_CHARS", "Piece", "Shown", "chars_in", "joined", "note", "show"]

#: where a task may have written
STREAMS = ("stdout", "stderr")
#: characters of one task that travel
TASK_CHARS = 1 << 16

Piece = tuple[int, str, str]
#: the same, with the worker in front
Shown = tuple[str, int, str, str]


def note(count: int) -> str:
    """What stands in the place of `count` characters."""
    return f"... {count:,} characters more were printed, and dropped\n"


def chars_in(pieces: Iterable[tuple[Any, ...]]) -> int:
    """The characters of pieces."""
    return sum(len(piece[-1]) for piece in pieces)


def joined(pieces: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The same with fewer pieces: what stands side by side of one task and stream is one."""
    return [(*key, "".join(piece[-1] for piece in same)) for key, same in groupby(pieces, lambda piece: piece[:-1])]


def show(pieces: Iterable[Shown], tame: bool = False) -> None:
    """Write pieces to the standard output and error of this process, what belongs together at once.

    Each line begins with who printed it. `tame`: what would move the cursor, or worse, is replaced.
    """
    for (worker, task, stream), same in groupby(pieces, itemgetter(0, 1, 2)):
        lines = "".join(text for *_, text in same).removesuffix("\n").split("\n")
        if tame:
            lines = ["".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
                     for line in lines]  # fmt: skip
        _write(stream, "".join(f"[{worker} task {task}] {_as_seen(line)}\n" for line in lines))


def _as_seen(line: str) -> str:
    """A line as a terminal has it in the end: of a progress bar, which writes over itself, the last state."""
    return next((part for part in reversed(line.split("\r")) if part), "")


def _write(name: str, text: str) -> None:
    stream = getattr(sys, name)
    if stream is None:
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
        stream.flush()
    except Exception:
        return  # a screen that is closed, full or broken changes no outcome
