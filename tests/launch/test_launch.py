"""Processes that a script owns: they come up, are replaced and killed, and nothing of them is left."""

import os
import signal
import sys
import time

import psutil
import pytest

from dqlab import BadInput, LaunchFailed, LocalWorkers, Master, connect
from tests.cluster import child_of, cluster, gone, script, start
from tests.helpers import MARK, eventually, marked_processes


def double(x):
    return 2 * x


def test_workers_are_named_in_the_order_in_which_they_join():
    with cluster(2) as (master, workers):
        assert sorted(workers.names) == ["w1", "w2"]
        assert len(workers) == 2
        workers.add(1)
        assert workers.wait(timeout=30) is workers
        assert sorted(workers.names) == ["w1", "w2", "w3"]
        assert sorted(workers) == sorted(workers.names)
        assert master.launchers == [workers]
        assert repr(workers) == "<LocalWorkers, 3 running>"


def test_kill_names_whom_it_killed():
    with cluster(3) as (_, workers):
        assert workers.kill("w2") == "w2"
        eventually(lambda: len(workers) == 2, what="its end")
        assert "w2" not in workers.names
        assert workers.kill() in ("w1", "w3")
        with pytest.raises(BadInput, match="no worker 'w9'"):
            workers.kill("w9")


def test_stop_leaves_nothing():
    with cluster(2) as (master, workers):
        pids = list(workers.pids.values())
        children = [child_of(pid).pid for pid in pids]
        master.submit(double, 1).result(20)
        workers.stop()
        assert len(workers) == 0
        assert all(gone(pid) for pid in pids)
        eventually(lambda: all(gone(pid) for pid in children), timeout=3, what="the children's end")
        workers.stop()  # again
        assert master.stats()["workers"] == []


@pytest.mark.filterwarnings("ignore:dqlab. .* cancelled at the end of the master")
def test_stop_kills_who_does_not_end_in_time():
    with cluster(1) as (master, workers):
        master.submit(time.sleep, 60)
        eventually(lambda: any(w["running"] is not None for w in master.stats()["workers"]), what="a busy worker")
        began = time.monotonic()
        workers.stop(timeout=0.5)
        assert time.monotonic() - began < 5
        assert len(workers) == 0
        master.shutdown(wait=False)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "two"])
def test_a_number_of_workers_that_makes_no_sense(bad):
    with Master() as master:
        with pytest.raises(BadInput):
            LocalWorkers(master, bad)
        assert master.launchers == []


@pytest.mark.parametrize("bad", [{"queues": ["no blanks"]}, {"handler": "nocolon"}, {"handler": 5}])
def test_settings_that_make_no_sense_start_nothing(bad):
    with Master() as master:
        with pytest.raises(BadInput):
            LocalWorkers(master, 1, **bad)
        assert master.launchers == []


@pytest.mark.parametrize(
    "bad", [{"port": 70_000}, {"lease": 0}, {"max_attempts": 0}, {"backlog": 0}, {"authkey": b""},
            {"host": "0.0.0.0", "authkey": b"abc"}],
)  # fmt: skip
def test_a_master_that_makes_no_sense_is_not_started(bad):
    with pytest.raises(BadInput):
        Master(**bad)


def test_a_port_that_is_taken():
    with Master() as first, pytest.raises(LaunchFailed, match="cannot serve at 127.0.0.1"):
        Master(port=first.connection.port)


def test_the_connection_file_is_private_and_goes_with_the_master(tmp_path):
    file = tmp_path / "deep" / "master.json"
    with Master(connection_file=file) as master:
        assert master.connection_file == file
        assert file.stat().st_mode & 0o777 == 0o600
        assert os.listdir(file.parent) == ["master.json"]
        with connect(file) as client:
            assert client.address == master.address
    assert not file.exists()


def test_the_key_is_in_no_command_line_and_no_environment():
    with cluster(1) as (master, workers):
        key = master.connection.authkey.decode()
        pids = [master.pid, workers.pids["w1"], child_of(workers.pids["w1"]).pid]
        for process in map(psutil.Process, pids):
            assert key not in " ".join(process.cmdline())
            assert not any(key in value for value in process.environ().values())


@pytest.mark.filterwarnings("ignore:dqlab. .* cancelled at the end of the master")
def test_the_end_of_the_block_does_not_wait_for_what_nobody_can_do():
    began = time.monotonic()
    with cluster(1, queues=["served"]) as (master, _):
        master.options(queue="unserved").submit(double, 1)
        master.flush(10)
        assert master.options(queue="served").submit(double, 1).result(20) == 2
    assert time.monotonic() - began < 12
    with Master() as master:
        master.submit(double, 1)
    with cluster(1) as (master, _):
        master.pause("default")
        master.submit(double, 1)


def test_the_end_of_the_block_waits_for_what_is_under_way():
    with cluster(1) as (master, _):
        future = master.submit(time.sleep, 0.5)
    assert future.result(0) is None


