"""The same small programs on ProcessPoolExecutor and here: what runs there gives the same here.

They are about state, results and code, where batches, caches and code by value could show. The pool's processes are
spawned, as they are on every system, and everything runs in one process of tasks, so that each sees what others leave.
"""

from __future__ import annotations

import collections
import concurrent.futures as cf
import contextvars
import functools
import importlib
import itertools
import multiprocessing
import os
import random
import sqlite3
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from dqlab import LocalWorkers, Master, connect
from tests.cluster import run, script

LOCK, LOCAL, DATABASE = threading.Lock(), threading.local(), sqlite3.connect(":memory:", check_same_thread=False)
VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=5)
LOADS: list[int] = []
BUFFER = bytearray(1)


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[cf.Executor, cf.Executor]]:
    """A pool of one process, and a master with one worker."""
    with cf.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool, Master() as master:
        LocalWorkers(master, 1).wait(timeout=30)
        for engine in (pool, master):
            engine.submit(int).result(30)  # from now on their threads and processes are there
        yield pool, master
    DATABASE.close()


class Counter:
    """Counts, in an object and in its class."""

    total = 0

    def __init__(self) -> None:
        self.n = 0

    def up(self, *_: object) -> int:
        self.n += 1
        return self.n

    __call__ = up

    def up_all(self, *_: object) -> int:
        Counter.total += 1
        return Counter.total


