"""A script in which one object has several names gives the same with ProcessPoolExecutor and here."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

HELPER = """
import contextvars, sqlite3, threading
STATE, CONFIG, LOCK, LOCAL, EVENT = [], {"x": 1}, threading.Lock(), threading.local(), threading.Event()
VARIABLE, CONNECTION = contextvars.ContextVar("VARIABLE", default=0), sqlite3.connect(":memory:")
class Thing:
    n = 0
    lock = LOCK
class Database:
    connection = sqlite3.connect(":memory:")
THING = Thing()
def add():
    STATE.append(1)
    return len(STATE)
def configured():
    return CONFIG["x"]
def count():
    THING.n += 1
    return THING.n
def seen():
    return getattr(LOCAL, "n", None), EVENT.is_set(), VARIABLE.get(), LOCK.locked()
def selected():
    return CONNECTION.execute("SELECT 1").fetchone()
"""
SCRIPT = """
import helper, threading
from helper import CONFIG, CONNECTION, EVENT, LOCAL, LOCK, STATE, THING, VARIABLE, Database
from helper import STATE as SAME
from tests.promises import two_ways

ONE = OTHER = []
MINE = threading.Lock()
class Holder:
    shared, lock = ONE, MINE

class App:
    def __init__(self):
        self.routes, self.asked = {}, []
    def route(self, path):
        return lambda function: self.routes.setdefault(path, function)
    def answer(self, path):
        self.asked.append(path)
        return self.routes[path]()
app = App()
@app.route("/")
def index():
    return len(app.asked), app.routes["/"] is index
def answer():
    return app.answer("/")
def one():
    ONE.append(1)
    return len(ONE)
def other():
    OTHER.append(1)
    return len(OTHER)
def held():
    Holder.shared.append(1)
    return len(Holder.shared), ONE is OTHER is Holder.shared, Holder.lock is MINE
def add():
    STATE.append(1)
    return len(STATE)
def add_there():
    helper.STATE.append(1)
    return len(SAME), STATE is helper.STATE is SAME
def configure():
    CONFIG["x"] += 1
def count():
    THING.n += 1
    return THING.n
def sign():
    LOCAL.n = 5
    EVENT.set()
    VARIABLE.set(3)
    with LOCK:
        return helper.seen(), LOCK is helper.LOCK is helper.Thing.lock
def select():
    return CONNECTION.execute("SELECT 1").fetchone(), Database.connection.execute("SELECT 2").fetchone()
def apply(function, *args):
    return function(*args)
def rebind():
    global STATE
    STATE = [0]
    return len(STATE)

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [(function,) for function in (
            one, other, held, one, add, helper.add, add_there, helper.add, configure, helper.configured, count,
            helper.count, count, sign, helper.seen, select, helper.selected, rebind, add, helper.add, index,
            answer, index,
        )] + [
            (apply, one), (other,), (apply, helper.add), (helper.add,), (apply, apply, one), (apply, sign),
        ])
"""


def test_one_object_with_several_names_is_one_in_each_process(tmp_path):
    script(tmp_path, HELPER, "helper.py")
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 29
    assert here == there, trouble


CACHES = """
import functools
from tests.promises import two_ways

CALLS = []
@functools.lru_cache(maxsize=5)
def fib(n):
    CALLS.append(n)
    return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.cache
def double(x):
    CALLS.append(x)
    return 2 * x
@functools.singledispatch
def kind(x):
    return "object"
def state():
    return tuple(fib.cache_info()), tuple(double.cache_info()), len(CALLS)
def empty():
    fib.cache_clear()
    return double(3)
def register():
    kind.register(str, lambda x: "str")
    return kind("a")

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [
            (fib, 10), (state,), (double, 3), (state,), (fib, 11), (empty,), (state,), (fib, 3), (state,),
            (kind, "a"), (register,), (kind, "a"),
        ])
"""


def test_a_cache_is_one_for_those_who_submit_it_and_those_who_use_it(tmp_path):
    there, here, trouble = both(script(tmp_path, CACHES, "own.py"))
    assert len(there) == 12 and there[-1] == "kind ['str', 'str']"
    assert here == there, trouble
