"""What a script and the modules beside it make for their annotations is there where tasks run, as on a pool."""

from __future__ import annotations

import sys

from tests.cluster import script
from tests.promises.two_ways import both

HELPER = """
import functools
from typing import Callable, NewType, ParamSpec, TypeVar

P, R = ParamSpec("P"), TypeVar("R")
Key = NewType("Key", str)
def logged(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)
    return call
"""
SCRIPT = """
from typing import Callable, Generic, NewType, ParamSpec, TypeVar, TypeVarTuple
import helper
from tests.promises import two_ways

P, Ts, Out = ParamSpec("P"), TypeVarTuple("Ts"), TypeVar("Out", covariant=True)
UserId = NewType("UserId", int)
class Job(Generic[P, Out]):
    def __init__(self, function: Callable[P, Out]) -> None:
        self.function = function
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Out:
        return self.function(*args, **kwargs)
class Row(Generic[*Ts]):
    def __init__(self, *cells: *Ts) -> None:
        self.cells = cells
def twice(function: Callable[P, int]) -> Callable[P, int]:
    return lambda *args, **kwargs: 2 * function(*args, **kwargs)
@helper.logged
def length(text: str) -> int:
    return len(text)

def job(text):
    return Job(len)(text), Row(1, text).cells, twice(len)(text), helper.logged(len)(text)
def names():
    return [each.__name__ for each in (P, Ts, Out, UserId, helper.P, helper.Key)], P.__module__, UserId(3)
def same(*given):
    return [a is b for a, b in zip(given, (P, Ts, Out, UserId, helper.P, helper.Key))]
def annotated():
    return twice.__annotations__["function"].__args__[0] is P, Job.__parameters__[0] is P
def give():
    return P, Ts, Out, UserId, helper.P, helper.Key

if __name__ == "__main__":
    with two_ways.executor("fork") as executor:
        two_ways.say(executor, [
            (job, "abc"), (length, "abcd"), (names,), (same, *give()), (annotated,), (give,),
        ])
        print(same(*executor.submit(give).result()), executor.submit(Job(length), "ab").result())
"""
ALIASES = """
from tests.promises import two_ways

type Number = int | float
type Pair[T] = tuple[T, T]
class Box[T]:
    def __init__(self, value: T) -> None:
        self.value = value
    def paired(self) -> Pair[T]:
        return self.value, self.value

def first[T](values: Pair[T]) -> T:
    return values[0]
def known():
    return str(Number.__value__), Pair.__type_params__[0].__name__, first(Box(3).paired()), Number.__name__

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [(known,), (first, (1, 2))])
"""


def test_what_stands_for_types_is_made_once_in_each_process(tmp_path):
    script(tmp_path, HELPER, "helper.py")
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 7
    assert here == there, trouble


def test_aliases_of_types_are_known(tmp_path):
    """They have a syntax of their own, from Python 3.12 on."""
    text = ALIASES if sys.version_info >= (3, 12) else "print('known', '')"
    there, here, trouble = both(script(tmp_path, text, "own.py"))
    assert there and here == there, trouble
