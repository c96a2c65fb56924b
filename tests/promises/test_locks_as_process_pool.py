"""A script with locks and the like in whatever it holds gives the same with ProcessPoolExecutor and here."""

from __future__ import annotations

from tests.cluster import run, script
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


HELPER = """
import ctypes
LIBRARY = ctypes.CDLL(None)
length = LIBRARY.strlen
length.restype, length.argtypes = ctypes.c_size_t, [ctypes.c_char_p]
class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int)]
def moved(point):
    point.x += 1
    return point
"""
OF_A_LIBRARY = """
import ctypes
import helper
from tests.promises import two_ways

def of_helper(text):
    return helper.length(text), helper.LIBRARY.abs(-3)
def moved(x):
    return helper.moved(helper.Point(x)).x
def x_of(point):
    return point.x

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [(of_helper, b"abc"), (moved, 1), (x_of, helper.Point(3))])
        print(type(executor.submit(helper.moved, helper.Point(1)).result(30)) is helper.Point)
"""


def test_what_is_of_a_library_is_found_in_a_module_beside_the_script(tmp_path):
    script(tmp_path, HELPER, "helper.py")
    there, here, trouble = both(script(tmp_path, OF_A_LIBRARY, "own.py"))
    assert len(there) == 4 and there[-1] == "True"
    assert here == there, trouble


IN_THE_SCRIPT = """
import ctypes
from dqlab import Master
LIBRARY = ctypes.CDLL(None)
def use():
    return LIBRARY.abs(-3)
with Master() as master:
    print(master.submit(use).exception(30))
"""


def test_a_library_in_the_script_is_refused_by_name(tmp_path):
    said = run(script(tmp_path, IN_THE_SCRIPT)).stdout
    assert "global variable 'LIBRARY'" in said and "ctypes" in said and "in a module beside the notebook" in said
