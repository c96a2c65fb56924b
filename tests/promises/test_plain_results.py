"""`Master(results="plain")`: nothing that a worker sends is unpickled in the client, and what isn't plain says so."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from dqlab import Master, TaskFailed, as_completed
from dqlab.wire.greeting import WORKER
from dqlab.wire.messages import Failure, Lease, Report
from dqlab.wire.request import open_broker, request
from tests.cluster import cluster


class Evil:
    """A result that runs code where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


class Own:
    """A class that isn't plain."""


def answer(what):
    if what == "raise":
        raise ValueError("no")
    return {"list": [1, [2]], "own": Own()}[what]


@pytest.fixture(scope="module")
def master():
    with cluster(1, results="plain") as (master, _):
        master.submit(abs, -1).result(30)  # its threads are there from now on
        yield master


def test_plain_results_come_and_others_fail_their_task_by_name(master):
    assert master.submit(answer, "list").result(20) == [1, [2]]
    assert list(master.map(answer, ["list"] * 3)) == [[1, [2]]] * 3
    assert [f.result() for f in as_completed([master.submit(answer, "list")], timeout=20)] == [[1, [2]]]
    with pytest.raises(TaskFailed, match="Own"):
        master.submit(answer, "own").result(20)
    with pytest.raises(TaskFailed, match="Own"):
        list(master.map(answer, ["list", "own"]))


def test_an_exception_is_its_name_its_text_and_its_traceback(master):
    for call in (lambda: master.submit(answer, "raise").result(20), lambda: list(master.map(answer, ["raise"]))):
        with pytest.raises(TaskFailed, match="ValueError: no") as failed:
            call()
        assert "in answer" in str(failed.value.__cause__)


@pytest.mark.parametrize("how", ["result", "exception"])
def test_a_worker_that_lies_runs_nothing_in_the_client(how, tmp_path):
    target = tmp_path / "made"
    with Master(results="plain") as master:
        conn = open_broker(master.connection.address, master.connection.authkey, WORKER)
        request(conn, "join", "here", 1, None, False)
        future = master.submit(abs, -1)
        leases, _ = request(conn, "exchange", [], 10.0)
        lease = Lease.decode(leases[0])
        evil = pickle.dumps(Evil(target))
        value = evil if how == "result" else Failure(kind="error", exception=evil, summary="Evil: no")
        kind = "done" if how == "result" else "error"
        report = Report(kind=kind, token=lease.token, lo=0, hi=1, value=value)
        request(conn, "exchange", [report.encode()], 0.0)
        with pytest.raises((pickle.UnpicklingError, TaskFailed)):
            future.result(20)
        conn.close()
    assert not target.exists()
