"""What happens in a story, one event after another, and how each is told."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Event"]


@dataclass(frozen=True)
class Event:
    """Something that happened `at` so many seconds, to a `worker` ("" if to none) and with a `task` ("" if with none).

    `kind` is one of "put", "took", "nothing" (it asks in vain), "done", "late" (done, by one that had been frozen),
    "again" (done, told again as nobody had answered), "killed", "froze", "failed" (given up) and "died" (the master).
    """

    at: float
    kind: str
    worker: str = ""
    task: str = ""
    counted: bool = False  #: a result is among the broker's results from then on
    heard: bool = True  #: the master lived to answer
    text: str = ""  #: in which call the master died, just after a write
