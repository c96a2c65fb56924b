"""How a client's tasks are treated: where they wait, how often they are tried, how long one may run."""

from __future__ import annotations

from dataclasses import dataclass

from dqlab.client.submission import Style
from dqlab.errors import BadInput
from dqlab.wire.messages import PLAIN, check_queue

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """How tasks are treated.

    ``queue``: where they wait. ``retries``: how often a task that raised, or ran too long, is tried again.
    ``timeout``: seconds that one may run. ``max_attempts``: deliveries after which a task that keeps losing its worker
    is failed (None: as the master has it). ``when_full``: whether `submit` shall "wait" or "raise" when the backlog is.
    """

    queue: str = "default"
    retries: int = 0
    timeout: float | None = None
    max_attempts: int | None = None
    when_full: str = "wait"

    def __post_init__(self) -> None:
        check_queue(self.queue)
        if self.queue == PLAIN:
            raise BadInput("queue 'plain' holds plain tasks only", "put them with master.tasks.put")
        if not isinstance(self.retries, int) or self.retries < 0:
            raise BadInput(f"retries={self.retries!r}", "a whole number from 0")
        if self.timeout is not None and not (isinstance(self.timeout, int | float) and self.timeout > 0):
            raise BadInput(f"timeout={self.timeout!r}", "seconds, above 0, or None")
        if self.max_attempts is not None and (not isinstance(self.max_attempts, int) or self.max_attempts < 1):
            raise BadInput(f"max_attempts={self.max_attempts!r}", "a whole number from 1")
        if self.when_full not in ("wait", "raise"):
            raise BadInput(f"when_full={self.when_full!r}", "'wait' or 'raise'")

    def style(self, kind: str, function: tuple[str, bytes, str], bound: str, most: int) -> Style:
        """What such tasks have in common; ``most`` is the master's ``max_attempts``."""
        digest, pickled, python = function
        attempts = self.max_attempts if self.max_attempts is not None else max(most, self.retries + 1)
        return Style(self.queue, kind, digest, python or bound, self.retries, self.timeout, attempts, pickled)
