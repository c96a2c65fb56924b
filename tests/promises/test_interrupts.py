"""Ctrl-C, a hundred times at random instants: every task is accounted for, and the next call is right.

Each driver runs as a process of its own, with the main thread's work interrupted at any of its instructions.
"""

import json
import os
import random
import signal
import threading

import pytest

from tests.cluster import cluster, script, start

#: interrupts of one driver; `DQLAB_HARNESS` (a factor) makes them more
INTERRUPTS = round(100 * float(os.environ.get("DQLAB_HARNESS", "1")))

DRIVER = """
import json, signal, sys, time, faulthandler
from dqlab import connect

faulthandler.dump_traceback_later(float(sys.argv[2]), exit=True)

def double(x):
    return 2 * x

client = connect(sys.argv[1])
seen = {"interrupts": 0, "calls": 0}

# In Python 3.12 and 3.13 a `try` holds everywhere in a `while` within it but at its jump back, where an interrupt may
# come too; around a call it holds.
def take_turns(turn):
    while not finished:
        turn()
        seen["calls"] += 1

def count_interrupts(call, *args):
    while True:
        try:
            return call(*args)
        except KeyboardInterrupt:
            seen["interrupts"] += 1

def ready(turn):
    print("ready", flush=True)
    count_interrupts(take_turns, turn)

def results_of(turn):
    '''Call `turn()` until a hundred interrupts have come; count those that came through as KeyboardInterrupt.'''
    count_interrupts(ready, turn)  # in there one may come while another is counted

finished = []
signal.signal(signal.SIGUSR1, lambda *_: finished.append(1))
"""

SUBMIT = """
kept = []

def one():
    n = seen["calls"]
    future = client.submit(double, n)
    kept.append((n, future))
    value = future.result(20)
    assert value == 2 * n, (value, n)

results_of(one)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for n, future in kept:
    assert future.result(20) == 2 * n
client.flush(20)
for x in range(50):
    assert client.submit(double, x).result(20) == 2 * x
stats = client.stats()["queues"]["default"]
seen["kept"] = len(kept)
print(json.dumps({**seen, "stats": stats}), flush=True)
"""

MAP = """
def one():
    results = client.map(double, range(3000))
    got = []
    while True:
        # Whatever is interrupted, the same iterator goes on where it was.
        try:
            for value in results:
                got.append(value)
            break
        except KeyboardInterrupt:
            seen["interrupts"] += 1
    # An interrupt between the iterator and `got.append` loses a value here, in this script; never more, never order.
    assert got == sorted(set(got)), "out of order, or twice"
    assert set(got) <= set(range(0, 6000, 2))
    lost = 3000 - len(got)
    assert lost <= seen["interrupts"], (lost, seen)
    seen["lost"] = seen.get("lost", 0) + lost

results_of(one)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for _ in range(5):
    assert list(client.map(double, range(1000))) == list(range(0, 2000, 2))
stats = client.stats()["queues"]["default"]
print(json.dumps({**seen, "stats": stats}), flush=True)
"""

PLAIN = """
put, got = set(), []
pending = []

def one():
    n = seen["calls"]
    client.results.put(n)
    got.append(client.results.get(timeout=20))

results_of(one)
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    try:
        got.append(client.results.get(timeout=0.5))
    except Exception:
        break
for n in range(50):
    client.results.put(-n)
    assert client.results.get(timeout=20) == -n
print(json.dumps({**seen, "got": len(got), "different": len(set(got)), "highest": max(got)}), flush=True)
"""

GET = """
queues = [client.results, client.tasks]
got = {0: [], 1: []}
for queue in queues:
    queue.put_many(list(range(3000)))

def one():
    # In C from call to list: an interrupt comes before the value is taken or after it is in the list.
    which = seen["calls"] % 2
    if len(got[which]) < 3000:
        got[which].extend(map(queues[which].get, [True], [0.2]))
    else:
        time.sleep(0.001)

results_of(one)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for which, queue in enumerate(queues):
    while len(got[which]) < 3000:
        got[which].append(queue.get(timeout=10))
    assert got[which] == list(range(3000)), "lost, twice, or out of order"
print(json.dumps(seen), flush=True)
"""

COMPLETED = """
from dqlab import as_completed, wait

def one():
    futures = [client.submit(double, x) for x in range(20)]
    assert sorted(f.result() for f in as_completed(futures, timeout=20)) == list(range(0, 40, 2))
    done, rest = wait([client.submit(double, 1), client.submit(double, 2)], timeout=20)
    assert len(done) == 2 and not rest

results_of(one)
signal.signal(signal.SIGINT, signal.SIG_IGN)
finished.clear()
for _ in range(20):
    one()
print(json.dumps(seen), flush=True)
"""

CALLS = """
def one():
    client.pause("other")
    assert client.stats()["queues"]["other"]["paused"] is True
    client.resume("other")
    assert client.stats()["queues"]["other"]["paused"] is False
    assert client.failures(3) == []
    assert isinstance(client.events(since=10**9), list)
    client.flush(20)

results_of(one)
signal.signal(signal.SIGINT, signal.SIG_IGN)
for _ in range(20):
    one()
print(json.dumps(seen), flush=True)
"""


@pytest.fixture
def shared():
    with cluster(2) as (master, workers):
        yield master, workers


@pytest.fixture
def interrupted(tmp_path, shared):
    """Run a driver, interrupt it a hundred times at random instants, return what it says at its end."""

    def interrupted(text, seed=1):
        chance, rest = random.Random(seed), threading.Event()
        driver = start(script(tmp_path, DRIVER + text), str(shared[0].connection_file), str(50 + INTERRUPTS / 5))
        try:
            assert driver.stdout.readline() == "ready\n"
            for _ in range(INTERRUPTS):
                rest.wait(chance.uniform(0.001, 0.04))
                driver.send_signal(signal.SIGINT)
            driver.send_signal(signal.SIGUSR1)
            out, err = driver.communicate(timeout=60)
        finally:
            driver.kill()
            driver.communicate()
        assert driver.returncode == 0, err
        found = json.loads(out.splitlines()[-1])
        assert found["interrupts"] >= INTERRUPTS / 2
        return found

    return interrupted


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_submit_and_result(interrupted, shared, seed):
    before = shared[0].stats()["queues"].get("default", {"done": 0})["done"]
    found = interrupted(SUBMIT, seed)
    assert found["kept"] >= found["calls"]
    stats = found["stats"]
    assert (stats["ready"], stats["leased"], stats["failed"], stats["delayed"]) == (0, 0, 0, 0)
    # What was interrupted inside `submit` may have reached the master without the script knowing; nothing else.
    extra = stats["done"] - before - found["kept"] - 50
    assert 0 <= extra <= found["interrupts"]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_map(interrupted, seed):
    found = interrupted(MAP, seed)
    stats = found["stats"]
    assert (stats["ready"], stats["leased"], stats["failed"]) == (0, 0, 0)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_plain_put_and_get(interrupted, seed):
    found = interrupted(PLAIN, seed)
    # Each call put one number; interrupted turns repeat theirs. None is missing, though the script may have dropped
    # a value between `get` and its own list.
    assert found["different"] + found["interrupts"] >= found["calls"]


def test_a_value_that_get_was_about_to_return_is_not_lost(interrupted):
    assert interrupted(GET)["calls"] >= 1


def test_as_completed_and_wait(interrupted):
    assert interrupted(COMPLETED)["calls"] >= 1


def test_other_calls_never_read_the_answer_of_another(interrupted):
    assert interrupted(CALLS)["calls"] >= 1
