"""A worker is killed with SIGKILL in mid-task: seconds until another worker has its task."""

from __future__ import annotations

import time

from dqlab import LocalWorkers, Master
from tests.benchmarks.harness import Row, Table, nap

KILLS = 10


def run() -> list[Table]:
    times = []
    with Master() as master, LocalWorkers(master, 2) as workers:
        workers.wait()
        for _ in range(KILLS):
            futures = [master.submit(nap, 0.5) for _ in range(2)]
            while sum(worker["state"] == "busy" for worker in master.stats()["workers"]) < 2:
                pass
            since = master.events()[-1]["seq"]
            killed = time.time()
            workers.kill()
            assert [future.result(30) for future in futures] == [0.5, 0.5]
            back = next(e["time"] for e in master.events(since) if e["kind"] == "redelivered")
            times.append((back - killed) * 1e3)
            workers.add()
            workers.wait()
    times.sort()
    rows = [Row("median", times[len(times) // 2]), Row("longest", times[-1])]
    return [Table(f"From SIGKILL until the task is ready again, {KILLS} kills", "ms", rows)]
