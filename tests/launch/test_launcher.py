"""What every launcher has from its base: a third one, all or nothing, the frozen, and an interrupt while it starts."""

import contextlib
import gc
import os
import resource
import shutil
import signal
import sys
import time

import pytest

from dqlab import LaunchFailed, LocalWorkers, Master
from dqlab.launch.command_launcher import CommandLauncher
from dqlab.process.owned_process import REACT
from dqlab.process.python_command import python_command
from tests.cluster import child_of, cluster, gone
from tests.helpers import MARK, eventually, marked_processes


class ShellWorkers(CommandLauncher):
    """Workers behind a shell, as they may be behind `docker exec` or a batch system."""

    def command(self):
        return ["sh", "-c", 'cd / && exec "$@"', "sh", *python_command("dqlab.cli", "worker", "--owned")]


class UnsharedWorkers(CommandLauncher):
    """Workers in process namespaces of their own, where they have other process ids."""

    def command(self):
        inside = python_command("dqlab.cli", "worker", "--owned")
        return ["unshare", "--user", "--pid", "--fork", "--kill-child", *inside]


def where():
    return os.getcwd()


def can_unshare():
    return shutil.which("unshare") and os.system("unshare --user --pid --fork true 2>/dev/null") == 0


@pytest.mark.parametrize("kind", [ShellWorkers, UnsharedWorkers][: 2 if can_unshare() else 1])
def test_a_third_launcher_says_only_which_command_to_start(kind):
    with Master() as master, kind(master, 2).wait(60) as workers:
        assert (sorted(workers), len(workers), repr(workers)) == (["w1", "w2"], 2, f"<{kind.__name__}, 2 running>")
        assert master.submit(where).result(30) == ("/" if kind is ShellWorkers else os.getcwd())
        workers.add(1)
        assert sorted(workers.wait(60).pids) == ["w1", "w2", "w3"]
        killed = workers.kill()
        eventually(lambda: len(workers) == 2)
        assert killed not in workers.names
        workers.stop()
        assert (workers.names, len(workers)) == ([], 0)


def test_all_or_nothing():
    """Twenty workers want sixty pipes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Master() as master:
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 30, hard))
        try:
            with pytest.raises(LaunchFailed, match="of 20 workers can't be started: .*Too many open files"):
                LocalWorkers(master, 20)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert master.launchers == []
        eventually(lambda: len(marked_processes(os.environ[MARK])) == 1, 10, "only the master is there")


@pytest.mark.filterwarnings("ignore:dqlab. .* cancelled at the end of the master")
@pytest.mark.parametrize("busy", [False, True])
def test_the_end_does_not_wait_for_frozen_workers(busy):
    with cluster(2, lease=5) as (master, workers):
        if busy:
            master.submit(time.sleep, 60)
            eventually(lambda: any(w["running"] is not None for w in master.stats()["workers"]))
        name = next((w["name"] for w in master.stats()["workers"] if w["running"] is not None), "w1")
        child = child_of(workers.pids[name]).pid
        for pid in (workers.pids[name], child):
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        workers.stop(timeout=30)
        assert time.monotonic() - began < REACT + 4
        eventually(lambda: gone(child), 2)
        assert len(workers) == 0
        master.shutdown(wait=False)


def test_the_end_waits_for_a_task_in_hand_beside_a_frozen_worker(tmp_path):
    def work():
        (tmp_path / "begun").touch()
        time.sleep(REACT + 1.5)
        (tmp_path / "ended").touch()

    with cluster(2) as (master, workers):
        master.submit(work)
        eventually((tmp_path / "begun").exists, 20)
        idle = next(w["name"] for w in master.stats()["workers"] if w["running"] is None)
        os.kill(workers.pids[idle], signal.SIGSTOP)
        workers.stop(timeout=20)
        assert (tmp_path / "ended").exists()


@pytest.mark.parametrize("what", ["master", "workers"])
def test_an_interrupt_at_any_line_of_a_start_leaves_nothing(what):
    """The interrupt comes at the 1st, 4th, 7th, ... line that the main thread runs in our code or threading's."""

    def interrupted_at(line):
        count = 0

        def trace(frame, event, arg):
            nonlocal count
            name = frame.f_code.co_filename
            if "<" in frame.f_code.co_name or not ("/dqlab/launch/" in name or "/dqlab/process/" in name):
                return None
            count += 1
            if count == line:
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        gc.collect()  # what earlier ones have left would be ended in this one's time
        gc.disable()
        sys.settrace(trace)
        try:
            started = Master() if what == "master" else LocalWorkers(master, 1)
            sys.settrace(before)
            started.shutdown() if what == "master" else started.stop(0)
            return False
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
            gc.enable()

    with contextlib.ExitStack() as stack:
        master = stack.enter_context(Master()) if what == "workers" else None
        there = len(marked_processes(os.environ[MARK]))
        line = 1
        while interrupted_at(line) and line < 120:
            line += 3
        assert line > 30
        if master is not None:
            for launcher in list(master.launchers):
                launcher.stop(0)
        eventually(lambda: len(marked_processes(os.environ[MARK])) == there, 10, "the end of what was being started")