class OddError(Exception):
    """Can't be called with its own ``args``."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a}-{b}")


def take(options: dict[str, int], x: int) -> int:
    return options.pop("factor") * x


def lengthen(items: list[int]) -> int:
    items.append(1)
    return len(items)


def reuse(x: int) -> bytearray:
    BUFFER[0] = x
    return BUFFER


def collect(x: int) -> list[int]:
    LOADS.append(x)
    return LOADS


def use_lock(x: int) -> int:
    with LOCK:
        return x


def use_local(x: int) -> int:
    LOCAL.value = x
    return LOCAL.value


def use_variable(x: int) -> int:
    return VARIABLE.get() + x


def use_database(x: int) -> int:
    return DATABASE.execute("select ?", (x,)).fetchone()[0]


@functools.lru_cache
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@functools.singledispatch
def kind_of(x: object) -> str:
    return "object"


@kind_of.register
def _(x: int) -> str:
    return "int"


class Square:
    """Holds a lock in its class, under Python 3.11 also in the property."""

    lock = threading.Lock()

    def __init__(self, x: int) -> None:
        self.x = x

    @functools.cached_property
    def area(self) -> int:
        with self.lock:
            return self.x**2


def area(x: int) -> int:
    return Square(x).area


def stop_at_three(x: int) -> int:
    return next(iter([])) if x == 3 else x


def odd(x: int) -> None:
    raise OddError(x, 2)


def three(engine: cf.Executor, function: object, *args: object) -> list[object]:
    return [engine.submit(function, *args).result(30) for _ in range(3)]  # type: ignore[arg-type]


def raised(engine: cf.Executor, function: object, *args: object) -> tuple[type, tuple[object, ...]]:
    exc = engine.submit(function, *args).exception(30)  # type: ignore[arg-type]
    return type(exc), getattr(exc, "args", ())


def cancel() -> None:
    raise cf.CancelledError("by the task")


def nest(depth: int) -> list[object]:
    found: list[object] = []
    for _ in range(depth):
        found = [found]
    return found


def arguments() -> tuple[list[str], str]:
    return sys.argv, sys.stdout.name


def generator() -> random.Random:
    return random.Random(7)


PROGRAMS = {
    "a bound method": lambda engine: three(engine, Counter().up),
    "a bound method, map": lambda engine: list(engine.map(Counter().up, range(40))),
    "a callable object": lambda engine: three(engine, Counter()),
    "an attribute of a class": lambda engine: three(engine, Counter().up_all),
    "a partial over a dict": lambda engine: three(engine, functools.partial(take, {"factor": 2}), 5),
    "a generator's method": lambda engine: three(engine, random.Random(7).random),
    "a method of a builtin": lambda engine: three(engine, [3, 1, 2].pop),
    "a counter of the standard library": lambda engine: three(engine, collections.Counter("aab").subtract, "a"),
    "equal items": lambda engine: list(engine.map(lengthen, [[]] * 4)),
    "one item again and again": lambda engine: (lambda item: [*three(engine, lengthen, item), item])([]),
    "items of two iterables": lambda engine: list(engine.map(take, itertools.repeat({"factor": 3}), range(4))),
    "a buffer that is used again": lambda engine: [b[0] for b in engine.map(reuse, range(8))],
    "a list that grows": lambda engine: [len(x) for x in engine.map(collect, range(4))],
    "a lock": lambda engine: three(engine, use_lock, 3),
    "thread-local data": lambda engine: three(engine, use_local, 3),
    "a context variable": lambda engine: three(engine, use_variable, 3),
    "a database": lambda engine: three(engine, use_database, 3),
    "lru_cache": lambda engine: three(engine, fib, 20),
    "singledispatch": lambda engine: three(engine, kind_of, 3),
    "a class with a lock and a cached property": lambda engine: three(engine, area, 3),
    "an instance of a class with a lock": lambda engine: type(engine.submit(Square, 3).result(30)) is Square,
    "an exception's class": lambda engine: raised(engine, lengthen, None)[0],
    "a result that is nested too deeply": lambda engine: raised(engine, nest, 100_000)[0],
    "an argument that is nested too deeply": lambda engine: raised(engine, len, nest(100_000))[0],
    "an exception that means cancelled": lambda engine: raised(engine, cancel),
    "arguments of the program": lambda engine: three(engine, arguments),
    "a function as an argument": lambda engine: three(engine, functools.reduce, max, [1, 3, 2]),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_same_program_gives_the_same(engines, program):
    there, here = map(program, engines)
    assert here == there


def test_a_retry_gets_its_item_as_it_was_submitted(engines):
    def fail_until_three(items):
        items.append(1)
        if len(items) < 3:
            raise ValueError(len(items))
        return items

    view = engines[1].options(retries=3)
    with pytest.raises(ValueError, match="^1$"):
        list(view.map(fail_until_three, [[]]))
    with pytest.raises(ValueError, match="^1$"):
        view.submit(fail_until_three, []).result(30)


def test_globals_of_a_function_live_as_long_as_the_process_holds_it(engines):
    space = {"model": None}
    exec("def load(x):\n    global model\n    model = (model or 0) + 1\n    return model\n", space)
    load = space["load"]
    assert three(engines[1], load, 0) == [1, 2, 3]
    assert three(engines[1], functools.partial(load, [0])) == [4, 5, 6]  # loaded for each task; its globals are not
    space["model"] = 10  # what they are here has changed
    assert three(engines[1], load, 0) == [11, 12, 13]


def test_a_closure_that_rebinds_its_variable_begins_anew(engines):
    def counter():
        n = 0

        def up(*_):
            nonlocal n
            n += 1
            return n

        return up

    assert three(engines[1], counter()) == [1, 1, 1]
    assert list(engines[1].map(counter(), range(20))) == [1] * 20


def test_a_task_that_raises_stop_iteration_is_not_the_end(engines):
    for engine in engines:
        results = engine.map(stop_at_three, range(6))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises((RuntimeError, StopIteration)) as caught:
            next(results, "the end")
        if engine is engines[1]:
            assert caught.type is RuntimeError and isinstance(caught.value.__cause__, StopIteration)


def test_an_exception_that_cannot_be_called_again_is_caught_by_its_class(engines):
    with pytest.raises(OddError, match="^1-2$"):
        engines[1].submit(odd, 1).result(30)


def test_a_builtin_that_raises_has_a_traceback(engines):
    assert "Traceback" in str(engines[1].submit(divmod, 1, 0).exception(30).__cause__)


def test_a_result_is_not_kept_once_it_is_given_out(engines):
    for value in engines[1].map(Square, range(10)):
        gone = weakref.ref(value)
        del value
        assert gone() is None


# -- modules beside the notebook --------------------------------------------------------------------------------------


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """``write(name, text)`` makes a module beside the notebook and imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, text):
        # A size that differs, as the time of a file that is written again at once may not.
        (tmp_path / f"{name}.py").write_text(f"{text}\n{'#' * len(written)}\n")
        written.append(name)
        importlib.invalidate_caches()
        return importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_code_is_as_it_is_here_now(engines, beside):
    here = engines[1]
    module = beside(
        "rates_a", "RATE = 1\nclass Thing:\n    k = 1\n    def v(self): return self.k\ndef rate(x): return RATE * x"
    )

    def through(x):
        return module.rate(x)

    def check(*expected):
        made = here.submit(lambda: module.Thing().v())
        assert (*three(here, through, 10), *here.map(through, [10]), made.result(30)) == expected

    check(10, 10, 10, 10, 1)
    module.RATE = 9
    module.Thing.k = 7
    check(90, 90, 90, 90, 7)
    del module.RATE
    with pytest.raises(NameError, match="RATE"):
        here.submit(through, 10).result(30)
    module.RATE = 9
    check(90, 90, 90, 90, 7)
    module.Thing.extra = 1
    assert here.submit(lambda: hasattr(module.Thing, "extra")).result(30)
    del module.Thing.extra
    assert not here.submit(lambda: hasattr(module.Thing, "extra")).result(30)
    beside("rates_a", "class Thing:\n    def v(self): return 'new'\ndef rate(x): return x + 1")
    check(11, 11, 11, 11, "new")
    numbers: dict[str, int] = {}
    assert here.submit(numbers.get, "a").result(30) is None
    numbers["a"] = 1
    assert here.submit(numbers.get, "a").result(30) == 1


