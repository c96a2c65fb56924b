"""What a task has started ends with it: its time-out, a kill, the end of its worker, the end of the script."""

import os
import signal

import psutil
import pytest

from dqlab import LocalWorkers, Master, TaskTimeout
from tests.cluster import child_of, cluster, gone, script, start
from tests.helpers import eventually


def start_some(file, kind, stay):
    """Start a process, or a pool of two, and write down the process ids; with `stay`, never end."""
    import builtins
    import multiprocessing
    import pathlib
    import subprocess
    import sys
    import time

    if kind == "subprocess":
        pids = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid]
    else:
        builtins.kept = multiprocessing.get_context("fork").Pool(2)  # as one keeps a pool for later tasks
        pids = [process.pid for process in builtins.kept._pool]
    pathlib.Path(file + ".new").write_text(" ".join(map(str, pids)))
    pathlib.Path(file + ".new").rename(file)
    while stay:
        time.sleep(60)


def pids_in(file):
    eventually(file.exists, 30, "what the task has started")
    pids = [int(pid) for pid in file.read_text().split()]
    assert pids
    return pids


def all_end(pids):
    eventually(lambda: all(map(gone, pids)), 5, "the end of what the task has started")


@pytest.mark.parametrize("kind", ["subprocess", pytest.param("pool", marks=pytest.mark.long)])
@pytest.mark.parametrize("end", ["timeout", "kill", "kill the child", "stop", "end"])
def test_what_a_task_has_started_ends_with_it(tmp_path, kind, end):
    file = tmp_path / "pids"
    with cluster(1) as (master, workers):
        if end == "timeout":
            future = master.options(timeout=2, retries=0).submit(start_some, str(file), kind, True)
            pids = pids_in(file)
            with pytest.raises(TaskTimeout):
                future.result(30)
            all_end(pids)
            return
        master.options(max_attempts=1).submit(start_some, str(file), kind, end != "end").cancelled()
        pids = pids_in(file)
        if end == "kill":
            workers.kill()
        elif end == "kill the child":
            os.kill(child_of(workers.pids["w1"]).pid, signal.SIGKILL)
        elif end == "stop":
            workers.stop(0.1)
        if end != "end":
            all_end(pids)
            master.shutdown(wait=False)
    all_end(pids)


OWNER = """
    import sys, time
    from dqlab import LocalWorkers, Master
    from tests.launch.test_ends import start_some

    if __name__ == "__main__":
        master = Master()
        workers = LocalWorkers(master, 1)
        future = master.submit(start_some, sys.argv[1], sys.argv[2], True)
        while not future.running():
            time.sleep(0.01)
        time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["subprocess", "pool"])
@pytest.mark.parametrize("frozen", [False, True])
def test_what_a_task_has_started_ends_with_a_killed_script(tmp_path, kind, frozen):
    file = tmp_path / "pids"
    owner = start(script(tmp_path, OWNER), str(file), kind)
    try:
        pids = pids_in(file)
        below = [process.pid for process in psutil.Process(owner.pid).children(recursive=True)]
        assert set(pids) <= set(below)
        if frozen:
            for pid in below:
                os.kill(pid, signal.SIGSTOP)
        owner.kill()
        all_end([*pids, *below])
    finally:
        owner.kill()
        owner.communicate()


def test_a_frozen_master_ends_with_the_block_and_takes_its_file_along_with_a_killed_owner(tmp_path):
    owner = start(
        script(
            tmp_path,
            """
            import sys, time
            from dqlab import Master
            master = Master(connection_file=sys.argv[1])
            print(master.pid, flush=True)
            time.sleep(60)
            """,
        ),
        str(tmp_path / "master.json"),
    )
    try:
        pid = int(owner.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        owner.kill()
        eventually(lambda: gone(pid), 5)
        assert not (tmp_path / "master.json").exists()
    finally:
        owner.kill()
        owner.communicate()


def test_blas_threads_of_all_workers_are_no_more_than_the_cores(monkeypatch):
    from dqlab.process.cores import usable_cores
    from dqlab.worker.blas_threads import VARIABLES

    def threads():
        return os.environ.get("OMP_NUM_THREADS"), os.environ.get("OPENBLAS_NUM_THREADS")

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with Master() as master:
        with LocalWorkers(master, 2):
            share = str(max(1, int(usable_cores() // 2)))
            assert master.submit(threads).result(30) == (share, share)
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        with LocalWorkers(master, 2):
            assert master.submit(threads).result(30) == ("7", None)
