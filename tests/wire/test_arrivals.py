"""Whether what arrives is what was brought before."""

import functools
import sqlite3
import threading

import numpy as np
import pytest

from dqlab.wire.arrivals import digest


def make(rate):
    def f(x, *, n=[1]):  # noqa: B006
        return RATE * x * n[0]

    f.rate = rate
    return f


RATE = 1


@pytest.mark.parametrize(
    "one, other",
    [
        (1, True), (1, 2), ("a", b"a"), ([1], [1, 2]), ({"a": 1}, {"a": 2}), (np.zeros(3), np.ones(3)),
        (make(1), make(2)), (int, str), (functools, threading),
        (functools.lru_cache(make(1)), functools.lru_cache(make(2))),
    ],
)  # fmt: skip
def test_what_differs(one, other):
    assert digest(one) == digest(one) != digest(other)


def test_what_is_the_same(monkeypatch):
    before = digest(make(1))
    assert digest(make(1)) == before and digest([np.ones(2)]) == digest([np.ones(2)])
    monkeypatch.setitem(make(1).__globals__, "RATE", 5)  # compared by themselves
    assert digest(make(1)) == before
    assert digest(threading.Lock()) == digest(threading.Lock())


def test_what_cannot_be_told_is_never_the_same():
    connection = sqlite3.connect(":memory:")
    assert digest(connection) != digest(connection)
    connection.close()
