"""How what a task returned or raised travels."""

from __future__ import annotations

import copyreg
import pickle
import threading

import pytest

from dqlab.client.results import load_results
from dqlab.errors import BadInput
from dqlab.worker.result_pickling import ResultPickler


class ArgumentsLost(OSError):
    """Can't be called with its own ``args``."""

    def __init__(self, a, b):
        super().__init__(f"{a}-{b}")
        self.a = a


class Locked(Exception):
    """Can't be pickled."""

    def __init__(self):
        super().__init__("locked")
        self.lock = threading.Lock()


def described(exc):
    try:
        raise exc
    except type(exc):
        return ResultPickler().describe(exc)


def test_atoms_are_packed_together_and_what_could_change_alone():
    results, numbers = ResultPickler(), [1]
    assert pickle.loads(results.pack([1, "a", None], "map")) == [1, "a", None]
    frozen = results.freeze(numbers, "map")
    numbers.append(2)
    packed = results.pack([0, frozen], "maps")
    assert isinstance(pickle.loads(packed), tuple)
    assert list(load_results(packed)) == [0, [1]]


def test_a_plain_result_that_could_change_is_copied():
    value = [1]
    frozen = ResultPickler().freeze(value, "plain")
    value.append(2)
    assert frozen == [1]


def test_a_result_that_cannot_be_pickled_leaves_the_next_as_it_is():
    results = ResultPickler()
    with pytest.raises(TypeError):
        results.dump([1, threading.Lock()])
    assert pickle.loads(results.dump([1, 2])) == [1, 2]


def test_an_exception_whose_class_cannot_be_called_again_is_put_together_without():
    failure = described(ArgumentsLost(1, 2))
    exc = pickle.loads(failure.exception)
    assert (type(exc), exc.args, exc.a) == (ArgumentsLost, ("1-2",), 1)
    assert failure.summary.endswith("ArgumentsLost: 1-2") and "raise exc" in failure.traceback


def test_an_exception_that_cannot_be_pickled_says_why():
    failure = described(Locked())
    assert failure.exception is None
    assert "Locked: locked (`except Locked` can't catch it" in failure.summary
    assert "cannot pickle '_thread.lock' object" in failure.summary


def test_an_exception_without_a_frame_has_a_traceback_nevertheless():
    assert ResultPickler().describe(ValueError("x")).traceback == "Traceback (most recent call last):\nValueError: x\n"


def test_where_no_worker_is_trusted_only_plain_data_travels(monkeypatch):
    # Whoever imports Dask has other ways to pickle exceptions from then on, with other names.
    monkeypatch.delitem(copyreg.dispatch_table, ArgumentsLost, raising=False)
    results = ResultPickler()
    results.plain = True
    assert pickle.loads(results.pack([1, results.freeze([2], "map")], "map")) == (
        pickle.dumps(1, 5),
        pickle.dumps([2], 4),
    )
    with pytest.raises(BadInput, match="ArgumentsLost"):
        results.dump(ArgumentsLost(1, 2))
