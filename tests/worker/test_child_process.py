"""The worker's side of its child: what it is told, and when that wakes it."""

import pickle
import queue
import time

import pytest

from dqlab.client.pickling import dump_function
from dqlab.process.memory_kills import memory_kills
from dqlab.wire.messages import Header, Lease
from dqlab.worker.child_process import ChildProcess
from dqlab.worker.job import Job
from dqlab.worker.settings import WorkerSettings
from dqlab.worker.shared_numbers import BEGUN
from dqlab.worker.worker import Worker
from tests.helpers import eventually


@pytest.fixture
def child():
    child = ChildProcess(None, queue.SimpleQueue())
    assert heard(child) == [("ready",)]
    yield child
    child.end()


def heard(child):
    """What the child says next, once the inbox has heard of it."""
    assert child.inbox.get(timeout=20) == ("said", None)
    generation, words = child.said.popleft()
    assert generation == child.generation
    return words


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
        while heard(child)[-1] != ("end",):
            pass
        child.hear([("end",)])
    child.feed([job(200, 0), job(300, 30)])  # so soon after its last words it keeps some back
    assert heard(child)[0][:2] == ("done", 0)


def test_results_wake_whoever_waits(child):
    feed(child, 0.02, 0.02)
    words = [heard(child) for _ in range(3)]
    assert [[kind for kind, *_ in some] for some in words] == [["done"], ["done"], ["end"]]


def test_while_gathering_results_pile_up_and_the_end_wakes(child):
    child.gathering = True
    feed(child, 0.02, 0.02, 0.02)
    child.inbox.get(timeout=20)
    *piled, last = [word for _, some in child.said for word in some]
    assert last == ("end",) and child.inbox.empty()
    assert [(lo, hi) for _, _, lo, hi, *_ in piled] == [(0, 1), (1, 2), (2, 3)]
    outcomes = child.hear(piled)
    assert [(outcome.kind, outcome.lo, outcome.hi) for outcome in outcomes] == [("done", i, i + 1) for i in range(3)]


def test_a_worker_hears_results_in_order_also_those_that_came_before_it_began_to_gather():
    worker = Worker(WorkerSettings(("127.0.0.1", 1), b"key"))
    child = worker._child
    try:
        assert worker._hear_within(20) and child.ready
        feed(child, 0.02, 0.02, 0.02, 0.02)
        eventually(lambda: not worker._inbox.empty(), what="the first result")
        child.gathering = True
        eventually(lambda: child._cursor.numbers[BEGUN] == 3, what="the last task")
        worker._hear_within(0)
        child.gathering = False
        eventually(lambda: worker._hear_within(0.01) and not child.busy, what="the end of the feed")
        assert [report.lo for report in worker._reports] == [0, 1, 2, 3]
    finally:
        child.end()


def test_a_task_that_raised_wakes_also_while_gathering(child):
    child.gathering = True
    feed(child, 0.02, -1)
    child.inbox.get(timeout=20)
    assert [word[0] for _, some in child.said for word in some][:2] == ["done", "failed"]


def test_the_end_of_the_child_wakes_also_while_gathering(child):
    child.gathering = True
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
    child.hear([("end",)])
    return [word[:2] if word[0] == "done" else word for word in words]
