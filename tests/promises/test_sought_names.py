"""Functions that look for others by names which their code doesn't tell find them, as with ProcessPoolExecutor."""

from __future__ import annotations

import pytest

from tests.cluster import script
from tests.promises.two_ways import both

HELPER = """
PLACES = 2
def shorten(x):
    return round(x, PLACES)
def choose(name, *args):
    return globals()[name](*args)
"""
SCRIPT = """
import importlib, sqlite3, sys
import helper
from tests.promises import two_ways

BASE, TABLE = 10, sqlite3.connect(":memory:")
def query():
    return TABLE.execute("SELECT 1").fetchone()
def square(x):
    return x * x + BASE
def half(x):
    return helper.shorten(x / 2)
def third(x):
    return x / 3
def fourth(x):
    return x / 4
class Shape:
    def area(self):
        return BASE
class Square(Shape):
    pass
class Circle(Shape):
    pass
def kinds():
    return [kind.__name__ for kind in Shape.__subclasses__()]
def of_vars(name, *args):
    return vars(sys.modules["__main__"])[name](*args)
def choose(name, *args):
    return globals()[name](*args)
def evaluate(text):
    return eval(text)
def execute(text):
    exec(text, globals(), found := {})
    return found["y"]
def of_this_module(name, *args):
    return getattr(sys.modules[__name__], name)(*args)
def of_main(name, *args):
    return getattr(importlib.import_module("__main__"), name)(*args)
def imported(*args):
    import __main__
    return __main__.fourth(*args)
def area(name):
    return globals()[name]().area()

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, PROGRAMS)
"""


@pytest.mark.parametrize(
    "programs",
    [
        '(choose, "square", 3), (evaluate, "half(3) + BASE"), (of_main, "third", 6)',
        '(evaluate, "[square(x) for x in range(3)]"), (area, "Shape"), (execute, "y = half(1)")',
        '(of_this_module, "half", 5), (imported, 8), (choose, "nothing")',
        '(helper.choose, "shorten", 2.345), (area, "Shape")',
        '(kinds,), (of_vars, "third", 6)',
    ],
)
def test_names_that_are_looked_for_are_found(tmp_path, programs):
    script(tmp_path, HELPER, "helper.py")
    text = SCRIPT.replace("PROGRAMS", f"[{programs}]")
    there, here, trouble = both(script(tmp_path, text, "own.py"))
    assert len(there) == programs.count(", (") + 1
    assert here == there, trouble


REDEFINED = """
from dqlab import LocalWorkers, Master

def rate():
    return 1
def choose(name):
    return globals()[name]()

if __name__ == "__main__":
    with Master() as master, LocalWorkers(master, 1):
        print(master.submit(choose, "rate").result(30))
        def rate():
            return 2
        print(master.submit(choose, "rate").result(30))
"""


def test_what_is_found_is_as_it_is_here_now(tmp_path):
    _, here, trouble = both(script(tmp_path, REDEFINED, "own.py"))
    assert here == ["1", "2"], trouble
