"""From nothing to the first result: master, two workers, one task."""

from __future__ import annotations

from dqlab import LocalWorkers, Master
from tests.benchmarks.harness import Table, compare, side_by_side, stopwatch, tiny
from tests.benchmarks.plain_loop import plain_loop


def _plain() -> float:
    with stopwatch() as seconds, plain_loop(tiny) as loop:  # its constructor has had one result
        took = seconds()
        loop.map(["url"])
    return took


def _dqlab() -> float:
    with stopwatch() as seconds, Master() as master:
        LocalWorkers(master, 2)
        master.submit(tiny, "url").result(30)
        return seconds()


def run(rounds: int = 5) -> list[Table]:
    values = side_by_side({"plain loop": _plain, "dqlab": _dqlab}, rounds)
    return [compare("Start to first result, 2 workers", "s", values, "plain loop")]
