"""Runs and the spans that they are cut into."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.broker.tasks import Run, Span, State
from dqlab.errors import BadInput
from dqlab.wire.messages import check_queue


def a_run(count: int = 10, **fields) -> Run:
    run = Run(**{
        "first": 100, "count": count, "queue": "default", "kind": "map", "function": "f", "payload": b"", **fields
    })  # fmt: skip
    run.spans.append(Span(run, 0, count))
    return run


def test_a_span_says_what_it_is():
    run = a_run()
    span = run.spans[0]
    span.state, span.attempt = State.LEASED, 2
    assert repr(span) == "<Tasks 100..109 leased attempt 2>"
    assert repr(span.cut(0, 1)) == "<Task 100 leased attempt 2>"


def test_a_piece_that_is_cut_off_takes_everything_along():
    span = a_run().spans[0]
    span.state, span.attempt, span.history, span.worker, span.token = State.LEASED, 2, (("w1", "died"),), "w1", 7
    piece = span.cut(6, 10)
    assert (piece.first, len(piece), span.first, len(span)) == (106, 4, 100, 6)
    for name in ("state", "attempt", "errors", "history", "worker", "token", "due", "since", "result"):
        assert getattr(piece, name) == getattr(span, name)


@pytest.mark.parametrize(("lo", "hi"), [(3, 5), (-1, 3), (0, 11), (3, 3), (5, 3)])
def test_only_an_end_can_be_cut_off(lo, hi):
    run = a_run()
    with pytest.raises(BadInput):
        run.spans[0].cut(lo, hi)
    assert len(run.spans) == 1 and len(run.spans[0]) == 10


@given(st.data())
def test_however_a_run_is_cut_each_task_is_in_exactly_one_span(data):
    run = a_run(20)
    for _ in range(data.draw(st.integers(0, 15))):
        span = data.draw(st.sampled_from(run.spans))
        n = data.draw(st.integers(1, len(span)))
        lo, hi = data.draw(st.sampled_from([(span.lo, span.lo + n), (span.hi - n, span.hi)]))
        span.cut(lo, hi)
    assert [i for span in run.spans for i in range(span.lo, span.hi)] == list(range(20))
    for i in range(20):
        span = run.span_of(100 + i)
        assert span is not None and span.lo <= i < span.hi
        assert run.spans_in(i, i + 1) == [span]
    assert run.spans_in(-5, 50) == run.spans
    assert run.span_of(99) is None and run.span_of(120) is None and run.spans_in(20, 30) == []


def test_a_span_that_was_forgotten_leaves_a_gap():
    run = a_run()
    middle = run.spans[0].cut(0, 5)
    run.spans.remove(middle)
    assert run.span_of(104) is None
    assert run.spans_in(2, 5) == [] and run.spans_in(2, 6) == run.spans


@pytest.mark.parametrize(
    "fields",
    [
        {"queue": "a b"}, {"kind": "apply"}, {"first": -1}, {"first": "1"}, {"count": 0}, {"count": True},
        {"retries": -1}, {"retries": 1.5}, {"max_attempts": 0}, {"timeout": 0}, {"timeout": -1.0},
        {"timeout": "5"}, {"timeout": float("nan")}, {"payload": (1,)}, {"payload": [1]}, {"python": [1]},
        {"function": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_run_that_makes_no_sense_is_refused_and_the_message_shows_why(fields):
    run = a_run()
    (name, value), *_ = fields.items()
    setattr(run, name, value)
    shown = {"first": "tasks", "count": "tasks", "payload": f"type {type(value).__name__}"}
    with pytest.raises(BadInput, match=shown.get(name, re.escape(repr(value)))):
        run.check()


def test_what_the_broker_notes_of_a_run_cannot_be_sent():
    with pytest.raises(TypeError):
        Run(0, 1, "default", "map", "f", b"", "", 0, None, 3, 0.0, 1, [])


@pytest.mark.parametrize("name", ["default", "a", "7", "pages_2.new-x", "x" * 64])
def test_names_of_queues(name):
    check_queue(name)


@pytest.mark.parametrize("name", ["", "a b", ".hidden", "-x", "x" * 65, "ä", "a\n", None, 7])
def test_names_that_no_queue_has(name):
    with pytest.raises(BadInput, match="queue name"):
        check_queue(name)
