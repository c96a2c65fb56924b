"""How many items `map` draws at once, and how they travel."""

from __future__ import annotations

import itertools
import pickle

import pytest

from dqlab.client.drawn_items import MOST_BYTES, TOGETHER, DrawnItems
from dqlab.wire.envelope import PYTHON


def drawn(source, n=1000, star=False):
    items = DrawnItems(star)
    items.draw(iter(source), n)
    return items


def test_atoms_travel_as_one_pickle():
    items = drawn([1, "two", None])
    kind, payload, python = items.pack()
    assert (kind, pickle.loads(payload), python) == ("map", [1, "two", None], "")
    kind, payload, python = drawn(zip([1, 2], "ab", strict=True), star=True).pack()
    assert (kind, pickle.loads(payload), python) == ("star", [(1, "a"), (2, "b")], "")


def test_others_have_a_pickle_each_so_that_equal_ones_are_two():
    item = [1]
    kind, payload, _ = drawn([0, item, item]).pack()
    assert kind == "maps"
    assert [pickle.loads(data) for data in pickle.loads(payload)] == [0, [1], [1]]
    kind, payload, _ = drawn([(1, item)], star=True).pack()
    assert (kind, pickle.loads(pickle.loads(payload)[0])) == ("stars", (1, [1]))


def test_an_item_is_as_it_was_when_it_was_drawn():
    def reuse():
        buffer = [0]
        for i in range(3):
            buffer[0] = i
            yield buffer

    payload = drawn(reuse()).pack()[1]
    assert [pickle.loads(data) for data in pickle.loads(payload)] == [[0], [1], [2]]


def test_code_binds_the_run_to_this_python():
    assert drawn([[1]]).pack()[2] == ""
    assert drawn([[1], lambda: 1]).pack()[2] == PYTHON


@pytest.mark.parametrize("make", [lambda: bytearray(MOST_BYTES), lambda: "x" * MOST_BYTES, lambda: [b"x" * MOST_BYTES]])
def test_large_items_are_drawn_one_at_a_time(make):
    source = (make() for _ in range(100))
    items = drawn(source)
    assert len(items.items) == 1
    assert len(list(source)) == 99


def test_small_items_before_large_ones_let_no_more_than_some_in():
    for small in (1, 10, 500):
        source = itertools.chain(["small"] * small, (["x" * MOST_BYTES] for _ in range(1000)))
        assert len(drawn(source).items) <= small + min(small, TOGETHER)


def test_what_a_source_raises_comes_once_and_what_it_gave_before_is_kept():
    def source():
        yield 1
        raise ValueError("at its end")

    items, values = DrawnItems(False), source()
    with pytest.raises(ValueError, match="at its end"):
        items.draw(values, 10)
    assert items.items == [1]
    items.draw(values, 10)
    assert items.items == [1] and items.pack()[0] == "map"
    with pytest.raises(ValueError, match="at its end"):
        DrawnItems(False, items.broken).draw(values, 10)


def test_an_item_that_cannot_be_pickled_is_no_end_of_the_source():
    items, values = DrawnItems(False), iter([(x for x in ()), 2])
    with pytest.raises(TypeError, match="cannot pickle 'generator' object"):
        items.draw(values, 10)
    assert items.broken is None
