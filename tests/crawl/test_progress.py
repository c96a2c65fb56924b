"""The line that says how far a crawl is."""

import pytest

from dqlab.crawl.progress import FORETOLD, OPEN, Counts, Progress


@pytest.fixture
def progress(capsys):
    with Progress(show=True) as progress:
        progress.drawn = progress.grown = 0.0
        yield progress


def test_rates_are_those_of_the_last_seconds(progress):
    progress.words(Counts(), 0.0)
    progress.words(Counts(images=100, bytes=10_000_000), 10.0)

    assert progress.words(Counts(images=150, bytes=15_000_000, pages=3, failed=2), 12.0) == (
        "26 images/s, 2.5 MB/s, 3 pages, 2 failed"
    )


def test_hosts_that_wait_are_named_with_the_reason(progress):
    holds = {"a": (12.4, "429 Too Many Requests"), "b": (60.0, "no answer"), "c": (1.0, "x")}

    said = progress.words(Counts(holds=holds), 1.0)

    assert said.endswith("b waits 60 s: no answer, a waits 12 s: 429 Too Many Requests, 1 more hosts wait")


@pytest.mark.parametrize(
    ("counts", "now", "form"),
    [
        ({"waiting": 10, "unread": 1}, 1.0, OPEN),
        ({"waiting": 10}, 1.0, FORETOLD),
        ({"waiting": 10, "growing": True}, 10.0, OPEN),
    ],
)
def test_a_time_is_foretold_once_the_total_settles(progress, counts, now, form):
    progress.update(Counts(**counts), now=now)

    assert progress.bar.bar_format == form


def test_a_total_that_stays_counts_as_settled(progress):
    for now in (1.0, 5.0):
        progress.update(Counts(images=int(now), waiting=10 - int(now), unread=1), now=now)

    assert progress.bar.bar_format == FORETOLD


def test_the_last_line_has_the_last_count(capsys):
    with Progress(show=True) as progress:
        progress.update(Counts(images=65, failed=2))

    assert "67/67" in capsys.readouterr().err


def test_nothing_is_shown_if_nobody_wants_it(capsys):
    with Progress(show=False) as progress:
        progress.update(Counts(images=1))

    assert capsys.readouterr() == ("", "")
