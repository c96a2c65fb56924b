"""A script that ends, or lets go of its executor, without `shutdown` or `with`: its tasks are done, as by a pool."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster import environment, script, start
from tests.helpers import eventually, marked_processes

SCRIPT = """
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from dqlab import LocalWorkers, Master, connect

here = Path(sys.argv[2])

def leave(name):
    time.sleep(0.1)
    (here / name).touch()
    return name

def executor():
    if sys.argv[1] == "pool":
        return ProcessPoolExecutor(2, get_context("spawn"))
    master = Master()
    LocalWorkers(master, 2)
    return master

def submit(ex, names="abcdef"):
    return [ex.submit(leave, name) for name in names]

if __name__ == "__main__":
"""
WAYS = {
    "ends": "ex = executor(); futures = submit(ex)",
    "maps": "ex = executor(); ex.map(leave, 'abcdef')",
    "fails": "ex = executor(); futures = submit(ex); 1 / 0",
    "exits": "ex = executor(); futures = submit(ex); sys.exit(3)",
    "keeps the futures": "print([future.result() for future in submit(executor())])",
    "keeps nothing": "submit(executor()); time.sleep(0.2); print('done')",
    "lets go": "ex = executor(); futures = submit(ex); del ex; print(futures[5].result())",
}


def run(tmp_path: Path, engine: str, way: str) -> tuple[int, str, str, list[str]]:
    """The exit code of a script, what it says, what it complains of, and which of its tasks were done."""
    done = tmp_path / engine
    done.mkdir()
    mark = f"{engine}-{os.getpid()}"
    path = script(tmp_path, SCRIPT + "    " + way + "\n")
    process = start(path, engine, str(done), env={**environment(), "DQLAB_TEST_MARK": mark})
    try:
        out, err = process.communicate(timeout=60)
        eventually(lambda: not marked_processes(mark), 10, "its processes' end")
    finally:
        process.kill()
    return process.returncode, out, err, sorted(os.listdir(done))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_was_submitted_is_done_as_by_a_pool(tmp_path, way):
    pool, here = (run(tmp_path, engine, way) for engine in ("pool", "dqlab"))
    assert here == pool
    assert here[3] == [*"abcdef"]


def test_a_master_lives_as_long_as_a_view_of_it_and_a_client_finishes_what_it_submitted_too(tmp_path):
    view = "ex = executor().options(retries=1); print(ex.submit(leave, 'a').result()); ex.submit(leave, 'b')"
    assert run(tmp_path, "dqlab", view) == (0, "a\n", "", ["a", "b"])
    client = "ex = executor(); ex.submit(pow, 2, 3).result(); submit(connect(ex.connection_file))"
    (tmp_path / "second").mkdir()
    assert run(tmp_path / "second", "dqlab", client) == (0, "", "", [*"abcdef"])


def test_what_nobody_can_do_is_said(tmp_path):
    code, _, err, done = run(tmp_path, "dqlab", "ex = Master(); ex.submit(leave, 'a')")
    assert (code, done) == (0, [])
    assert "1 task was cancelled at the end of the master: no worker serves their queue" in err


@pytest.mark.parametrize("when", ["at the end", "before"])
def test_whoever_interrupts_the_script_does_not_wait(tmp_path, when):
    more = "" if when == "at the end" else "; time.sleep(60)"
    way = "    ex = executor(); ex.submit(time.sleep, 60); print(ex.submit(leave, 'a').result(), flush=True)"
    mark = f"interrupted-{os.getpid()}"
    path = script(tmp_path, SCRIPT + way + more + "\n")
    process = start(path, "dqlab", str(tmp_path), env={**environment(), "DQLAB_TEST_MARK": mark})
    try:
        assert process.stdout.readline() == "a\n"
        if not more:
            assert process.stderr.readline() == (
                "dqlab: the script is at its end and waits for its tasks; Ctrl-C gives them up\n"
            )
        process.send_signal(signal.SIGINT)
        process.wait(30)
        eventually(lambda: not marked_processes(mark), 10, "its processes' end")
        rest = process.stderr.read()
        assert ("KeyboardInterrupt" in rest) == bool(more), rest
    finally:
        process.kill()
        process.communicate()


def test_the_end_of_an_interactive_session_does_not_wait(tmp_path):
    path = script(tmp_path, SCRIPT + "    ex = executor(); ex.submit(time.sleep, 60); ex.submit(leave, 'a').result()\n")
    mark = f"interactive-{os.getpid()}"
    env = {**environment(), "DQLAB_TEST_MARK": mark}
    done = start("-i", path, "dqlab", str(tmp_path), stdin=subprocess.DEVNULL, env=env)
    try:
        assert done.wait(30) == 0
        eventually(lambda: not marked_processes(mark), 10, "its processes' end")
    finally:
        done.kill()
        done.communicate()
