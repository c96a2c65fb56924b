"""What `check` says of a broker: which levels it has passed, and the smallest story in which it fails."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import Any

from dqlab.client.pickling import dump_values
from dqlab.lessons.check.answer import Answer, readable
from dqlab.lessons.check.verdict import COLUMNS, NotYet
from dqlab.workbench.drawing import drawing
from dqlab.workbench.levels import LEVELS, Level, level_of
from dqlab.workbench.search import SCHEDULES, climb
from dqlab.workbench.story import Story
from dqlab.workbench.text_lanes import text_lanes

__all__ = ["Verdict", "check"]

#: seconds that a search may take
PATIENCE = 120.0
#: lines of a traceback, and of what was printed, that are shown
SHOWN = 12
#: what a broker must have
METHODS = ("put", "get", "done")


@dataclass(frozen=True)
class Verdict:
    """Whether a broker has passed all levels up to one; if not, a `story`, or `why` there is none.

    It is true if it has.
    """

    passed: tuple[Level, ...]
    story: Story | None = None
    why: str = ""
    details: str = ""

    def __bool__(self) -> bool:
        return self.story is None and not self.why

    def __repr__(self) -> str:
        parts = [*self._lines()]
        if self.story is not None:
            parts += ["", text_lanes(self.story), ""]
        if ending := self._ending():
            parts.append(textwrap.fill(ending, COLUMNS))
        return "\n".join([*parts, *(f"    {line}" for line in self._details())])

    def _repr_html_(self) -> str:
        parts = [f"<div>{escape(line)}</div>" for line in self._lines()]
        if self.story is not None:
            parts.append(f'<div style="margin: 12px 0 8px">{drawing(self.story)}</div>')
        if ending := self._ending():
            parts.append(f"<div><b>{escape(ending)}</b></div>")
        if details := "\n".join(self._details()):
            parts.append(f"<pre>{escape(details)}</pre>")
        return "".join(parts)

    def _lines(self) -> list[str]:
        lines = [f"level {level.number}, {level.name}: yes" for level in self.passed]
        if self.story is not None:
            level, steps = LEVELS[self.story.level - 1], len(self.story)
            wanted = f"The smallest story in which it fails has {steps} step{'s' * (steps != 1)}:"
            lines.append(f"level {level.number}, {level.name}: not yet. {wanted}")
        return lines

    def _ending(self) -> str:
        return self.story.sentence if self.story is not None else f"Not yet: {self.why}" if self.why else ""

    def _details(self) -> list[str]:
        if self.story is None:
            return self.details.splitlines()
        printed = self.story.printed.splitlines()[:SHOWN]
        return readable(self.story.traceback)[-SHOWN:] + (["it printed:", *printed] if printed else [])


def check(broker: Any, level: int = 1, *, tries: int = SCHEDULES) -> Verdict:
    """Try the class `broker` on all levels up to `level`, in virtual time: `tries` random schedules on the last.

    The verdict shows the smallest story in which it fails. Raises `BadInput` if there is no such level.
    """
    level_of(level)
    if not isinstance(broker, type):
        return Verdict((), why=f"the answer should be a class, and it is {broker!r}. Run the cell that defines it.")
    if missing := [name for name in METHODS if not callable(getattr(broker, name, None))]:
        return Verdict((), why=f"the class {broker.__name__} has no {', no '.join(missing)}.")
    try:
        pickled, _ = dump_values(broker)
        with Answer(
            climb, pickled, level, tries, seconds=PATIENCE, learner=_code_of(broker), name="your broker"
        ) as run:
            told = run.result()
    except NotYet as not_yet:
        return Verdict((), why=not_yet.why, details=not_yet.details)
    except Exception as error:
        why = f"{broker.__name__} can't be sent to another process: {type(error).__name__}: {error}"
        return Verdict((), why=why)
    story = Story.from_dict(told) if told else None
    return Verdict(LEVELS[: level if story is None else story.level - 1], story)


def _code_of(broker: type) -> Any:
    """One of its methods: whose file is the cell that the class was written in."""
    return next((value for value in vars(broker).values() if hasattr(value, "__code__")), None)
