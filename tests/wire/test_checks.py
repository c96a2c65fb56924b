"""The table of checks: what each takes and what it does not, and in which words it says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.errors import BadInput
from dqlab.wire import checks
from dqlab.wire.checks import Check, check_queue, one_of, optional, shown, whole


class Odd:
    """Whose `repr` raises."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


TAKEN: list[tuple[Check, list[Any], list[Any]]] = [
    (checks.FLAG, [True, False], [0, 1, None, "True"]),
    (checks.ID, [0, 2**63 - 1], [-1, 2**63, True, 1.0, "1", None]),
    (checks.COUNT, [1, 2**63 - 1], [0, 2**63, True, 1.0]),
    (checks.CLIENT, [0, 10**6 - 1], [-1, 10**6, True]),
    (checks.LIMIT, [0, 10**6], [-1, 10**6 + 1, False]),
    (checks.PID, [0, 2**32], [-1, 2**32 + 1, True]),
    (checks.TEXT, ["", "x" * 65536, "\xe9" * 32768], ["x" * 65537, "\xe9" * 32769, "\ud800", b"x", None]),
    (checks.NAME, ["", "w1", "\xe9", "x" * 256], ["x" * 257, "a\nb", "\x1b[2J", "\ud800", 5, b"w1"]),
    (checks.REASON, ["", "x" * 1_000], ["x" * 1_001, None]),
    (checks.TOKEN, [bytes(32)], [bytes(31), bytes(33), bytearray(32), "x" * 32, None]),
    (checks.BUFFER, [b"", bytearray(b"x"), memoryview(b"x")], ["x", [1], (1,), None]),
    (checks.QUEUE, ["default", "a", "7", "pages_2.new-x", "x" * 64], ["", "a b", ".hidden", "x" * 65, "\xe4", None, 7]),
    (checks.RETRIES, [0, 3, 10**6], [-1, 1.5, True, False, None, 10**6 + 1]),
    (checks.TIMEOUT, [None, 1, 0.5, 1e9], [0, -1.0, "5", float("nan"), float("inf"), 2e9, True]),
    (checks.ATTEMPTS, [1, 10**6], [0, True, 10**6 + 1, None]),
    (checks.LEASE_SECONDS, [0.1, 15, 604800.0], [0.09, 604801, float("nan"), True, None]),
    (checks.SECONDS, [0, 0.0, 1e9], [-0.1, float("nan"), float("inf"), True, None]),
    (checks.WAIT, [0, -1.0, float("-inf"), 1e9], [float("nan"), float("inf"), True, None, "1"]),
    (checks.QUEUES, [[], ["a"], ("a", "b")], ["a", ["a", ""], [1], None, {"a"}]),
    (checks.VALUES, [[], [1, "x"], (None,)], ["ab", None, {1}]),
    (checks.ROWS, [[], [()], [1]], [None, "ab", {}, 5]),
    (checks.RANGES, [[], [(0, 1)], [[5, 2]]], [[(0, 0)], [(-1, 1)], [(1,)], [(1, 2, 3)], [5], [(True, 1)], None]),
    (checks.PRINTED, [[], [(1, "x")]], [[(1, b"x")], [(-1, "x")], [("x", 1)], [(1, "\ud800")], "ab"]),
    (checks.FUNCTIONS, [{}, {"f": b"f"}, {"f": bytearray(b"f")}], [{"f": 5}, {5: b"f"}, [("f", b"f")], None]),
    (one_of("done", "lost"), ["done", "lost"], ["", "Done", None, ["done"], 5]),
    (optional(checks.QUEUE), [None, "a"], ["", 7]),
    (whole(2, 4), [2, 4], [1, 5, 2.0, True]),
]


def spread(which: int) -> list[Any]:
    """(check, value) of each value that is taken (1), or is not (2)."""
    return [
        pytest.param(row[0], value, id=f"{row[0].means[:30]}: {value!r:.30}") for row in TAKEN for value in row[which]
    ]


@pytest.mark.parametrize(("check", "value"), spread(1))
def test_what_is_taken(check: Check, value: Any) -> None:
    assert check.holds(value)
    check("name", value)


@pytest.mark.parametrize(("check", "value"), spread(2))
def test_what_is_refused_is_named_with_what_would_be_taken(check: Check, value: Any) -> None:
    assert not check.holds(value)
    with pytest.raises(BadInput) as refused:
        check("field", value)
    assert refused.value.message == f"field={shown(value)}"
    assert refused.value.hint == check.means


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(values)
def test_every_check_answers_yes_or_no_to_whatever_is_sent(value: Any) -> None:
    for check, _, _ in TAKEN:
        assert check.holds(value) in (True, False)


def test_a_value_is_shown_short_and_never_raises() -> None:
    assert shown("x" * 1_000) == "'" + "x" * 76 + "..."
    assert shown(10**10_000) == "<int>"
    assert shown(Odd()) == "<Odd>"


@pytest.mark.parametrize("name", ["", "a b", ".hidden", "-x", "x" * 65, "\xe4", "a\n", None, 7])
def test_names_that_no_queue_has(name: object) -> None:
    with pytest.raises(BadInput, match="a queue's name"):
        check_queue(name)


@pytest.mark.parametrize("name", ["default", "a", "7", "pages_2.new-x", "x" * 64])
def test_names_of_queues(name: str) -> None:
    check_queue(name)
