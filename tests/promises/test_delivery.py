"""Nothing is lost and nothing comes twice, whichever process dies or freezes whenever."""

import os
import random
import signal
import threading
import time
from contextlib import suppress

import psutil
import pytest

from dqlab import LocalWorkers, as_completed
from tests.cluster import all_events, child_of, cluster, gone, times_done
from tests.helpers import eventually

#: seconds that one task takes
NAP = 0.05
TASKS = 200

rest = threading.Event()  #: never set; to wait a random time, not for something


def nap(x):
    time.sleep(NAP)
    return x * 3


def tiny(x):
    return x * 3


def a_while(chance, least, most):
    rest.wait(chance.uniform(least, most))


def busy_names(master):
    return [worker["name"] for worker in master.stats()["workers"] if worker["running"] is not None]


def check_exactly_once(master, futures):
    assert [future.result(30) for future in futures] == [3 * x for x in range(TASKS)]
    assert times_done(master) == {future.task_id: 1 for future in futures}
    counts = master.stats()["queues"]["default"]
    assert (counts["done"], counts["ready"], counts["leased"], counts["failed"]) == (TASKS, 0, 0, 0)


def redelivery_seconds(master, killed):
    """For each killed worker (name -> time), the seconds until its tasks were ready again."""
    back = {}
    for event in all_events(master, "redelivered"):
        back[event["worker"]] = event["time"]
    return [back[name] - at for name, at in killed.items() if name in back]


def replace(workers):
    """Start another worker and wait until it can be killed too."""
    workers.add()
    workers.wait(timeout=30)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])
