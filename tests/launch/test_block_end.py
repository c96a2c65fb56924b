"""The end of a launcher's own block: its workers do first what only they can do, as those of any executor would."""

import os
import signal
import time

import pytest

from dqlab import LaunchFailed, LocalWorkers, Master, connect
from dqlab.launch.command_launcher import CommandLauncher
from tests.cluster import child_of, cluster, wait_for
from tests.helpers import eventually


def double(x):
    return 2 * x


def later(x):
    time.sleep(0.02)
    return 2 * x


@pytest.mark.parametrize("joined", [False, True])
def test_what_was_submitted_is_done_first_whether_or_not_the_workers_were_up(joined):
    with Master() as master, LocalWorkers(master, 2) as workers:
        if joined:
            workers.wait(30)
        futures = [master.submit(later, x) for x in range(20)]
        lazy = master.map(later, range(20, 40))
    assert [future.result(0) for future in futures] == [2 * x for x in range(20)]
    assert list(lazy) == [2 * x for x in range(20, 40)]


def test_after_an_error_too_and_with_workers_of_a_client():
    with Master() as master, connect(master.connection_file) as client:
        with pytest.raises(ZeroDivisionError), LocalWorkers(client.options(retries=0), 1):
            futures = [client.submit(later, x) for x in range(5)]
            raise ZeroDivisionError
        assert [future.result(30) for future in futures] == [2 * x for x in range(5)]
        assert master.stats()["workers"] == []


def test_whoever_is_interrupted_does_not_wait(tmp_path):
    with (
        pytest.warns(UserWarning, match="9 tasks were cancelled at the end of the master: workers were stopped"),
        pytest.raises(KeyboardInterrupt),
        Master() as master,
        LocalWorkers(master, 1) as workers,
    ):
        workers.wait(30)
        first, *rest = [master.submit(begin, str(tmp_path / "begun")) for _ in range(10)]
        eventually((tmp_path / "begun").exists, what="the first task's start")
        raise KeyboardInterrupt
    assert first.result(0) is None
    assert all(future.cancelled() for future in rest)


def test_what_others_do_is_left_to_them(tmp_path):
    go = tmp_path / "go"
    with cluster(1) as (master, _):
        with LocalWorkers(master, 1) as more:
            more.wait(30)
            futures = [master.submit(wait_for, str(go)) for _ in range(20)]
            eventually(lambda: sum(future.running() for future in futures) == 2, what="two tasks' start")
            go.touch()
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert [future.result(30) for future in futures] == ["it is there"] * 20


def begin(file):
    import pathlib

    pathlib.Path(file).touch()
    time.sleep(0.5)


@pytest.mark.parametrize("case", ["another queue", "paused", "killed", "frozen"])
def test_what_its_workers_do_not_do_is_not_waited_for(case):
    with pytest.warns(UserWarning, match="1 task was cancelled at the end of the master: no worker serves"):
        with Master(lease=1) as master, LocalWorkers(master, 1, queues=["default"]) as workers:
            workers.wait(30)
            if case == "paused":
                master.pause()
            elif case == "killed":
                workers.kill()
            elif case == "frozen":
                pid = workers.pids["w1"]
                for each in (child_of(pid).pid, pid):
                    os.kill(each, signal.SIGSTOP)
            future = master.options(queue="other" if case == "another queue" else "default").submit(double, 1)
            master.flush(10)
    assert future.cancelled()


class Broken(CommandLauncher):
    def command(self):
        return ["false"]


def test_workers_that_do_not_come_up_are_named_and_nothing_is_waited_for_without_work():
    with Master() as master:
        with Broken(master, 1):
            pass
        with pytest.raises(LaunchFailed, match="worker process"), Broken(master, 1):
            future = master.submit(double, 1)
        future.cancel()


@pytest.mark.parametrize("how", ["cancel_futures", "end"])
def test_what_waits_for_room_in_the_backlog_is_cancelled_with_the_rest(how):
    with Master(backlog=5) as master:
        futures = [master.submit(double, x) for x in range(20)]
        assert futures[0].cancel()
        began = time.monotonic()
        if how == "end":
            with pytest.warns(UserWarning, match="19 tasks were cancelled at the end of the master"):
                master.shutdown()
        else:
            master.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)
    assert time.monotonic() - began < 8
