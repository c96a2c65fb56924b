"""A script whose classes are made in unusual ways gives the same with ProcessPoolExecutor and here."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

SCRIPT = """
import abc
from tests.promises import two_ways

class Tagged:
    found = []
    def __init_subclass__(cls, *, tag):
        super().__init_subclass__()
        if cls.__name__ in Tagged.found:
            raise TypeError("there are two of " + cls.__name__)
        cls.tag = tag
        Tagged.found.append(cls.__name__)
class Red(Tagged, tag="red"):
    pass
class Plugin(abc.ABC):
    found = []
    def __init_subclass__(cls):
        Plugin.found.append(cls.__name__)
    @abc.abstractmethod
    def go(self): ...
class Mine(Plugin):
    def go(self):
        return "mine"
class Counting(abc.ABCMeta):
    made = []
    def __new__(meta, name, bases, names, *, by):
        meta.made.append(name)
        return super().__new__(meta, name, bases, names)
    def __init__(cls, name, bases, names, by):
        super().__init__(name, bases, names)
        cls.by = by
class Shape(metaclass=Counting, by="me"):
    @abc.abstractmethod
    def area(self): ...
class Square(Shape, by="you"):
    def area(self):
        return 9

def tag(x):
    return type(x).tag, Tagged.found
def plug(x):
    return x.go(), Plugin.found, isinstance(x, Plugin)
def area(x):
    return x.area(), x.by, Counting.made, isinstance(x, Shape)
def abstract():
    try:
        Shape()
    except TypeError as exc:
        return str(exc)
def more():
    class Blue(Tagged, tag="blue"):
        pass
    class Circle(Shape, by="her"):
        def area(self):
            return 3
    return Blue.tag, Tagged.found[-2:], Circle().area(), Counting.made[-1]

if __name__ == "__main__":
    with two_ways.executor("fork") as executor:
        for function, *args in (
            (tag, Red()), (plug, Mine()), (area, Square()), (Red,), (Square,), (abstract,), (more,), (tag, Red()),
        ):
            try:
                values = executor.submit(function, *args).result(30), *executor.map(function, *([x] for x in args))
                print(function.__name__, [type(x).__name__ if isinstance(x, Tagged | Shape) else x for x in values])
            except Exception as exc:
                print(function.__name__, repr(exc))
    print(Tagged.found, Plugin.found, Counting.made)
"""


def test_a_class_is_made_once_whatever_its_metaclass_and_its_base_do_then(tmp_path):
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 9
    assert here == there, trouble
