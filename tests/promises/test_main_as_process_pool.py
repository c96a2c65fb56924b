"""A script whose functions, classes and globals stand in itself gives the same with ProcessPoolExecutor and here."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

SCRIPT = """
import collections, contextvars, dataclasses, enum, functools, logging, multiprocessing as mp
import os, pickle, queue, sys, threading, typing
from tests.promises import two_ways

LOCK, LOCAL, EVENT, ROOM = threading.RLock(), threading.local(), threading.Event(), threading.Semaphore(2)
VARIABLE, BARE = contextvars.ContextVar("VARIABLE", default=3), contextvars.ContextVar("BARE")
LINE, LOG = queue.Queue(), logging.getLogger("mine")
COUNTS, LISTS = {}, collections.defaultdict(list)

def lock(x):
    with LOCK, ROOM:
        return x
def local(x):
    LOCAL.n = getattr(LOCAL, "n", 0) + x
    return LOCAL.n
def variable(x):
    VARIABLE.set(VARIABLE.get() + x)
    return VARIABLE.get()
def variables():
    return VARIABLE.get(), BARE.get("nothing")
def event():
    was = EVENT.is_set()
    EVENT.set()
    return was
def event_again():
    return EVENT.is_set()
def line(x):
    LINE.put(x)
    return LINE.qsize()
def log():
    return LOG.name
def count(key):
    COUNTS[key] = COUNTS.get(key, 0) + 1
    return COUNTS
def counted():
    return len(COUNTS)
def add(x):
    LISTS["a"].append(x)
    return len(LISTS["a"])
def attribute():
    attribute.n = getattr(attribute, "n", 0) + 1
    return attribute.n
def attribute_again():
    return attribute.n
def load():
    global MODEL
    MODEL = [0]
def predict():
    MODEL[0] += 1
    return MODEL[0]
@functools.lru_cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def hits():
    return fib(30), fib.cache_info().hits > 0
@functools.singledispatch
def kind(x):
    return "object"
@kind.register
def _(x: list):
    return [kind(i) for i in x]
@kind.register(int)
def _(x):
    return "int"
def kinds():
    return kind([1, "a", [2]])
class Square:
    lock, made = threading.Lock(), 0
    def __init__(self, x):
        self.x = x
    @functools.cached_property
    def area(self):
        with self.lock:
            Square.made += 1
            return self.x**2
    @functools.lru_cache
    def twice(self):
        return self.x * 2
    @functools.singledispatchmethod
    def kind(self, x):
        return "object"
    @kind.register
    def _(self, x: int):
        return "int"
def square(x):
    s = Square(x)
    return s.area, s.twice(), s.kind(1), Square.made
def square_of(s):
    return s.area, Square.made
def pickle_it(what):
    return type(pickle.loads(pickle.dumps(what))) is type(what), pickle.loads(pickle.dumps(double)) is double
def double(x):
    return x * 2
def pool():
    with mp.get_context("fork").Pool(2) as inner:
        return inner.map(double, [1, 2])
def main():
    import __main__
    return __main__.double(2), sys.modules[double.__module__].Square.__name__
def arguments():
    return os.path.basename(sys.argv[0]), sys.argv[2:]
class Missing:
    pass
MISSING, NOTHING, CACHE = object(), Missing(), {}
def default(x=MISSING, *, y=NOTHING):
    return x is MISSING, y is NOTHING
def default_again(*args):
    return default(*args), Options().given()
def cached(key=1, cache=CACHE):
    cache[len(cache)] = key
    return len(CACHE)
@dataclasses.dataclass
class Options:
    x: object = MISSING
    y = NOTHING
    def given(self):
        return self.x is MISSING, self.y is NOTHING
@dataclasses.dataclass(slots=True, frozen=True)
class Point:
    x: int = 1
class Slotted:
    __slots__ = ("a", "__own")
    def __init__(self, a):
        self.a, self.__own = a, 2
    def all(self):
        return self.a, self.__own, hasattr(self, "__dict__")
class Pair(typing.NamedTuple):
    a: int
    b: str = "b"
class Plugin:
    found = []
    def __init_subclass__(cls):
        Plugin.found.append(cls.__name__)
class Mine(Plugin):
    pass
class Color(enum.Enum):
    RED = 1
