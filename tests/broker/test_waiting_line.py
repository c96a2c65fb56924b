"""The line of ready spans: whose turn it is."""

from __future__ import annotations

import gc
import weakref

import pytest

from dqlab.broker.tasks import Run, Span, State
from dqlab.broker.waiting_line import WaitingLine
from dqlab.wire.messages import Header


def span_of(first: int, count: int, python: str = "") -> Span:
    run = Run(first, count, Header(kind="map", function="f", python=python), b"", max_attempts=3, submitted=0.0)
    return run.spans[0]


class Payload:
    """Something that shows when it is gone."""


def drain(line: WaitingLine, n: int) -> list[int]:
    """The ids of the tasks in the order in which they are given out, ``n`` at a time."""
    order = []
    while turn := line.front():
        span = line.take(turn[0], n)
        order += range(span.first, span.first + len(span))
    return order


def test_an_empty_line_has_no_front():
    assert WaitingLine("default").front() is None


def test_clients_take_turns_and_each_ones_tasks_keep_their_order():
    line = WaitingLine("default")
    line.append(1, span_of(10, 3))
    line.append(2, span_of(20, 2))
    line.append(1, span_of(13, 1))
    assert drain(line, 1) == [10, 20, 11, 21, 12, 13]


def test_what_has_waited_once_comes_first():
    line = WaitingLine("default")
    line.append(1, span_of(10, 2))
    line.appendleft(1, span_of(5, 1))
    assert drain(line, 9) == [5, 10, 11]


def test_who_is_blocked_waits_and_keeps_its_place():
    line = WaitingLine("default")
    line.append(1, span_of(10, 1))
    line.append(2, span_of(20, 1))
    client, span = line.front(blocked={1})
    assert (client, span.first) == (2, 20)
    assert line.front(blocked={1, 2}) is None
    assert line.front()[0] == 1


def test_what_another_python_can_read_goes_past_what_this_one_cannot():
    line = WaitingLine("default")
    for first, python in ((10, "3.11"), (11, ""), (12, "3.12"), (13, "3.11"), (14, "")):
        line.append(1, span_of(first, 1, python))
    assert line.pythons() == {"3.11", "3.12"}
    order = []
    while turn := line.front(python="3.12"):
        order.append(line.take(turn[0], 9, turn[1].run.header.python).first)
    assert order == [11, 12, 14]
    assert line.front(python="3.11")[1].first == 10 and line.pythons() == {"3.11"}


def test_taking_a_part_leaves_the_rest_at_the_front():
    line, span = WaitingLine("default"), span_of(10, 5)
    line.append(1, span)
    assert line.take(1, 2).first == 10
    assert line.front() == (1, span) and (span.first, len(span)) == (12, 3)


def test_spans_that_are_no_longer_ready_are_dropped_when_their_turn_comes():
    line, gone = WaitingLine("default"), span_of(10, 2)
    line.append(1, gone)
    line.append(2, span_of(20, 1))
    gone.state = State.CANCELLED
    line.cancelled()
    assert drain(line, 9) == [20]
    assert line.front() is None


def test_a_piece_goes_back_behind_what_it_was_cut_off():
    line, span, behind = WaitingLine("default"), span_of(10, 5), span_of(30, 1)
    line.append(1, span)
    line.append(1, behind)
    tail = span.cut(3, 5)
    span.cut(2, 3)
    line.insert_after(span, tail)
    assert drain(line, 9) == [10, 11, 13, 14, 30]


def cut_to_pieces():
    """A line with one span that was cut into six pieces of one task each, and another span behind it."""
    line, span = WaitingLine("default"), span_of(10, 6)
    line.append(1, span)
    line.append(1, span_of(30, 1))
    pieces = [span]
    for at in (5, 1, 3, 2, 4):  # in an order in which each is put before, behind or between others
        before = max((piece for piece in pieces if piece.lo < at), key=lambda piece: piece.lo)
        pieces.append(before.cut(at, before.hi))
        line.insert_after(before, pieces[-1])
    return line, pieces


def test_pieces_keep_their_order_in_whatever_order_they_were_cut():
    assert drain(cut_to_pieces()[0], 9) == [*range(10, 16), 30]


@pytest.mark.parametrize("many", [0, 100])
def test_cancelled_pieces_are_dropped_sooner_or_later(many, monkeypatch):
    monkeypatch.setattr("dqlab.broker.waiting_line.CANCELLED", many)
    line, pieces = cut_to_pieces()
    for piece in pieces:
        if piece.lo not in (0, 4):
            piece.state = State.CANCELLED
            line.cancelled()
    assert drain(line, 9) == [10, 14, 30]
    assert line.front() is None


def test_cancelled_spans_do_not_pile_up_in_a_line_that_nobody_takes_from():
    line = WaitingLine("default")
    line.append(1, span_of(1, 1))
    for i in range(5_000):
        span = span_of(10 + i, 1)
        line.append(i % 3, span)
        span.run.payload = Payload()
        alive = weakref.ref(span.run.payload)
        span.state = State.CANCELLED
        line.cancelled()
        if i == 1_000:
            early = alive
    del span
    gc.collect()
    assert early() is None
    assert drain(line, 9) == [1]
