"""Lesson 01: a client from raw messages, whose round trips are counted on the wire."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import dqlab
from dqlab.lessons.check.answer import Answer
from dqlab.lessons.check.verdict import NotYet, a_function, a_number, checker
from dqlab.lessons.tap import Message, Tap, said

__all__ = ["raw_client"]

#: the key of the plain scripts
KEY = b"abc"
#: seconds that an answer may run
PATIENCE = 8.0


@checker
def raw_client(answer: Callable[[tuple[str, int], bytes], Any], round_trips: Any = ...) -> str:
    """Let `answer(address, key)` take one task and give its result, and count its round trips."""
    a_function(answer)
    with dqlab.Master(authkey=KEY) as master, Tap(master.connection.port) as tap:
        url = f"url_{random.randrange(1000)}"  # nobody can know it who has not taken it
        master.tasks.put(url)
        trouble = _trouble(answer, ("127.0.0.1", tap.port))
        tap.mark("answer")
        messages = [message for message in tap.sections["answer"] if not message.in_handshake]
        _understood(messages, trouble)
        if trouble:
            raise trouble
        counts = master.stats()["queues"]["plain"]
        if counts["done"] == 0 and counts["redelivered"]:
            raise NotYet(
                f"your client took {url}, and its connection ended before there was a result: now {url} waits for "
                "somebody else. Where does the result go, and over which connection?"
            )
        if counts["done"] == 0:
            raise NotYet(f"your client came and went, and {url} is still not done. Which message takes a task?")
        results = [master.results.get_nowait() for _ in range(master.results.qsize())]
    if results != [f"{url} ------> success"]:
        held = " and ".join(map(repr, results)) or "nothing"
        raise NotYet(f"the result queue should hold '{url} ------> success', and it holds {held:.200}")
    asked = sum(message.direction == "->" for message in messages)
    if round_trips is ...:
        raise NotYet(f"the task is done, with {asked} round trips after the handshake; you have not said how many.")
    if a_number(round_trips) != asked:
        raise NotYet(
            f"the task is done, with {asked} round trips after the handshake; you said {round_trips!r}. Which are they?"
        )
    return f"{url} is done, with {asked} round trips after the handshake, as you said."


def _trouble(answer: Callable[..., Any], address: tuple[str, int]) -> NotYet | None:
    """What went wrong with the answer, if anything."""
    try:
        with Answer(_silently, answer, address, KEY, seconds=PATIENCE, learner=answer) as run:
            run.result()
    except NotYet as not_yet:
        return not_yet
    return None


def _silently(answer: Callable[..., Any], *args: Any) -> None:
    """Run the answer; what it returns doesn't matter."""
    answer(*args)


def _understood(messages: list[Message], trouble: NotYet | None) -> None:
    """The master has understood every message."""
    for message in messages:
        if message.direction == "<-" and (reply := said(message.data))[0] == "#TRACEBACK":
            if "Ellipsis" in reply[1]:
                raise NotYet("one of your messages still has dots (...) in it.")
            details = trouble.details if trouble else ""
            raise NotYet(f"the master answered one of your messages with: {reply[1].strip()}", details)
