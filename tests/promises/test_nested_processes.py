"""Processes that a task starts with `multiprocessing` know the script's functions and classes, as in the pool's."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

SCRIPT = """
import concurrent.futures as cf, multiprocessing as mp
from tests.promises import two_ways

SCALE = 2
class Odd(Exception):
    pass
class Point:
    step = 1
    def __init__(self, x):
        self.x = x
    def ahead(self, by):
        return self.x + by + Point.step
def scale(x):
    return SCALE * x
def point(x):
    return Point(x)
def fail(x):
    raise Odd(x)
def set_scale(x):
    global SCALE
    SCALE = x
def put(queue, x):
    queue.put(Point(x))
def pool(how):
    with mp.get_context(how).Pool(1) as inner:
        made = inner.map(point, [1, 2])
        return inner.map(scale, [1, 2]), [(type(x) is Point, x.x) for x in made], inner.apply(Point(3).ahead, (4,))
def initializer(how):
    with mp.get_context(how).Pool(1, set_scale, (5,)) as inner:
        return inner.map(scale, [1, 2]), SCALE
def raises(how):
    with mp.get_context(how).Pool(1) as inner:
        try:
            inner.map(fail, [1])
        except Odd as exc:
            return exc.args
def process(how):
    context = mp.get_context(how)
    queue = context.Queue()
    inner = context.Process(target=put, args=(queue, 7))
    inner.start()
    got = queue.get(timeout=20)
    inner.join()
    return type(got) is Point, got.x, inner.exitcode
def executor_in(how):
    with cf.ProcessPoolExecutor(1, mp_context=mp.get_context(how)) as inner:
        return list(inner.map(scale, [1, 2])), type(inner.submit(point, 1).result()) is Point

if __name__ == "__main__":
    with two_ways.executor() as executor:
        for function, how in (
            (pool, "fork"), (pool, "spawn"), (pool, "forkserver"), (initializer, "spawn"), (raises, "spawn"),
            (process, "spawn"), (executor_in, "spawn"),
        ):
            try:
                print(function.__name__, how, executor.submit(function, how).result(60))
            except Exception as exc:
                print(function.__name__, how, repr(exc))
"""


def test_a_task_may_start_processes_of_each_kind_with_the_scripts_own_functions(tmp_path):
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 7
    assert here == there, trouble
