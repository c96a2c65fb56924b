"""A story as a drawing (SVG): the master's lane above, a lane for each worker below, an arrow for each message."""

from __future__ import annotations

from html import escape

from dqlab.workbench.events import Event
from dqlab.workbench.story import Story

__all__ = ["drawing"]

#: pixels: of names at the left, of an event, between two lanes, above the first lane and below the last
LEFT, STEP, LANE, HEAD, FOOT = 74, 92, 62, 44, 34
#: half the height of a bar, and of a cross
BAR, CROSS = 11, 7
#: colours follow the page's theme; those of the data are the dashboard's, which colour-blind eyes tell apart
STYLE = """
.dqlab-story { --ink: var(--jp-content-font-color1, #1f2328); --soft: var(--jp-content-font-color2, #5b6470);
  --paper: var(--jp-layout-color0, #ffffff); --rule: var(--jp-border-color2, #c8ced4);
  color: var(--ink); max-width: 100%; height: auto; font: 13px var(--jp-ui-font-family, system-ui, sans-serif); }
.dqlab-story text { fill: var(--ink); } .dqlab-story .soft { fill: var(--soft); font-size: 12px; }
.dqlab-story .lane { stroke: var(--rule); stroke-width: 2; }
.dqlab-story .arrow { stroke: var(--ink); stroke-width: 1.5; fill: none; } .dqlab-story .head { fill: var(--ink); }
.dqlab-story .bar { fill: #0072b2; } .dqlab-story text.on { fill: #ffffff; }
.dqlab-story .ice { fill: var(--paper); stroke: #0072b2; stroke-width: 1.5; stroke-dasharray: 4 3; }
.dqlab-story .cross { stroke: #d55e00; stroke-width: 3.5; fill: none; }
.dqlab-story text.bad { fill: #d55e00; font-weight: 600; }
"""


def drawing(story: Story) -> str:
    """The lanes of a story, from left to right in time (seconds)."""
    return _Drawing(story).svg()


class _Drawing:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._events = list(enumerate(story.events))
        self._y = {name: HEAD + LANE * row for row, name in enumerate(["", *story.workers])}
        self._width = LEFT + STEP * len(self._events) + 40
        self._parts: list[str] = []

    def svg(self) -> str:
        """All of it."""
        for name, y in self._y.items():
            self._lane(name, y)
        for name in self._story.workers:
            self._bars(name)
        for number, event in self._events:
            self._tell(self._x(number), event)
        height = HEAD + LANE * (len(self._y) - 1) + FOOT + BAR
        for number, event in self._events:
            self._text(self._x(number), height - 6, f"{event.at:.1f} s", "soft", "middle")
        words = escape(self._story.sentence, quote=True)
        size = f'viewBox="0 0 {self._width} {height}" width="{self._width}" height="{height}"'
        return (
            f'<svg class="dqlab-story" {size} role="img" aria-label="{words}"><style>{STYLE}</style>'
            + "".join(self._parts)
            + "</svg>"
        )

    def _x(self, number: int) -> float:
        return LEFT + STEP * (number + 0.5)

    def _lane(self, name: str, y: float) -> None:
        """Its name and its line, from its first event to its end."""
        own = [number for number, event in self._events if event.worker == name]
        start = self._x(own[0]) if name else LEFT
        dead = [self._x(number) for number, event in self._events if name and event == self._last(name, "killed")]
        end = dead[0] if dead else self._width
        self._text(LEFT - 12 if not name else start - 12, y + 4, name or "master", "", "end")
        self._parts.append(f'<line class="lane" x1="{start:g}" y1="{y}" x2="{end:g}" y2="{y}"/>')

    def _last(self, worker: str, kind: str) -> Event | None:
        return next((e for _, e in self._events if e.worker == worker and e.kind == kind), None)

    def _bars(self, worker: str) -> None:
        """What a worker had in hand, from when to when; hollow while it was frozen."""
        y, begun, frozen, task = self._y[worker], 0.0, False, ""
        for number, event in [*self._events, (len(self._events), Event(0.0, "end", worker))]:
            if event.worker != worker:
                continue
            x = self._x(number) if event.kind != "end" else self._width - 8
            if task and x > begun:
                style, words = ("ice", f"{task}, frozen") if frozen else ("bar", task)
                self._parts.append(
                    f'<rect class="{style}" x="{begun:g}" y="{y - BAR}" width="{x - begun:g}" height="{2 * BAR}"/>'
                )
                self._text(begun + 8, y + 4.5, words, "soft" if frozen else "on")
            task = event.task if event.kind in ("took", "froze") else ""
            begun, frozen = x, event.kind == "froze"

    def _tell(self, x: float, event: Event) -> None:
        y, master = self._y[event.worker], self._y[""]
        if event.kind == "put":
            self._arrow(x, master - 26, x, master - 3)
            self._text(x, master - 31, event.task, "", "middle")
        elif event.kind == "took" and not event.task:
            self._arrow(x, y, x, master + 4)
            self._text(x, master - 10, "asks", "", "middle")
        elif event.kind == "took":
            self._arrow(x, master + 3, x, y - BAR - 2)
        elif event.kind in ("done", "late", "again"):
            self._arrow(x, y - BAR - 2, x, master + 4)
            twice = self._again(event)
            words = "twice" if twice else "counted" if event.counted else "not counted" if event.heard else ""
            self._text(x, master - 10, words, "bad" if twice else "", "middle")
        elif event.kind == "killed":
            self._cross(x, y)
            self._text(x + CROSS + 6, y + 4, "killed", "bad")
        elif event.kind == "died":
            self._cross(x, master)
            self._text(x, master - 14, "killed", "bad", "middle")
        elif event.kind == "failed":
            self._text(x, master - 10, f"{event.task}: failed", "bad", "middle")
        elif event.kind == "nothing":
            self._text(x, y - BAR - 4, "asks: nothing", "bad", "middle")

    def _again(self, event: Event) -> bool:
        """Whether a result is counted that was counted before."""
        counted = [other for _, other in self._events if other.counted and other.task == event.task]
        return event.counted and counted[0] is not event

    def _arrow(self, x1: float, y1: float, x2: float, y2: float) -> None:
        back = -6 if y2 > y1 else 6
        self._parts.append(f'<line class="arrow" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2 + back:g}"/>')
        self._parts.append(f'<path class="head" d="M{x2:g} {y2:g} l-4.5 {1.4 * back:g} h9 z"/>')

    def _cross(self, x: float, y: float) -> None:
        self._parts.append(
            f'<path class="cross" d="M{x - CROSS:g} {y - CROSS:g} l{2 * CROSS} {2 * CROSS} '
            f'm0 {-2 * CROSS} l{-2 * CROSS} {2 * CROSS}"/>'
        )

    def _text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        if words:
            style = f' class="{kind}"' if kind else ""
            self._parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{escape(words)}</text>')