def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 100
    return wrapper
@decorated
def hundred(x):
    return x
def use_hundred(x):
    return hundred(x)
def made(what):
    return {"point": Point, "slotted": lambda: Slotted(1), "pair": lambda: Pair(1), "mine": Mine, "color": Color}[what](
        *([1] if what == "color" else []))
def the_same(what):
    return what
def shown(thing):
    return type(thing) is globals()[type(thing).__name__], getattr(thing, "all", lambda: repr(thing)[:12])()

def programs():
    for function, *args in (
        (lock, 1), (local, 1), (variable, 1), (variables,), (event,), (event_again,), (line, 1), (log,), (count, "a"),
        (counted,), (count, "b"), (add, 1), (attribute,), (attribute_again,), (load,), (predict,), (load,), (predict,),
        (fib, 30), (hits,), (kind, 1), (kind, "a"), (kinds,), (square, 3), (square_of, Square(4)), (square, 5),
        (pickle_it, Square(1)), (pool,), (main,), (arguments,), (default,),
        (default_again,), (cached,), (Options().given,), (default, 1), (cached,), (Square(1).twice,),
    ):
        yield function.__name__, lambda ex: [ex.submit(function, *args).result(30) for _ in range(3)]
    yield "map", lambda ex: [*ex.map(add, range(5)), *ex.map(square_of, [Square(2)] * 3)]
    yield "a class", lambda ex: type(ex.submit(Square, 3).result(30)) is Square
    for thing in (Point(), Slotted(3), Pair(4), Mine(), Color.RED):
        label = type(thing).__name__
        yield label, lambda ex: [shown(ex.submit(made, label.lower()).result(30)) for _ in range(2)]
        yield label, lambda ex: [shown(x) for x in [ex.submit(the_same, thing).result(30), *ex.map(the_same, [thing])]]
    yield "plugins", lambda ex: Plugin.found
    yield "decorated", lambda ex: [ex.submit(f, 1).result(30) for f in (use_hundred, hundred, use_hundred)]
    yield "a lock as an argument", lambda ex: ex.submit(double, threading.Lock()).result(30)

if __name__ == "__main__":
    with two_ways.executor() as executor:
        for name, program in programs():
            try:
                print(name, program(executor))
            except Exception as exc:
                print(name, type(exc).__name__)
"""


def test_a_script_of_its_own_gives_the_same(tmp_path):
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 52
    assert here == there, trouble


HELPER = """
import threading
LOCK, STATE, MISSING = threading.Lock(), [], object()
class Thing:
    def __init__(self, x):
        self.x = x
def make(x):
    return Thing(x)
def add(x):
    with LOCK:
        STATE.append(x)
    return len(STATE)
def double(x):
    return 2 * x
def missing(x=MISSING):
    return x is MISSING
"""
WITH_HELPER = """
import multiprocessing as mp, pickle, sys
import helper
from helper import Thing
from tests.promises import two_ways

def lazy(thing):
    import helper as h
    return isinstance(thing, h.Thing), isinstance(h.make(1), h.Thing), isinstance(h.make(1), type(thing))
def lazy_names(thing):
    from helper import Thing as T, add
    return isinstance(thing, T), add(1)
def both(x):
    helper.add(x)
    import helper as h
    return len(h.STATE), len(helper.STATE), h is helper, h.missing(), h.missing(helper.MISSING)
def pickled(thing):
    return type(pickle.loads(pickle.dumps(thing))) is type(thing) is Thing
def pool():
    with mp.get_context("fork").Pool(1) as inner:
        return inner.map(helper.double, [1, 2])
def module():
    import helper as h
    return h.__name__, h is sys.modules["helper"], h.make.__module__

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [
            (lazy, Thing(1)), (lazy_names, Thing(1)), (helper.add, 1), (both, 1), (pickled, Thing(1)),
            (pool,), (module,), (helper.missing,), (lazy, Thing(2)), (helper.add, 1),
        ])
"""


def test_a_script_with_a_module_beside_it_gives_the_same(tmp_path):
    script(tmp_path, HELPER, "helper.py")
    there, here, trouble = both(script(tmp_path, WITH_HELPER, "own.py"))
    assert len(there) == 10
    assert here == there, trouble
