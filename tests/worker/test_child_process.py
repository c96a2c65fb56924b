"""The worker's side of its child: what it is told, and when that wakes it."""

import os
import pickle
import signal
import time

import psutil
import pytest

from dqlab.client.pickling import dump_function
from dqlab.process.memory_kills import memory_kills
from dqlab.wire.messages import Header, Lease
from dqlab.worker.child_process import ChildProcess
from dqlab.worker.inbox import Inbox
from dqlab.worker.job import Job
from dqlab.worker.settings import WorkerSettings
from dqlab.worker.shared_numbers import BEGUN
from dqlab.worker.worker import Worker, _LeaseLost
from tests.helpers import eventually

#: bytes of a result that no pipe holds
MUCH = 50_000_000


@pytest.fixture
def child():
    inbox = Inbox()
    child = ChildProcess(None, inbox)
    assert heard(child) == [("ready",)]
    yield child
    child.end()
    inbox.close()


def heard(child):
    """What the child says next, once the inbox has heard of it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        threads_said, speaks = child._inbox.wait(1)
        assert not threads_said
        if speaks and (child.listen() or child.said):
            words, child.said = child.said, []
            return words or None
    raise AssertionError("the child said nothing for 20 s")


def feed(child, *naps):
    """Have the child sleep for so many seconds, once for each."""
    child.feed([job(100, *naps)])


def job(first, *naps):
    header = Header(kind="map", function="nap")
    lease = Lease(token=7, first=first, lo=0, hi=len(naps), attempt=1, careful=False, header=header, payload=None)
    return Job(lease, pickle.dumps(list(naps)), dump_function(time.sleep)[1], 0, len(naps))


def test_what_a_job_has_brought_does_not_wait_for_the_next_one(child):
    for _ in range(5):
        feed(child, 0)
        words_of(child)
    child.feed([job(200, 0), job(300, 30)])  # so soon after its last words it keeps some back
    assert heard(child)[0][:2] == ("done", 0)


def test_a_result_wakes_whoever_waits_while_the_next_task_runs(child):
    feed(child, 0.02, 30)
    ((kind, _, lo, hi, *_),) = heard(child)
    assert (kind, lo, hi) == ("done", 0, 1)


def test_who_comes_late_hears_all_results_in_order(child):
    feed(child, 0.02, 0.02, 0.02)
    eventually(lambda: child._cursor.numbers[BEGUN] == 2, what="the last task")
    said = []
    while not said or said[-1] != ("end",):
        said += heard(child)
    assert [(kind, lo, hi) for kind, _, lo, hi, *_ in said[:-1]] == [("done", i, i + 1) for i in range(3)]
    child.said = said
    outcomes = child.hear()
    assert [(outcome.kind, outcome.lo, outcome.hi) for outcome in outcomes] == [("done", i, i + 1) for i in range(3)]


def test_a_worker_hears_a_large_result_while_it_does_other_things_also_if_the_child_stops_in_the_middle_of_it():
    worker = Worker(WorkerSettings(("127.0.0.1", 1), b"key"))
    child = worker._child
    try:
        assert worker._hear_within(20) and child.ready
        large = job(100, 0.0)
        large.function, large.payload = dump_function(bytes)[1], pickle.dumps([MUCH])
        child.feed([large])
        eventually(lambda: worker._hear_within(0.01) or child._frames._got, what="the beginning of the result")
        os.kill(child.pid, signal.SIGSTOP)
        wait_until_stopped(child.pid)
        assert not any(worker._hear_within(0.01) for _ in range(20))
        worker._inbox.put(("command", ("stop",)))
        assert worker._hear_within(1) and worker._stopping
        os.kill(child.pid, signal.SIGCONT)
        eventually(lambda: worker._hear_within(0.01) and not child.busy, what="the end of the feed")
        (report,) = worker._reports
        assert pickle.loads(report.value) == [bytes(MUCH)]
    finally:
        child.end()
        worker._inbox.close()


def test_what_is_said_behind_the_loss_of_the_leases_is_heard_too():
    worker = Worker(WorkerSettings(("127.0.0.1", 1), b"key"))
    worker._control = object()
    try:
        worker._inbox.put(("lost", worker._control))
        worker._inbox.put(("command", ("stop",)))
        with pytest.raises(_LeaseLost):
            eventually(lambda: worker._hear_within(1))
        assert worker._stopping
    finally:
        worker._child.end()
        worker._inbox.close()


def wait_until_stopped(pid):
    eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def test_the_end_of_the_child_is_heard(child):
    feed(child, 30)
    child.kill()
    assert heard(child) is None
    eventually(lambda: child._group.leader.poll() is not None)


@pytest.mark.parametrize("more", [0, 1])
def test_a_child_that_the_system_killed_as_memory_ran_out_is_told_from_others(child, more, monkeypatch):
    before = memory_kills()
    monkeypatch.setattr("dqlab.worker.child_process.memory_kills", lambda: before + more)
    feed(child, 30)
    eventually(lambda: child._begun() == 0)
    child.kill()
    assert heard(child) is None
    (report,), _ = child.bury()
    said = ": the system killed it, as memory ran out" if more else ""
    assert report.value == "the task's process ended with SIGKILL" + said


def test_a_payload_that_comes_again_after_its_master_was_away_is_kept_as_long_as_the_worker_thinks(child):
    def run(first):
        child.feed([job(first, 0)])
        (_, done), *_ = [word for word in words_of(child) if word[0] != "end"]
        assert done == 0

    for first in (100, 200, 300, 400):
        run(first)
    child.forget_payloads()  # the master died: tasks that were given back come with their payloads again
    for first in (100, 500, 100):
        run(first)


def words_of(child):
    """All that the child says of a feed."""
    words = []
    while not words or words[-1] != ("end",):
        words += heard(child)
    child.said = [("end",)]
    child.hear()
    return [word[:2] if word[0] == "done" else word for word in words]
