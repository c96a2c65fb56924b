"""A master and its workers in virtual time: the real broker, and the seconds that it takes here.

    client ──submit, collect──> ┌ master ───────────────────────────────┐ <──exchange, heartbeat── worker
                                │ one call at a time, each as long as   │
           <─────outcomes────── │ the broker takes for it on this       │ ──leases, half a trip──>
                                │ machine                               │
                                └───────────────────────────────────────┘

Tasks take no time here, and their seconds there. What sockets and pickles cost a real master is left out: this is the
most that a master with this broker could do.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from random import Random

from dqlab.errors import BadInput
from dqlab.master.simulated_master import SimulatedMaster
from dqlab.master.simulated_worker import SimulatedWorker
from dqlab.wire.checks import whole

__all__ = ["SimulationResult", "simulate"]

#: seconds of this thread alone: others who want the machine make no broker slower
CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter
#: what may be asked for
HOW_MANY = {"workers": whole(1, 1_000_000), "tasks": whole(1, 100_000_000)}


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """
    What `simulate` found. `lasted` is virtual seconds, from the first task submitted to the last one done.

    `throughput` is tasks/s, `utilisation` the share of their time that workers worked, `master` the share of the time
    in which the master was busy: at 1 it is the narrowest place, and more workers bring nothing.
    """

    workers: int
    tasks: int
    lasted: float
    throughput: float
    utilisation: float
    master: float

    def __str__(self) -> str:
        return (
            f"{self.workers:,} workers: {self.throughput:,.0f} tasks/s, workers busy {self.utilisation:.0%}, "
            f"master busy {self.master:.0%}"
        )


def simulate(
    *, workers: int = 10_000, tasks: int = 100_000, seconds: float = 0.2, trip: float = 0.001, seed: int = 0
) -> SimulationResult:
    """
    Let `workers` do `tasks` on paper, and say how fast they would be, and how busy the master.

    A task takes from half of `seconds` to one and a half; `trip` is the seconds of a message there and back; the same
    `seed` draws the same tasks. The broker is the real one, and takes what it takes on this machine, so that no two
    runs are quite equal. Raises `BadInput` for what makes no sense.
    """
    for name, value in (("workers", workers), ("tasks", tasks)):
        HOW_MANY[name](name, value)
    if not (0 <= seconds < math.inf and 0 <= trip < math.inf):
        raise BadInput(f"seconds={seconds} and trip={trip} make no sense", "both are seconds, 0 or more")
    random = Random(seed)
    master = SimulatedMaster(lambda task: seconds * random.uniform(0.5, 1.5), seed=seed, trip=trip, clock=CLOCK)
    for _ in range(workers):
        SimulatedWorker(master)
    master.submit(tasks)
    master.run()
    lasted = master.finished
    return SimulationResult(
        workers=workers,
        tasks=tasks,
        lasted=lasted,
        throughput=tasks / lasted,
        utilisation=master.worked / (workers * lasted),
        master=min(1.0, master.busy / lasted),
    )