def test_a_module_that_only_the_task_imports_is_found_and_read_again_when_it_has_changed(engines, beside, tmp_path):
    def lazy(x):
        import late_a

        return late_a.g(x), os.getpid()

    (tmp_path / "late_a.py").write_text("def g(x): return x + 1\n")
    importlib.invalidate_caches()
    first, again = (engines[1].submit(lazy, 1).result(30) for _ in range(2))
    assert first == again and first[0] == 2
    (tmp_path / "late_a.py").write_text("def g(x): return x + 1000\n")
    assert engines[1].submit(lazy, 1).result(30)[0] == 1001
    assert "late_a" not in sys.modules


TWO_CLIENTS = """
import helper, sys
from dqlab import connect

def lazy():
    import helper
    return helper.NAME, helper.lock.locked()

with connect(sys.argv[1]) as client:
    for _ in range(2):
        assert client.submit(helper.with_lock).result(30) == client.submit(lazy).result(30)[0] == sys.argv[2]
        print(client.submit(helper.with_lock).result(30))
"""


def test_two_clients_have_a_helper_of_their_own(tmp_path):
    with Master() as master:
        LocalWorkers(master, 1).wait(timeout=30)
        for name in ("ann", "bob", "ann"):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            script(folder, f"import threading\nlock = threading.Lock()\nNAME = {name!r}\n", "helper.py")
            text = f"def with_lock():\n    with lock:\n        return {name!r}\n"
            (folder / "helper.py").write_text((folder / "helper.py").read_text() + text)
            ended = run(script(folder, TWO_CLIENTS), str(master.connection_file), name, cwd=folder)
            assert ended.returncode == 0, ended.stderr
            assert ended.stdout.split() == [name] * 2
        with connect(master.connection_file) as client:
            assert client.stats()["queues"]["default"]["redelivered"] == 0


def test_what_cannot_be_pickled_in_a_notebook_is_named_with_a_remedy(engines):
    connection = sqlite3.connect(":memory:")
    space = {"__name__": "__main__", "lines": connection}
    exec("def inner():\n    return lines.total_changes\ndef outer():\n    return inner()\n", space)
    future = engines[1].submit(space["outer"])
    with pytest.raises(
        Exception, match=r"global variable 'lines' of module '__main__', which inner uses, .*inside the"
    ):
        future.result(30)
    connection.close()
