"""`dqlab.engines.engine`: what an address gives, and what is said of one that gives nothing."""

import os
import subprocess
import sys
import threading
from concurrent.futures import Executor
from pathlib import Path

import pytest

from dqlab import LocalWorkers, Master
from dqlab.engines import engine
from dqlab.errors import BadInput
from tests.cluster import environment, run, script


def square(x: int) -> int:
    return x * x


@pytest.mark.parametrize(("address", "workers"), [("threads:3", 3), ("processes:2", 2), ("dqlab://local?n=2", 2)])
def test_an_address_gives_an_executor_that_ends_with_the_block(address: str, workers: int) -> None:
    with engine(address) as executor:
        assert isinstance(executor, Executor)
        assert executor._max_workers == workers
        assert list(executor.map(square, range(20))) == [x * x for x in range(20)]
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)


def test_without_a_number_there_is_a_worker_for_each_core() -> None:
    with engine("threads") as executor:
        assert executor._max_workers == os.cpu_count()


def test_a_master_that_runs_goes_on() -> None:
    with Master() as master, LocalWorkers(master, 1):
        with engine(f"dqlab://{master.connection_file}") as client:
            assert client.submit(square, 7).result(30) == 49
        assert master.submit(square, 8).result(30) == 64


def test_what_fails_cancels_the_rest() -> None:
    go_on = threading.Event()
    with pytest.raises(ZeroDivisionError), engine("threads:1") as executor:
        executor.submit(go_on.wait, 30)
        late = executor.submit(square, 2)
        try:
            raise ZeroDivisionError
        finally:
            threading.Timer(0.1, go_on.set).start()
    assert late.cancelled()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "'' is no address of an engine (such as dqlab://master.json"),
        ("hello", "'hello' is no address"),
        ("threads:0", "'threads:0' makes no sense (take 1 worker or more)"),
        ("threads:x", "'threads:x' is no address"),
        ("dask://local?n=0", "'dask://local?n=0' makes no sense"),
        ("http://host:80", "'http://host:80' is no address"),
        ("dqlab://no.json", "no.json: No such file"),
        ("dask://no.json", "no scheduler file no.json: No such file or directory"),
        ("dask:///dev/null", "/dev/null is no scheduler file"),
        ("dask://host:99999", "port 99999"),
    ],
)
def test_nonsense_is_refused(address: str, says: str) -> None:
    with pytest.raises(BadInput) as refused, engine(address):
        pass
    assert says in str(refused.value)


def test_who_does_not_answer_is_named_in_time(tmp_path: Path) -> None:
    file = script(
        tmp_path,
        """
        from dqlab.engines import dask_executor, engine
        from dqlab.errors import ConnectionFailed

        dask_executor.PATIENCE = 0.5
        try:
            with engine("dask://127.0.0.1:1"):
                pass
        except ConnectionFailed as error:
            print(error)
        """,
    )
    done = run("-W", "default", file)
    assert done.stdout.startswith("no Dask scheduler at tcp://127.0.0.1:1: ") and "dask scheduler)" in done.stdout
    assert done.stderr == ""


def test_without_dask_a_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('not here')")
    words = ["crawl", "http://127.0.0.1:1/", "--out", "out", "--dask", "local"]
    path = f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}"
    done = run("-m", "dqlab", *words, cwd=tmp_path, env=environment() | {"PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "dqlab: Dask is missing\n  pip install 'dqlab[dask]'\n"


DASK = """
import os, signal, time, warnings
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, wait
from dqlab import as_completed, progress
from dqlab.engines import engine


def square(x):
    return x * x


def fail(x):
    raise ValueError(x)


if __name__ == "__main__":
    with engine("dask://local?n=2") as executor:
        print(executor._max_workers, list(executor.map(square, range(5))), executor.submit(pow, 2, exp=5).result())
        print(repr(executor.submit(fail, 3).exception()))
        print(len({executor.submit(time.perf_counter).result() for _ in range(3)}))  # equal calls are calls
        futures = [executor.submit(square, x) for x in range(5)]
        print(sorted(future.result() for future in as_completed(futures)))
        theirs = executor.client.map(square, range(5))
        print(sorted(future.result() for future in progress(theirs, disable=True)))
        late = [executor.submit(time.sleep, 0.5) for _ in range(20)]
        print(late[-1].cancel(), late[-1].cancelled())
    try:
        executor.submit(square, 1)
    except BrokenExecutor as error:
        print(error)
"""


def test_dask_is_an_executor_as_others_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "default", script(tmp_path, DASK)],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.stderr == ""
    *lines, last = done.stdout.splitlines()
    assert lines == [
        "2 [0, 1, 4, 9, 16] 32",
        "ValueError(3)",
        "3",
        "[0, 1, 4, 9, 16]",
        "[0, 1, 4, 9, 16]",
        "True True",
    ]
    assert last.startswith("the Dask scheduler at tcp://127.0.0.1:") and last.endswith(" is gone")
