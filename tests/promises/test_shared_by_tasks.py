"""What tasks share by a `multiprocessing.Manager` is the same with ProcessPoolExecutor and here."""

from __future__ import annotations

from tests.cluster import run, script
from tests.promises.two_ways import both

SCRIPT = """
import functools, multiprocessing
from multiprocessing import managers
from tests.promises import two_ways

class Counter:
    def __init__(self):
        self.n = 0
    def up(self):
        self.n += 1
        return self.n
class Counters(managers.BaseManager):
    pass
Counters.register("Counter", Counter)

def put(queue, x):
    queue.put(x)
def count(lock, value):
    with lock:
        value.value += 1
    return value.value
def note(found, key):
    found[key] = key * 2
def up(counter):
    return counter.up()
def back(proxy):
    return proxy
def in_a_process(queue):
    process = multiprocessing.get_context("spawn").Process(target=queue.put, args=("process",))
    process.start()
    process.join()
def in_a_pool(queue):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(queue.put, ("pool",))

if __name__ == "__main__":
    with two_ways.executor() as executor, multiprocessing.Manager() as manager, Counters() as counters:
        queue, lock, value, found = manager.Queue(), manager.Lock(), manager.Value("i", 0), manager.dict()
        two_ways.say(executor, [
            (put, queue, 1), (count, lock, value), (note, found, 3),
            (up, counters.Counter()), (in_a_process, queue), (in_a_pool, queue),
        ])
        executor.submit(queue.put, "bound").result(30)
        executor.submit(functools.partial(put, queue), "partial").result(30)
        executor.submit(back, queue).result(30).put("back")
        list(executor.map(note, [found] * 3, range(3)))
        print([queue.get(timeout=9) for _ in range(9)], found.copy(), value.value)
        print(type(executor.submit(back, multiprocessing.Lock()).exception(30)).__name__)
"""

PIPE = """
import multiprocessing
from dqlab import LocalWorkers, Master
def send(end):
    end.send(1)
near, far = multiprocessing.Pipe()
with Master() as master:
    LocalWorkers(master, 1)
    print(master.submit(send, far).exception(30))
"""


def test_what_a_manager_serves_is_shared_by_tasks(tmp_path):
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 8 and there[-1] == "RuntimeError", there
    assert here == there, trouble


def test_an_end_of_a_pipe_is_refused(tmp_path):
    assert "cannot pickle 'Connection' object" in run(script(tmp_path, PIPE)).stdout
