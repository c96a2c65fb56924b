"""Pages without end."""

import pytest

from dqlab.crawl.traps import Traps, identity, pattern_of


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://host/x?page=1&PHPSESSID=1", "http://host/x?page=1&PHPSESSID=2"),
        ("http://host/x?PHPSESSID=abc", "http://host/x"),
        ("http://host/x;jsessionid=0123456789ABCDEF01?a=1", "http://host/x?a=1"),
        ("http://host/x?a=1&sid=0123456789abcdef0123", "http://host/x?a=1"),
        ("http://host/x?ASPSESSIONIDQQ=ABC&b=2", "http://host/x?b=2"),
    ],
)
def test_who_asks_makes_no_other_page(first, second):
    assert identity(first) == identity(second)


@pytest.mark.parametrize(
    "other", ["http://host/x?page=2", "http://host/x?page=1&sid=7", "http://host/y?page=1", "http://host/x;v=2?page=1"]
)
def test_what_is_asked_does(other):
    assert identity("http://host/x?page=1") != identity(other)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("http://host/cal/7", "http://host/cal/-8", True),
        ("http://host/2026/11/26", "http://host/1999/1/1", True),
        ("http://host/cal?month=7&year=2026", "http://host/cal?year=1&month=8", True),
        ("http://host/a/x/x/x/", "http://host/a/x/x/x/x/x/", True),
        ("http://host/a/b/a/b/a/b", "http://host/a/b/a/b", True),
        ("http://host/cal/7", "http://host/news/7", False),
        ("http://host/cal/7", "http://other/cal/7", False),
        ("http://host/x?page=7", "http://host/x?id=7", False),
    ],
)
def test_patterns(first, second, same):
    assert (pattern_of(first) == pattern_of(second)) is same


def months(traps, numbers, pictures=0, links=()):
    for number in numbers:
        traps.note(f"http://host/cal/{number}", pictures, [f"http://host/cal/{number + 1}", *links])


def test_a_calendar_is_left():
    traps = Traps(patience=10)

    months(traps, range(9))
    assert not traps.holds("http://host/cal/9")
    months(traps, [9])
    assert traps.holds("http://host/cal/10")
    assert not traps.holds("http://host/news/1")
    assert list(traps.left.values()) == ["http://host/cal/10"]


def test_a_new_picture_makes_it_worth_while_again():
    traps = Traps(patience=10)

    months(traps, range(9))
    months(traps, [9], pictures=1)
    months(traps, range(10, 19))

    assert not traps.holds("http://host/cal/19")


def test_an_index_that_leads_to_other_pages_is_none():
    traps = Traps(patience=10)

    for number in range(30):
        traps.note(f"http://host/list/{number}", 0, [f"http://host/{'abcdefghij'[number % 10] * (number // 10 + 1)}"])

    assert not traps.holds("http://host/list/30")
