"""Lesson 11: forty tasks that need the same data, and one that is urgent; what travels is weighed by a tap."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import dqlab
from dqlab.errors import DqlabError
from dqlab.lessons.check.answer import Answer
from dqlab.lessons.check.verdict import NotYet, a_function, checker
from dqlab.lessons.tap import Tap

__all__ = ["light_job", "match"]

#: bytes of the atlas, and tasks that need it: together 50 MB
ATLAS, TASKS = 1_250_000, 40
#: seconds of one comparison, and workers that do it
SECONDS, WORKERS = 0.15, 2
#: bytes that may travel in all, seconds within which the urgent one is done, tasks that are then still to be done
LIGHT, SOON, LEFT = 1_000_000, 1.0, 10
#: tasks that are left when the urgent one has passed all it can: then a slow second is the machine's
MOST_LEFT = 28
#: seconds that the whole may take
PATIENCE = 40.0
#: bytes of a message that the tap keeps
KEPT = 200
NAMES = [f"{number}.png" for number in range(TASKS)]


def match(atlas: bytes, name: str) -> str:
    """Compare the picture of that name with the atlas, which takes a while; return what was found.

    Raises `DqlabError` where no worker calls it.
    """
    if not dqlab.current():
        raise DqlabError("check.match wants to be called by a worker, and this is your own process")
    time.sleep(SECONDS)
    return hashlib.sha256(atlas + name.encode()).hexdigest()[:8]


@checker
def light_job(bulk: Callable[..., Any], urgent: Callable[..., Any]) -> str:
    """Run `bulk(client, atlas, names)`, and `urgent(client, atlas, name)` while its tasks wait; weigh what travels."""
    a_function(bulk)
    a_function(urgent)
    atlas = random.Random(11).randbytes(ATLAS)
    with dqlab.Master() as master, dqlab.LocalWorkers(master, WORKERS) as workers:
        workers.wait(60)
        list(master.map(abs, range(4 * WORKERS), timeout=60))  # everybody has begun
        with Tap(master.connection.port, keep=KEPT) as tap:
            arguments = (bulk, urgent, atlas, tap.port, master.connection.authkey)
            with Answer(_job, *arguments, seconds=PATIENCE, learner=bulk, name="your job") as run:
                results, hurried, seconds, left = run.result()
            tap.mark("job")
        carried = tap.carried("job")
    _right(results, hurried, atlas)
    if left < LEFT:
        raise NotYet(
            f"all results are right, and when the urgent one came, after {seconds:.1f} s, {left} of {TASKS} others "
            "were left: that is the end of the line. Whose turn is it, if the urgent one has a queue of its own?"
        )
    if seconds >= SOON and left < MOST_LEFT:
        raise NotYet(
            f"all results are right, and the urgent one took {seconds:.1f} s; less than {SOON:g} s is asked for. What "
            "did it wait for?"
        )
    if carried >= LIGHT:
        raise NotYet(
            f"all results are right, the urgent one came after {seconds:.2f} s, and {carried / 1e6:.1f} MB went over "
            f"the wire; less than {LIGHT / 1e6:g} MB is asked for. The atlas has {ATLAS / 1e6:g} MB: how often does it "
            "travel, and can a worker get it some other way?"
        )
    return (
        f"{TASKS} of {TASKS} results, {carried / 1e6:.2f} MB on the wire instead of 50 MB; the urgent one came after "
        f"{seconds:.2f} s, before more than {LEFT} others."
    )


def _job(bulk: Callable[..., Any], urgent: Callable[..., Any], atlas: bytes, port: int, key: bytes) -> tuple[Any, ...]:
    """In the answer's process: the results of both, seconds of the urgent one, and how many others were left then."""
    with dqlab.connect(f"127.0.0.1:{port}", authkey=key) as client:
        given = bulk(client, atlas, list(NAMES)) or ()
        results = given if isinstance(given, Iterable) else [given]
        client.flush(PATIENCE)
        began = time.monotonic()
        hurried = _value(urgent(client, atlas, "urgent.png"))
        seconds = time.monotonic() - began
        counts = client.stats()["queues"].values()
        left = sum(count[state] for count in counts for state in ("ready", "leased", "delayed"))
        return [_value(result) for result in results], hurried, seconds, left


def _value(result: Any) -> Any:
    """What a future brings, or the result itself."""
    return result.result(PATIENCE) if hasattr(result, "result") else result


def _right(results: list[Any], hurried: Any, atlas: bytes) -> None:
    if len(results) != TASKS:
        raise NotYet(f"my_bulk should give {TASKS} futures or results, one for each name, and it gave {len(results)}.")
    expected = [hashlib.sha256(atlas + name.encode()).hexdigest()[:8] for name in [*NAMES, "urgent.png"]]
    for name, result, right in zip([*NAMES, "urgent.png"], [*results, hurried], expected, strict=True):
        if result != right:
            raise NotYet(f"the result of {name} is {result!r:.60}, and should be {right!r}. Was it the same atlas?")
