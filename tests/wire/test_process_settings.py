"""What a program sets for its whole process, as it travels."""

from __future__ import annotations

import decimal
import logging
import sys
import threading
import warnings

import pytest

from dqlab.wire.plain_data import dump_plain, load_plain
from dqlab.wire.process_settings import adopt, glance, settings


class OwnWarning(UserWarning):
    """No other process finds it by its name."""


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Leaves everything as it was."""
    before = settings()
    with warnings.catch_warnings(), decimal.localcontext(decimal.Context()):
        yield
        adopt(before, {**settings(), "warnings": before["warnings"]})


def adopt_what_came(new, last):
    adopt(load_plain(dump_plain(new)), load_plain(dump_plain(last)))


def test_what_was_set_is_set_again_and_what_was_not_is_as_at_first():
    at_first = settings()
    decimal.getcontext().prec = 7
    sys.setrecursionlimit(sys.getrecursionlimit() + 1)
    logging.getLogger("tests.chatty").setLevel(logging.ERROR)
    changed = settings()
    for new, last, prec in [(changed, at_first, 7), (at_first, changed, 28), (changed, at_first, 7)]:
        adopt_what_came(new, last)
        assert settings() == new and decimal.getcontext().prec == prec


def test_what_is_the_same_as_last_stays_what_tasks_have_made_of_it():
    found = settings()
    decimal.getcontext().prec = 7
    adopt_what_came(found, found)
    assert decimal.getcontext().prec == 7


def test_another_threads_context_is_not_the_programs():
    decimal.getcontext().prec = 7
    here, there = settings(), []
    thread = threading.Thread(target=lambda: there.append(settings()))
    thread.start()
    thread.join(30)
    assert there == [here] and here["decimal"][0] == 7


def test_a_filter_for_what_only_the_program_knows_is_left_out():
    warnings.simplefilter("error", OwnWarning)
    warnings.filters[0] = (*warnings.filters[0][:2], type("Gone", (OwnWarning,), {}), None, 0)
    adopt_what_came(settings(), {})
    assert not [each for each in warnings.filters if each[2].__name__ in ("OwnWarning", "Gone")]


def test_a_filter_more_is_seen_at_a_glance():
    before = glance()
    warnings.simplefilter("ignore", ResourceWarning)
    assert glance() != before


@pytest.mark.parametrize("folder", ["there", "."])
def test_a_log_in_a_folder_that_is_not_here_keeps_nobody_from_working(folder, tmp_path):
    log = tmp_path / folder / "log"
    handler = str(log), logging.NOTSET, ("%(message)s", None, "%")
    adopt_what_came({"logging": (0, (("tests.elsewhere", logging.INFO, False, False, (handler,)),))}, {})
    logging.getLogger("tests.elsewhere").info("done")
    assert log.exists() == (folder == ".")