def test_an_interrupt_while_the_master_comes_up_leaves_nothing(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dqlab.launch.master.Session", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Master()
    eventually(lambda: not marked_processes(os.environ[MARK]), timeout=5, what="the master's end")


@pytest.mark.filterwarnings("ignore:dqlab. .* cancelled at the end of the master")
def test_an_interrupt_of_the_end_leaves_nothing(tmp_path):
    class Impatient:
        stopped = False

        def wait(self):
            raise KeyboardInterrupt

        def stop(self, timeout=10.0):
            if timeout > 0:
                raise KeyboardInterrupt

    def work():
        (tmp_path / "begun").touch()
        time.sleep(60)

    master = Master()
    master.launchers.append(Impatient())
    workers = LocalWorkers(master, 1)
    master.submit(work)
    eventually((tmp_path / "begun").exists, timeout=30, what="a task in hand")
    with pytest.raises(KeyboardInterrupt):
        master.shutdown()
    eventually(lambda: len(workers) == 0 and not master._process.alive, timeout=5, what="the end of all")


def test_a_master_that_is_shut_down_twice():
    master = Master()
    master.shutdown()
    master.shutdown()
    with pytest.raises(RuntimeError):
        master.submit(double, 1)


OWNER = """
    import os, sys, time
    from dqlab import LocalWorkers, Master

    def work(folder):
        import multiprocessing, os, pathlib, time
        pid = os.fork()
        if not pid:  # a grandchild that keeps every pipe open
            pathlib.Path(folder, str(os.getpid())).touch()
            time.sleep(60)
            os._exit(0)
        time.sleep(60)

    if __name__ == "__main__":
        master = Master()
        workers = LocalWorkers(master, 2).wait(timeout=30)
        futures = [master.submit(work, sys.argv[1]) for _ in range(2)]
        master.flush(10)
        while len(os.listdir(sys.argv[1])) < 2:
            time.sleep(0.02)
        print("busy", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_owner_dies_everything_is_gone_within_five_seconds(tmp_path, how):
    forked = tmp_path / "forked"
    forked.mkdir()
    owner = start(script(tmp_path, OWNER), str(forked))
    try:
        assert owner.stdout.readline() == "busy\n"
        processes = psutil.Process(owner.pid).children(recursive=True)
        grandchildren = {int(name) for name in os.listdir(forked)}
        dqlabs = [process.pid for process in processes if process.pid not in grandchildren]
        assert len(dqlabs) >= 5  # a master, two workers, their children
        owner.send_signal(how)
        owner.wait(5)
        eventually(lambda: all(map(gone, dqlabs)), timeout=5, what="the end of all its processes")
    finally:
        owner.kill()
        for name in os.listdir(forked):
            os.kill(int(name), signal.SIGKILL)
        owner.communicate()


def test_an_owner_that_ends_by_itself_leaves_nothing(tmp_path):
    """Neither `with` nor `stop`: the script just ends, with work under way, which is finished."""
    path = script(
        tmp_path,
        """
        import time
        from dqlab import LocalWorkers, Master
        master = Master()
        workers = LocalWorkers(master, 2).wait(timeout=30)
        future = master.submit(time.sleep, 1)
        print(master.submit(pow, 2, 3).result(20), flush=True)
        """,
    )
    mark = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DQLAB_TEST_MARK": f"owner-{os.getpid()}"}
    owner = start(path, env=mark)
    try:
        out, err = owner.communicate(timeout=30)
        assert (out, err, owner.returncode) == ("8\n", "", 0)
        eventually(lambda: not marked_processes(mark["DQLAB_TEST_MARK"]), timeout=5, what="its processes' end")
    finally:
        owner.kill()


def test_a_handler_that_cannot_be_loaded_is_said_before_any_task_is_lost():
    with Master() as master:
        workers = LocalWorkers(master, 1, handler="nowhere:nothing")
        master.tasks.put("url")
        with pytest.raises(LaunchFailed, match="No module named 'nowhere'"):
            workers.wait(30)
        assert master.tasks.qsize() == 1
        assert master.events()[-1]["kind"] == "submitted"


def test_names_hold_a_worker_as_soon_as_it_has_joined_whether_or_not_anybody_waits():
    with cluster(1) as (_, workers):
        workers.add(1)
        eventually(lambda: workers.names == ["w1", "w2"], 30)
        assert list(workers.pids) == ["w1", "w2"]
        assert workers.kill("w2") == "w2"


def test_whoever_asks_for_names_does_not_make_a_wait_miss_the_end_of_a_worker():
    with Master() as master:
        workers = LocalWorkers(master, 1, handler="nowhere:nothing")
        eventually(lambda: not len(workers), 30)
        for _ in range(2):
            assert workers.names == []
            with pytest.raises(LaunchFailed, match="No module named 'nowhere'"):
                workers.wait(timeout=None)
