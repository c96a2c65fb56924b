"""The story of a broken promise: what happened, in order, and the same in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from dqlab.workbench.events import Event

__all__ = ["Story"]


@dataclass(frozen=True)
class Story:
    """What led to a broken promise on a `level`: the `events`, with which `task` it ends ("" if with none), and how.

    `traceback` holds the learner's own lines, if one of them raised; `printed` what the broker has printed on the way.
    """

    level: int
    events: tuple[Event, ...]
    task: str
    ending: str
    traceback: str = ""
    printed: str = ""

    def __len__(self) -> int:
        return len(self.events)

    @property
    def sentence(self) -> str:
        """The story of its task, or of all, in one sentence."""
        told = "".join(self._clauses())
        ending = self.ending if self.ending.startswith(("; ", ", ", ": ")) else f"; {self.ending}"
        return (told + ending).removeprefix("; ")

    @property
    def workers(self) -> list[str]:
        """The names of all workers, as they come."""
        return list(dict.fromkeys(event.worker for event in self.events if event.worker))

    def as_dict(self) -> dict[str, Any]:
        """The story as JSON can have it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Story:
        """The story that `as_dict` gave."""
        return replace(cls(**told), events=tuple(Event(**event) for event in told["events"]))

    def _clauses(self) -> Iterator[str]:
        """What happened to the task, each clause with what stands before it."""
        events = [e for e in self.events if e.kind == "died" or not self.task or e.task == self.task]
        if self.task and any(event.kind == "took" for event in events):
            events = [event for event in events if event.kind != "put"]
        who, taken = "", set[str]()
        for event in events:
            if event.kind == "nothing":
                continue  # the ending tells it
            if event.worker and event.worker == who:
                yield ", " + _same(event, event.task in taken)
            else:
                yield "; " + _other(event, event.task in taken)
            who = event.worker
            if event.kind == "took":
                taken.add(event.task)


def _same(event: Event, again: bool) -> str:
    """What a worker did next; `again`: its task was given before."""
    took = f"was given it at {event.at:.1f}" if again else f"took {event.task}" if event.task else "asked"
    return {
        "took": took,
        "done": f"and its result {_counted(event)}",
        "late": f"came back, and its result {_counted(event)}",
        "again": f"told its result again, and it {_counted(event)}",
        "killed": "was killed",
        "froze": "froze",
    }[event.kind]


def _other(event: Event, again: bool) -> str:
    """What happened to somebody else than before."""
    if event.kind == "put":
        return f"{event.task} was put"
    if event.kind == "failed":
        return f"{event.task} was given up"
    if event.kind == "died":
        return f"the master died{event.text and f' {event.text}, just after a write,'} and came back"
    if event.kind == "done":
        return f"the result of {event.worker} {_counted(event)}"
    return f"{event.worker} {_same(event, again)}"


def _counted(event: Event) -> str:
    if not event.heard:
        return "was brought"
    return "was counted" if event.counted else "was not counted"
