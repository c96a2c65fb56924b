"""The line of ready spans: whose turn it is."""

from __future__ import annotations

from dqlab.lines import Line
from dqlab.tasks import Run, Span, State


def span_of(first: int, count: int) -> Span:
    run = Run(first, count, "default", "map", "f", b"")
    span = Span(run, 0, count)
    run.spans.append(span)
    return span


def drain(line: Line, n: int) -> list[int]:
    """The ids of the tasks in the order in which they are given out, ``n`` at a time."""
    order = []
    while turn := line.front():
        span = line.take(turn[0], n)
        order += range(span.first, span.first + len(span))
    return order


def test_an_empty_line_has_no_front():
    assert Line().front() is None


def test_clients_take_turns_and_each_ones_tasks_keep_their_order():
    line = Line()
    line.append(1, span_of(10, 3))
    line.append(2, span_of(20, 2))
    line.append(1, span_of(13, 1))
    assert drain(line, 1) == [10, 20, 11, 21, 12, 13]


def test_what_has_waited_once_comes_first():
    line = Line()
    line.append(1, span_of(10, 2))
    line.appendleft(1, span_of(5, 1))
    assert drain(line, 9) == [5, 10, 11]


def test_who_is_blocked_waits_and_keeps_its_place():
    line = Line()
    line.append(1, span_of(10, 1))
    line.append(2, span_of(20, 1))
    client, span = line.front(blocked={1})
    assert (client, span.first) == (2, 20)
    assert line.front(blocked={1, 2}) is None
    assert line.front()[0] == 1


def test_taking_a_part_leaves_the_rest_at_the_front():
    line, span = Line(), span_of(10, 5)
    line.append(1, span)
    assert line.take(1, 2).first == 10
    assert line.front() == (1, span) and (span.first, len(span)) == (12, 3)


def test_spans_that_are_no_longer_ready_are_dropped_when_their_turn_comes():
    line, gone = Line(), span_of(10, 2)
    line.append(1, gone)
    line.append(2, span_of(20, 1))
    gone.state = State.CANCELLED
    assert drain(line, 9) == [20]
    assert line.front() is None


def test_a_piece_goes_back_behind_what_it_was_cut_off():
    line, span, behind = Line(), span_of(10, 5), span_of(30, 1)
    line.append(1, span)
    line.append(1, behind)
    tail = span.cut(3, 5)
    span.cut(2, 3)
    line.insert_after(1, span, tail)
    assert drain(line, 9) == [10, 11, 13, 14, 30]
