"""`map`: in order, in bounded memory, from endless sources, and safe to abandon."""

import itertools
import pickle
import time
import weakref

import pytest

from dqlab import LocalWorkers, Master, progress
from dqlab.client.map_results import MapResults, _Run
from dqlab.client.screen import Screen
from dqlab.errors import Refused
from dqlab.wire.messages import Options, Outcome
from tests.helpers import eventually


def double(x):
    return 2 * x


def test_results_come_in_the_order_of_the_items(client):
    def work(x):
        time.sleep(0.02 if x % 7 == 0 else 0)
        return x

    assert list(client.map(work, range(200))) == list(range(200))


def test_the_first_result_comes_before_the_last_task_has_begun(client):
    began = time.monotonic()
    results = client.map(time.sleep, [0.05] * 60)
    next(results)
    assert time.monotonic() - began < 1.0
    results.close()


def test_an_endless_source_is_drawn_as_results_are_taken(client):
    drawn = []

    def numbers():
        for n in itertools.count():
            drawn.append(n)
            yield n

    results = client.map(double, numbers(), buffersize=10)
    assert len(drawn) <= 10
    assert [next(results) for _ in range(100)] == [2 * n for n in range(100)]
    assert len(drawn) <= 110
    results.close()


def test_an_endless_source_without_a_buffersize_is_bounded_too(client):
    results = client.map(double, itertools.count())
    assert [next(results) for _ in range(100_000)] == [2 * n for n in range(100_000)]
    results.close()


@pytest.mark.parametrize("size", [1, 2, 7])
def test_buffersize_bounds_what_is_out(client, size):
    queue = f"buffered-{size}"
    view = client.options(queue=queue)
    client.pause(queue)
    try:
        results = view.map(double, range(50), buffersize=size)
        client.flush(10)
        assert client.stats()["queues"][queue]["ready"] == size
    finally:
        client.resume(queue)
    assert list(results) == [2 * n for n in range(50)]


def test_items_are_drawn_in_the_callers_thread(client):
    import threading

    threads = set()

    def numbers():
        for n in range(5000):
            threads.add(threading.current_thread())
            yield n

    assert sum(client.map(double, numbers())) == sum(2 * n for n in range(5000))
    assert threads == {threading.main_thread()}


def test_a_source_that_fails_fails_the_map(client):
    def numbers():
        yield from range(3)
        raise LookupError("the source is dry")

    with pytest.raises(LookupError, match="dry"):
        list(client.map(double, numbers()))


def test_a_source_that_fails_later_never_looks_like_a_good_end(client):
    def numbers():
        yield from range(30)
        raise LookupError("the source is dry")

    got = []
    results = client.map(double, numbers(), buffersize=10)
    for _ in range(2):
        with pytest.raises(LookupError, match="dry"):
            for value in results:
                got.append(value)
    assert got == [2 * n for n in range(len(got))]
    assert len(got) <= 30


def waiting_tasks(client, queue):
    counts = client.stats()["queues"][queue]
    return counts["ready"] + counts["leased"]


@pytest.mark.parametrize("how", ["close", "forget", "break"])
def test_an_abandoned_map_cancels_what_has_not_started(client, how):
    queue = f"abandoned-{how}"
    results = client.options(queue=queue).map(time.sleep, [0.02] * 1000)
    next(results)
    if how == "close":
        results.close()
        assert list(results) == []
    elif how == "break":
        for _ in results:
            break
    del results
    eventually(lambda: waiting_tasks(client, queue) == 0, timeout=5, what="an empty queue")
    assert client.stats()["queues"][queue]["cancelled"] > 800


def test_an_error_ends_the_map_and_cancels_the_rest(client):
    def work(x):
        time.sleep(0.02)
        return 1 / (x - 5)

    results = client.options(queue="failing").map(work, range(1000))
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert list(results) == []
    eventually(lambda: waiting_tasks(client, "failing") == 0, timeout=5, what="an empty queue")


def test_forgotten_results_free_their_memory(client):
    results = client.map(double, range(100))
    ghost = weakref.ref(results)
    assert sum(results) == 9900
    del results
    assert ghost() is None