def test_two_hundred_tasks_survive_workers_killed_in_mid_task(seed):
    chance = random.Random(seed)
    with cluster(2, max_attempts=100) as (master, workers):
        futures = [master.submit(nap, x) for x in range(TASKS)]
        killed = {}
        # Who was busy when the master was asked may have ended its task before it was killed.
        while len(killed) < 17 or len(redelivery_seconds(master, killed)) < 12:
            a_while(chance, 0.0, 0.15)
            name = eventually(lambda: busy_names(master), what="a busy worker")[0]
            at = time.time()
            workers.kill(name)
            killed[name] = at
            master.pause()  # or the tasks would run out on a machine that takes long to start a worker
            replace(workers)
            master.resume()
            if all(future.done() for future in futures):
                break
        check_exactly_once(master, futures)
        lost = redelivery_seconds(master, killed)
        assert len(lost) >= 12
        assert max(lost) < 2.0
        assert sorted(lost)[len(lost) // 2] < 0.25


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_two_hundred_tasks_survive_children_killed_in_mid_task(seed, tmp_path):
    def marked_nap(x):
        mark = tmp_path / str(os.getpid())
        mark.touch()
        time.sleep(NAP)
        mark.unlink()
        return x * 3

    chance = random.Random(seed)
    with cluster(2, max_attempts=100) as (master, workers):
        futures = [master.submit(marked_nap, x) for x in range(TASKS)]
        kills = 0
        while kills < 25 and not all(future.done() for future in futures):
            mark = eventually(lambda: list(tmp_path.iterdir()), what="a running task")[0]
            a_while(chance, 0.0, NAP)
            mark.unlink(missing_ok=True)
            try:
                os.kill(int(mark.name), signal.SIGKILL)
            except ProcessLookupError:
                continue  # killed before, just as it had begun another task: its mark was left
            kills += 1
        check_exactly_once(master, futures)
        lost = all_events(master, "redelivered")
        assert kills == 25
        assert len(lost) >= 15
        assert {event["reason"] for event in lost} <= {
            "the task's process ended with SIGKILL",
            "its process died with the result",
        }
        assert sorted(workers.names) == ["w1", "w2"]  # the workers themselves went on


def test_workers_frozen_past_their_lease_bring_late_results_that_are_dropped():
    with cluster(2, lease=0.6, max_attempts=100) as (master, workers):
        futures = [master.submit(nap, x) for x in range(TASKS)]
        for _ in range(4):
            name = eventually(lambda: busy_names(master), what="a busy worker")[0]
            pid = workers.pids[name]
            frozen = [psutil.Process(pid), *psutil.Process(pid).children()]
            left = len(all_events(master, "worker_left"))
            try:
                for process in frozen:
                    process.suspend()
                eventually(lambda left=left: len(all_events(master, "worker_left")) > left, what="the lease's end")
            finally:
                for process in frozen:
                    with suppress(psutil.NoSuchProcess):  # the child, if its worker was quicker to end it
                        process.resume()
            eventually(lambda: len(master.stats()["workers"]) == 2, what="the worker joining again")
        check_exactly_once(master, futures)
        # On a busy machine the master's answers may be late as well; then the worker drops the line itself.
        reasons = {event["reason"] for event in all_events(master, "redelivered")}
        assert "no heartbeat for 0.6 s" in reasons
        assert reasons <= {"no heartbeat for 0.6 s", "its connection ended"}


def test_a_result_that_comes_after_the_lease_is_counted_and_dropped():
    """The child goes on while the worker is frozen: its outcome is in the pipe when the worker wakes."""
    with cluster(1, lease=0.6) as (master, workers):
        worker = psutil.Process(workers.pids["w1"])
        seen = 0
        for attempt in range(10):
            future = master.options(max_attempts=100).submit(nap, attempt)
            eventually(lambda: busy_names(master) or future.done(), what="the task's start")
            left = len(all_events(master, "worker_left"))
            worker.suspend()
            try:
                eventually(lambda left=left: len(all_events(master, "worker_left")) > left, what="the lease's end")
            finally:
                worker.resume()
            assert future.result(10) == 3 * attempt
            seen = master.stats()["late"]
            if seen:
                break
        assert seen >= 1
        duplicates = all_events(master, "duplicate")
        assert len(duplicates) == seen
        assert set(times_done(master).values()) == {1}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_workers_killed_in_the_middle_of_a_map_of_tiny_tasks(seed):
    chance = random.Random(seed)
    n = 20_000
    with cluster(2, max_attempts=1000) as (master, workers):
        list(master.map(tiny, range(3000)))  # batches have grown to thousands
        base = master.stats()["queues"]["default"]["done"]
        killed = 0
        for _ in range(4):
            results = master.map(tiny, range(n))
            while killed < 12 and (name := next(iter(busy_names(master)), None)):
                workers.kill(name)
                killed += 1
                replace(workers)
                break
            a_while(chance, 0.0, 0.01)
            for name in workers.names[:1]:
                workers.kill(name)
                killed += 1
            replace(workers)
            assert list(results) == [3 * x for x in range(n)]
        assert killed >= 4
        counts = master.stats()["queues"]["default"]
        assert counts["done"] - base == 4 * n
        assert set(times_done(master).values()) == {1}


@pytest.mark.parametrize("seconds, n", [(0.0, 20_000), (0.0001, 5_000), (0.001, 600), (0.01, 100)])
def test_at_every_batch_size_a_killed_child_loses_nothing(seconds, n):
    def work(seconds):
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        return seconds

    chance = random.Random(n)
    with cluster(2, max_attempts=1000) as (master, workers):
        results = master.map(work, [seconds] * n)
        for _ in range(2):  # a worker whose child dies three times before it is up gives up
            for pid in workers.pids.values():
                a_while(chance, 0.0, 0.1)
                for child in psutil.Process(pid).children():
                    child.kill()
        assert list(results) == [seconds] * n
        assert set(times_done(master).values()) == {1}
        assert master.stats()["queues"]["default"]["failed"] == 0


def test_the_last_worker_killed_and_another_started_later():
    with cluster(1) as (master, workers):
        futures = [master.submit(nap, x) for x in range(5)]
        eventually(lambda: busy_names(master), what="a busy worker")
        workers.kill()
        eventually(lambda: master.stats()["workers"] == [], what="the worker's end")
        workers.add()
        assert [future.result(20) for future in as_completed(futures)]
        assert sum(times_done(master).values()) == 5


def test_a_killed_worker_takes_its_child_with_it(tmp_path):
    def long_at_first():
        if not (tmp_path / "begun").exists():
            (tmp_path / "begun").touch()
            time.sleep(60)

    with cluster(1) as (master, workers):
        child = child_of(workers.pids["w1"])
        future = master.submit(long_at_first)
        eventually((tmp_path / "begun").exists, what="a task in hand")
        workers.kill()
        eventually(lambda: gone(child.pid), timeout=3, what="the child's end")
        workers.add()
        assert future.result(20) is None


def test_a_worker_that_was_killed_while_idle_costs_nothing():
    with cluster(2) as (master, workers):
        workers.kill("w1")
        eventually(lambda: len(master.stats()["workers"]) == 1, what="the news of its end")
        assert [master.submit(tiny, x).result(10) for x in range(5)] == [0, 3, 6, 9, 12]
        assert master.stats()["queues"]["default"]["redelivered"] == 0


def test_all_workers_frozen_and_back_lose_nothing():
    with cluster(2, lease=0.6) as (master, workers):
        futures = [master.options(max_attempts=50).submit(nap, x) for x in range(40)]
        pids = list(workers.pids.values())
        everything = [p for pid in pids for p in (psutil.Process(pid), *psutil.Process(pid).children())]
        try:
            for process in everything:
                process.suspend()
            eventually(lambda: len(all_events(master, "worker_left")) >= 2, what="both leases' end")
        finally:
            for process in everything:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
        assert [future.result(20) for future in futures] == [3 * x for x in range(40)]
        assert set(times_done(master).values()) == {1}


def test_a_second_launcher_takes_over():
    with cluster(1) as (master, first):
        futures = [master.submit(nap, x) for x in range(30)]
        second = LocalWorkers(master, 1).wait(timeout=30)
        first.kill()
        assert [future.result(20) for future in futures] == [3 * x for x in range(30)]
        second.stop()
        assert len(second) == 0


def test_the_master_holding_the_tasks_frozen_for_longer_than_the_lease():
    """The whole machine slept: nothing is lost, whoever's lease is taken for expired."""
    with cluster(2, lease=0.6, max_attempts=100) as (master, _workers):
        futures = [master.submit(nap, x) for x in range(40)]
        eventually(lambda: busy_names(master), what="a busy worker")
        os.kill(master.pid, signal.SIGSTOP)
        try:
            rest.wait(2.0)
        finally:
            os.kill(master.pid, signal.SIGCONT)
        assert [future.result(20) for future in futures] == [3 * x for x in range(40)]
        assert set(times_done(master).values()) == {1}
