"""What somebody may wait for: the broker says what has become possible, and whoever waits for it is asked again. Pure.

Each kind of news is made here and nowhere else, so that who says it and who waits for it can't mean different things.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "ANY_QUEUE",
    "EVENTS",
    "IDLE",
    "PLAIN_RESULTS",
    "ROOM",
    "Topic",
    "What",
    "commands",
    "named",
    "ready",
    "results",
    "stopping",
]


class What(StrEnum):
    """Kinds of news."""

    __hash__ = str.__hash__  # that of an `Enum` is a function of Python, and topics are looked up for each task

    READY = "ready"  #: tasks of a queue may be had, or room for them has changed
    RESULTS = "results"  #: something of a client's has ended
    COMMANDS = "commands"  #: a worker is to be told something
    STOPPING = "stopping"  #: a worker is to end
    PLAIN_RESULTS = "plain results"  #: the plain result queue has a value
    ROOM = "room"  #: a plain queue may have room for a value
    IDLE = "idle"  #: a plain task has ended
    EVENTS = "events"  #: something has happened
    NAMED = "named"  #: a further queue or event of scripts has changed


class Topic(NamedTuple):
    """One kind of news, about one queue, client or worker (or about all)."""

    what: What
    about: str | int | None = None


def ready(queue: str) -> Topic:
    """Tasks of `queue` can be had."""
    return Topic(What.READY, queue)


def results(client: int) -> Topic:
    """Something waits for client number `client`."""
    return Topic(What.RESULTS, client)


def commands(worker: str) -> Topic:
    """Commands wait for a worker."""
    return Topic(What.COMMANDS, worker)


def stopping(worker: str) -> Topic:
    """A worker is to end, and gets no more tasks."""
    return Topic(What.STOPPING, worker)


def named(name: str) -> Topic:
    """A further queue or event of scripts has changed."""
    return Topic(What.NAMED, name)


#: for who waits for tasks of whatever queue
ANY_QUEUE = ready("")
PLAIN_RESULTS, ROOM, IDLE, EVENTS = map(Topic, (What.PLAIN_RESULTS, What.ROOM, What.IDLE, What.EVENTS))
