"""Workers, children and clients killed with SIGKILL at random instants, with an oracle that knows what was accepted.

A client is a process that says on its standard output which tasks the master has accepted. Whatever dies whenever, each
of these must have exactly one outcome at the end, and nothing may be left running. `DQLAB_HARNESS` (a factor) makes it
long: the run of `make test PART=long` has a thousand kills.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import psutil
import pytest

from dqlab import LaunchFailed, LocalWorkers, Master
from tests.cluster import all_events, child_of, cluster, script, start
from tests.helpers import eventually

#: kills in a short run, and how many times as many in this one
KILLS, FACTOR = 30, float(os.environ.get("DQLAB_HARNESS", "1"))
#: workers at a time
WORKERS = 3
#: seconds between two kills
LEAST, MOST = 0.01, 0.12

CLIENT = """
import sys, time
from dqlab import connect

def nap(x):
    time.sleep(0.004)
    return x

client = connect(sys.argv[1]).options(max_attempts=1000)
while True:
    futures = [client.submit(nap, x) for x in range(20)]
    client.flush(30)
    print(*[future.task_id for future in futures], flush=True)
    assert [future.result(60) for future in futures] == list(range(20))
"""


class Clients:
    """Client processes, one at a time, and all that any of them was told to be accepted."""

    def __init__(self, master: Master, folder: Path) -> None:
        self.accepted: list[int] = []
        self._command = [str(script(folder, CLIENT)), str(master.connection_file)]
        self._begin()

    def _begin(self) -> None:
        self.process = start(*self._command)
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                self.accepted += map(int, line.split())

    def kill(self) -> None:
        """SIGKILL, and another one begins."""
        self.end()
        self._begin()

    def end(self) -> None:
        self.process.kill()
        self.process.wait(20)
        self._listener.join(20)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()


def kill_something(chance: random.Random, workers: LocalWorkers, clients: Clients) -> str:
    """One SIGKILL; what was killed is started again. Returns what it was."""
    what = chance.choice(["worker", "worker", "child", "child", "child", "client"])
    if what == "client":
        clients.kill()
    elif what == "worker":
        workers.kill(chance.choice(workers.names))
    else:
        with contextlib.suppress(psutil.NoSuchProcess):  # that of a worker which gives up, see below, just now
            pid = workers.pids[chance.choice(workers.names)]
            for child in psutil.Process(pid).children() or [child_of(pid)]:
                child.send_signal(signal.SIGKILL)
    if len(workers) < WORKERS:  # also one that gave up, as its child was killed three times before it was ready
        workers.add(WORKERS - len(workers))
        with contextlib.suppress(LaunchFailed):  # it tells of that one, too
            workers.wait(60)
    return what


@pytest.mark.timeout(120 + 2 * KILLS * FACTOR)
def test_whatever_is_killed_whenever_each_accepted_task_ends_once(tmp_path: Path) -> None:
    chance, rest, killed = random.Random(12), threading.Event(), Counter[str]()
    with cluster(WORKERS, backlog=100_000) as (master, workers):
        clients = Clients(master, tmp_path)
        done: Counter[int] = Counter()
        seen = 0
        try:
            eventually(lambda: clients.accepted, 30, "the first tasks")
            for _ in range(round(KILLS * FACTOR)):
                rest.wait(chance.uniform(LEAST, MOST))
                killed[kill_something(chance, workers, clients)] += 1
                for event in all_events(master, since=seen):
                    seen = event["seq"]
                    done[event.get("task", 0)] += event["kind"] == "done"
        finally:
            clients.end()
        eventually(lambda: not unfinished(master), 60, "all that was accepted has ended")
        for event in all_events(master, since=seen):
            done[event.get("task", 0)] += event["kind"] == "done"
        assert clients.accepted and set(killed) == {"worker", "child", "client"}, killed
        assert [task for task in clients.accepted if done[task] != 1] == [], "lost, or done twice"
        assert master.stats()["queues"]["default"]["failed"] == 0


def unfinished(master: Master) -> int:
    counts = master.stats()["queues"]["default"]
    return counts["ready"] + counts["delayed"] + counts["leased"]
