"""The life of a worker: joining, stopping after the task in hand, a master that goes away and comes back."""

import os
import random
import signal
import threading
import time

import psutil
import pytest

from dqlab import LocalWorkers, Master, MasterGone, connect
from tests.cluster import all_events, child_of, cluster, gone, script, start
from tests.helpers import eventually, free_port

KEY = b"0123456789abcdef-key"


def double(x):
    return 2 * x


def busy(master):
    return [worker for worker in master.stats()["workers"] if worker["running"] is not None]


def test_stats_show_who_works():
    with cluster(2, queues=["default", "other"]) as (master, workers):
        future = master.submit(time.sleep, 2.0)
        eventually(lambda: busy(master), what="a busy worker")
        shown = {worker["name"]: worker for worker in master.stats()["workers"]}
        assert {name: worker["pid"] for name, worker in shown.items()} == workers.pids
        assert sorted(worker["state"] for worker in shown.values()) == ["busy", "idle"]
        assert [worker["running"] for worker in busy(master)] == [future.task_id]
        assert all(worker["queues"] == ["default", "other"] for worker in shown.values())
        assert future.result(10) is None


@pytest.mark.parametrize("how", ["stop_worker", "terminate", "stop"])
def test_a_stopped_worker_finishes_the_task_in_hand_and_gives_the_rest_back(how, tmp_path):
    def nap():
        (tmp_path / "begun").touch()
        time.sleep(0.5)

    with cluster(1, max_attempts=1) as (master, workers):
        futures = [master.submit(nap) for _ in range(4)]
        eventually((tmp_path / "begun").exists, what="a task in hand")
        pid = workers.pids["w1"]
        if how == "stop_worker":
            master.stop_worker("w1")
        elif how == "terminate":
            os.kill(pid, signal.SIGTERM)
        else:
            threading.Thread(target=workers.stop).start()
        eventually(lambda: gone(pid) or len(workers) == 0, what="the worker's end")
        assert futures[0].result(5) is None
        counts = master.stats()["queues"]["default"]
        assert (counts["done"], counts["failed"], counts["redelivered"]) == (1, 0, 0)
        assert counts["ready"] == 3
        LocalWorkers(master, 1)
        assert [future.result(20) for future in futures] == [None] * 4
        left = all_events(master, "worker_left")[0]
        assert (left["worker"], left["reason"]) == ("w1", "stopped")


def test_workers_stopped_at_any_instant_cost_no_attempt():
    """With one attempt for each task, whatever a leaving worker was given must come back unharmed."""
    chance, rest = random.Random(7), threading.Event()
    with cluster(2, max_attempts=1) as (master, workers):
        futures = [master.submit(time.sleep, 0.002) for _ in range(1500)]
        for _ in range(8):
            rest.wait(chance.uniform(0, 0.1))
            os.kill(chance.choice(list(workers.pids.values())), signal.SIGTERM)
            workers.add()
            eventually(lambda: len(workers) >= 2 and workers.wait(20), what="two workers")
        assert [future.result(30) for future in futures] == [None] * 1500
        counts = master.stats()["queues"]["default"]
        assert (counts["failed"], counts["redelivered"]) == (0, 0)
        assert {event["reason"] for event in all_events(master, "worker_left")} == {"stopped"}


def test_an_idle_worker_stops_at_once():
    with cluster(1) as (master, workers):
        pid = workers.pids["w1"]
        began = time.monotonic()
        master.stop_worker("w1")
        eventually(lambda: gone(pid) or len(workers) == 0, what="the worker's end")
        assert time.monotonic() - began < 3


def test_a_worker_that_nobody_knows_cannot_be_stopped():
    with cluster(1) as (master, _), pytest.raises(Exception, match="no worker 'w7'.*w1"):
        master.stop_worker("w7")


def test_workers_find_a_master_that_was_started_again(tmp_path):
    port, file = free_port(), tmp_path / "master.json"
    key = tmp_path / "key"
    key.write_bytes(KEY)
    first = Master(port=port, authkey_file=key, connection_file=file)
    worker = start("-m", "dqlab", "worker", f"127.0.0.1:{port}", "--authkey-file", str(key))
    try:
        assert first.submit(double, 1).result(20) == 2
        child = child_of(worker.pid)
        os.kill(first.pid, signal.SIGKILL)
        with pytest.raises(MasterGone):
            first.submit(double, 1).result(20)
        first.shutdown(wait=False)
        with Master(port=port, authkey_file=key, connection_file=file) as second:
            assert second.submit(double, 2).result(20) == 4
            assert worker.poll() is None
            assert second.stats()["workers"][0]["pid"] == worker.pid
        worker.wait(10)  # the second said goodbye
        eventually(lambda: gone(child.pid), what="the child's end")
        assert worker.returncode == 0
    finally:
        worker.kill()
        worker.communicate()


def test_a_worker_gives_up_after_a_time_that_it_states(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(KEY)
    worker = start("-m", "dqlab", "worker", f"127.0.0.1:{free_port()}", "--authkey-file", str(key), "--give-up", "0.5")
    _, err = worker.communicate(timeout=20)
    assert worker.returncode == 1
    assert "no master for 0.5 s" in err
    assert "Traceback" not in err


def test_the_end_of_the_masters_block_ends_workers_started_by_hand():
    with Master() as master:
        worker = start("-m", "dqlab", "worker", str(master.connection_file))
        try:
            assert master.submit(double, 1).result(20) == 2
        finally:
            master.shutdown()
            _, err = worker.communicate(timeout=20)
    assert worker.returncode == 0
    assert "joined" in err


def test_the_end_of_a_client_leaves_workers_alone():
    with cluster(1) as (master, workers):
        with connect(master.connection_file) as client:
            assert client.submit(double, 1).result(20) == 2
        assert len(workers) == 1
        assert master.submit(double, 2).result(20) == 4


def test_a_heartbeat_keeps_the_lease_of_a_long_task():
    with cluster(2, lease=1.5) as (master, _):  # a heartbeat every half second, with a second to be late
        assert master.submit(time.sleep, 4.0).result(20) is None
        counts = master.stats()["queues"]["default"]
        assert (counts["done"], counts["redelivered"]) == (1, 0)


def test_a_handler_serves_the_plain_queue(tmp_path, monkeypatch):
    script(tmp_path, "def shout(text):\n    return text.upper() + '!'\n", name="handlers.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Master() as master:
        LocalWorkers(master, 1, handler="handlers:shout").wait(timeout=30)
        master.tasks.put_many(["a", "b", "c"])
        assert sorted(master.results.get(timeout=20) for _ in range(3)) == ["A!", "B!", "C!"]
        assert master.submit(double, 1).result(20) == 2  # it serves the other queues too
        master.tasks.join()


def test_a_worker_without_a_handler_leaves_plain_tasks_alone():
    with cluster(1) as (master, _):
        master.tasks.put("a")
        assert master.submit(double, 1).result(20) == 2
        assert master.tasks.qsize() == 1
        assert master.tasks.get(timeout=5) == "a"


def test_workers_do_not_run_tasks_in_their_own_process():
    with cluster(1) as (master, workers):
        assert master.submit(os.getpid).result(20) == child_of(workers.pids["w1"]).pid
        assert psutil.Process(workers.pids["w1"]).num_threads() < 10
