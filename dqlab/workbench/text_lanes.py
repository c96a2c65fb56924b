"""A story as text, for a terminal: a line for each event, a column for the master and for each worker."""

from __future__ import annotations

from dqlab.workbench.events import Event
from dqlab.workbench.story import Story

__all__ = ["text_lanes"]

#: characters: where the master's column is, and from one column to the next
MASTER, COLUMN = 20, 16


def text_lanes(story: Story) -> str:
    """The lanes of a story, from top to bottom in time (seconds)."""
    workers = story.workers
    columns = {name: MASTER + COLUMN * number for number, name in enumerate(["", *workers])}
    head = _Line(columns)
    head.write(0, " time")
    for name, column in columns.items():
        head.write(column - len(name or "master") // 2, name or "master")
    lines, there = [head], {"": "│"}
    for event in story.events:
        there |= {event.worker: "┊" if event.kind == "froze" else "│"}
        line = _Line(columns, there)
        line.write(0, f"{event.at:5.1f}")
        line.tell(event)
        if event.kind == "killed":
            del there[event.worker]
        lines.append(line)
    return "\n".join(str(line) for line in lines)


class _Line:
    """One line; `there` says which of the `columns` have a sign of life, and which."""

    def __init__(self, columns: dict[str, int], there: dict[str, str] | None = None) -> None:
        self._columns = columns
        self._signs = [" "] * (max(columns.values()) + 2 * COLUMN)
        for name, sign in (there or {}).items():
            self._signs[columns[name]] = sign

    def __str__(self) -> str:
        return "".join(self._signs).rstrip()

    def write(self, column: int, text: str) -> None:
        """Write over what is there."""
        self._signs[column : column + len(text)] = text

    def tell(self, event: Event) -> None:
        """What happened: an arrow between columns, or a word beside one."""
        column = self._columns[event.worker]
        if event.kind == "put":
            self._arrow(MASTER - 12, MASTER, event.task)
        elif event.kind == "took" and not event.task:
            self._arrow(column, MASTER, "asks")
        elif event.kind == "took":
            self._arrow(MASTER, column, event.task)
        elif event.worker and event.kind in ("done", "late", "again"):
            self._arrow(column, MASTER, "result" if not event.heard else "counted" if event.counted else "not counted")
        elif event.kind == "died":
            self.write(column, "✕ killed, starts again")
        else:
            words = {
                "killed": "✕ killed",
                "froze": "┊ frozen",
                "failed": f"│ {event.task} failed",
                "nothing": "│ nothing",
            }
            self.write(column, words[event.kind])

    def _arrow(self, start: int, end: int, text: str) -> None:
        low, high = min(start, end), max(start, end)
        self.write(low + 1, "─" * (high - low - 1))
        self.write((high - 1) if end > start else (low + 1), "▶" if end > start else "◀")
        middle = end - 8 if end > start else start - 9
        self.write(middle - len(text) // 2, f" {text} ")
