"""Runs and the spans that they are cut into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.broker.tasks import Run, State
from dqlab.errors import BadInput
from dqlab.wire.messages import Header


def a_run(count: int = 10) -> Run:
    return Run(100, count, Header(kind="map", function="f"), b"", max_attempts=3, submitted=0.0)


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
