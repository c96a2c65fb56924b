"""Who hears of each change of tasks, queues and clients: `changes.Changes`, where there is a journal, or nobody.

It stands below all that change, so it doesn't know their types: a run and a span are those of `tasks`.
"""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["ChangeListener"]


class ChangeListener(Protocol):
    """Is told by whoever makes a change, once it is made."""

    def submitted(self, run: Any) -> None:
        """A run is new."""

    def moved(self, span: Any) -> None:
        """A span is in another state, and with it the counts of its queue."""

    def span(self, span: Any) -> None:
        """Something else about a span is new: where it ends, or whether its outcome was read."""

    def through(self, run: Any) -> None:
        """Nobody will run these tasks again."""

    def dropped(self, span: Any) -> None:
        """A span is forgotten, and its run with the last one."""

    def queue(self, name: str) -> None:
        """A queue was paused, or goes on."""

    def client(self, number: int) -> None:
        """A client is new."""

    def client_gone(self, number: int) -> None:
        """A client is forgotten, and can't come back."""

    def answered(self, key: tuple[int, int, str]) -> None:
        """A client's thread is answered a numbered call, or has that answer."""
