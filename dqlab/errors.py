"""What can go wrong, as one family: `except DqlabError` catches all of it.

The message of an error says what was wrong, with which value, and what to do. A task that raised is not in this
family: its own exception arrives at the client unchanged, with the worker's traceback as `__cause__`.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AuthenticationFailed",
    "BacklogFull",
    "BadInput",
    "ConnectionFailed",
    "DqlabError",
    "LaunchFailed",
    "MasterGone",
    "NotDqlab",
    "NotInstalled",
    "Refused",
    "TaskFailed",
    "TaskTimeout",
    "WrongType",
]


class DqlabError(Exception):
    """Base of every error that dqlab raises itself. `hint` says what to do about it ("" if nothing)."""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class BadInput(DqlabError, ValueError):
    """An argument that makes no sense; refused before anything changed."""


class WrongType(BadInput, TypeError):
    """The same, where its type is what makes no sense: Python itself would raise a `TypeError`."""


class ConnectionFailed(DqlabError, ConnectionError):
    """No master answers at that address."""


class AuthenticationFailed(ConnectionFailed):
    """A master answers, but it has another key."""


class MasterGone(ConnectionFailed):
    """The master was there and is no longer, and did not come back in the time given."""


class Refused(DqlabError):
    """The master understood the request and does not do it."""


class NotDqlab(Refused):
    """A BaseManager answers that knows nothing of dqlab."""


class NotInstalled(DqlabError, ImportError):
    """Something is used for which a package is missing that only an extra installs; the hint is the command."""


class BacklogFull(DqlabError):
    """The queue holds as many waiting tasks as the master allows."""


class LaunchFailed(DqlabError):
    """A process that was to be started did not come up; the message holds its own words."""


class TaskFailed(DqlabError):
    """The task ended as failed without an exception of its own: its workers died, or its lease ran out.

    `reason` is the last cause, `attempts` the number of deliveries, `history` a list of
    `(worker, reason)`, one for each delivery that ended badly (the last hundred of them).
    """

    def __init__(self, message: str = "", reason: str = "", attempts: int = 0, history: tuple = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.attempts = attempts
        self.history = list(history)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.reason, self.attempts, tuple(self.history))


class TaskTimeout(TaskFailed, TimeoutError):
    """The task ran longer than its `timeout=` and its process was ended."""