def test_two_maps_at_once_and_one_inside_the_other(client):
    one, two = client.map(double, range(1000)), client.map(abs, range(-1000, 0))
    assert [(a, b) for a, b in zip(one, two, strict=True)] == [(2 * n, 1000 - n) for n in range(1000)]
    nested = [list(client.map(double, range(n))) for n in client.map(abs, [-1, -2, -3])]
    assert nested == [[0], [0, 2], [0, 2, 4]]


def test_chunksize_is_a_hint_and_changes_no_result(client):
    for chunksize in (1, 10, 10_000):
        assert list(client.map(double, range(3000), chunksize=chunksize)) == [2 * n for n in range(3000)]


def test_the_timeout_runs_from_the_call(client):
    results = client.map(time.sleep, [0.1] * 100, timeout=0.5)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0\.5 s"):
        list(results)
    assert 0.3 < time.monotonic() - began < 2


def test_a_long_task_keeps_no_short_one_waiting(client, tmp_path):
    """What was leased to a worker together with a long task goes to the other one: here the long one waits for them."""
    ended, n = tmp_path / "ended", 1000

    def work(x):
        if x > 0:
            with ended.open("ab") as file:
                file.write(b".")
            return x
        deadline = time.monotonic() + 30
        while not ended.exists() or ended.stat().st_size < n:
            assert time.monotonic() < deadline, "short tasks wait for the long one"
            time.sleep(0.01)
        return x

    list(client.map(work, range(1, n)))  # batches have grown
    ended.unlink()
    assert list(client.map(work, range(n + 1))) == list(range(n + 1))


def test_results_that_are_taken_in_groups_come_in_order(client):
    threes = [(2 * n, 2 * n + 2, 2 * n + 4) for n in range(0, 9_000, 3)]
    results = client.map(double, range(9_000))
    assert list(zip(results, results, results, strict=True)) == threes
    results = client.map(double, range(9_000))
    assert [(x, next(results), next(results)) for x in results] == threes


def test_a_map_with_a_progress_bar(client, capsys, monkeypatch):
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)  # tqdm's own thread would outlive the test
    assert list(progress(client.map(double, range(20)), total=20, desc="doubling")) == [2 * n for n in range(20)]
    assert "20/20" in capsys.readouterr().err


def test_a_map_begun_before_there_are_workers():
    with Master() as master:
        results = master.map(double, range(100))
        with LocalWorkers(master, 1):
            assert list(results) == [2 * n for n in range(100)]


def test_reprs_are_short(client):
    results = client.map(double, range(10))
    assert repr(results).startswith("<dqlab map, ")
    list(results)
    assert repr(results) == "<dqlab map, 0 tasks out>"


def done(values):
    """What becomes of tasks with these results."""
    return Outcome(state="done", result=pickle.dumps(values), attempts=1, history=[])


def test_what_the_master_forgot_ends_a_map_only_where_it_has_not_come_yet():
    run = _Run(6, 0, pickle.loads)
    run.deliver(0, 2, done([0, 1]))
    run.deliver(2, 4, done([2, 3]))
    assert not run.forgotten(0, 4, Refused("forgotten"))
    end, results = run.piece_at(2, 0.0)
    assert (end, list(results)) == (4, [2, 3])
    assert run.piece_at(4, 0.0) is None
    assert run.forgotten(2, 6, Refused("forgotten"))
    end, results = run.piece_at(0, 0.0)
    assert (end, list(results)) == (2, [0, 1])
    with pytest.raises(Refused):
        run.piece_at(4, 0.0)


class InPieces:
    """A session whose tasks come back at once, in pieces of 300; ``counts`` are the lengths of the runs."""

    about = {"backlog": 2_000_000, "max_attempts": 3}
    load = staticmethod(pickle.loads)
    screen = Screen(False)
    closed = False

    def check_here(self):
        pass

    def __init__(self):
        self.counts = []

    def submit(self, count, make):
        self.counts.append(count)
        submission = make(sum(self.counts))
        values = pickle.loads(submission.payload)
        for lo in range(0, count, 300):
            hi = min(count, lo + 300)
            submission.sink.deliver(lo, hi, done(values[lo:hi]))


def test_runs_keep_their_length_whatever_comes_back():
    session = InPieces()
    assert list(MapResults(session, Options(), double, (range(300_000),), None, 1, None)) == list(range(300_000))
    grown = session.counts[10:-1]
    assert grown and min(grown) >= 512, session.counts
