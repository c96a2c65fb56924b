"""A script with locks and the like in whatever it holds gives the same with ProcessPoolExecutor and here."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

SCRIPT = """
import functools, logging, queue, sys, threading, weakref
from concurrent.futures import ThreadPoolExecutor
from tests.promises import two_ways

class Cache:
    def __init__(self):
        self.lock, self.found = threading.Lock(), {}
    def get(self, key):
        with self.lock:
            self.found[key] = self.found.get(key, 0) + 1
            return self.found[key]
class Registered:
    all, by_name = weakref.WeakSet(), weakref.WeakValueDictionary()
    def __init__(self, name):
        self.all.add(self)
        self.by_name[name] = self
class OneOfAKind:
    it, lock = None, threading.Lock()
    def __new__(cls):
        with cls.lock:
            if cls.it is None:
                cls.it = super().__new__(cls)
        return cls.it
def synchronized(function):
    lock = threading.RLock()
    @functools.wraps(function)
    def wrapper(*args):
        with lock:
            return function(*args)
    return wrapper

CACHE = SAME = Cache()
THREADS, BARRIER, HANDLER = ThreadPoolExecutor(2), threading.Barrier(1), logging.StreamHandler(sys.stdout)
LOCKS, QUEUES, IT = [threading.Lock(), threading.Condition()], {"in": queue.Queue(3)}, OneOfAKind()
COUNTED = weakref.WeakKeyDictionary()
THREADS.submit(len, "").result()

def get():
    return CACHE.get("x"), SAME.get("x")
def get_other():
    return SAME.get("x")
def register():
    it = Registered("it")
    return len(Registered.all), Registered.by_name["it"] is it
def count():
    it = Registered("it")
    COUNTED[it] = 1
    return len(COUNTED)
def threads():
    return list(THREADS.map(abs, [-1, -2]))
def wait():
    return BARRIER.wait()
def handler():
    return type(HANDLER).__name__, HANDLER.stream is sys.stdout
def locks():
    with LOCKS[0], LOCKS[1]:
        return len(LOCKS)
def queues():
    QUEUES["in"].put(1)
    return QUEUES["in"].qsize(), QUEUES["in"].full()
def one():
    return OneOfAKind() is IT
@synchronized
def in_turn(x):
    return x
def in_turn_too(x):
    return in_turn(x)
def argument(x):
    return x

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [
            (get,), (get_other,), (get,), (register,), (count,), (threads,), (wait,), (handler,), (locks,), (queues,),
            (one,), (in_turn, 1), (in_turn_too, 1), (argument, CACHE),
        ])
"""


def test_locks_are_made_anew_wherever_a_script_holds_them(tmp_path):
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 14 and there[-1].startswith("argument TypeError")
    assert here == there, trouble
