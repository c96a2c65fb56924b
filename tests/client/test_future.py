"""Futures without any process: what ends them, and who hears of it."""

import concurrent.futures
import threading

import pytest

from dqlab import Future, MasterGone, as_completed, wait
from dqlab.client.screen import Screen
from tests.helpers import eventually


class NoClient:
    """A client that has nothing to say."""

    screen = Screen(False)

    def hint_if_stuck(self):
        pass

    def check_here(self):
        pass


def test_the_first_outcome_counts():
    future = Future(NoClient())
    future.resolve(1, None)
    future.resolve(2, None)
    future.gone(MasterGone("late"))
    assert future.result(0) == 1
    assert future.exception(0) is None


def test_waiting_ends_when_another_thread_brings_the_outcome():
    future = Future(NoClient())
    with pytest.raises(TimeoutError):
        future.result(0.05)
    thread = threading.Timer(0.1, future.resolve, (5, None))
    thread.start()
    assert future.result(10) == 5
    thread.join()


def test_all_waiters_hear_of_it():
    future, heard = Future(NoClient()), []
    threads = [threading.Thread(target=lambda: heard.append(future.result(10))) for _ in range(5)]
    for thread in threads:
        thread.start()
    future.resolve("now", None)
    for thread in threads:
        thread.join(10)
    assert heard == ["now"] * 5


def test_the_standard_librarys_waits_see_it_too():
    one, two = Future(NoClient()), Future(NoClient())
    one.resolve(1, None)
    assert concurrent.futures.wait([one, two], timeout=0).done == {one}
    assert wait([one, two], timeout=0).not_done == {two}
    two.resolve(None, ValueError("no"))
    assert set(as_completed([one, two], timeout=5)) == {one, two}
    assert set(concurrent.futures.as_completed([one, two], timeout=5)) == {one, two}


def test_what_has_a_result_is_done_whoever_is_still_to_be_told():
    future = Future(NoClient())
    with future._condition:  # as somebody who looks at it just now: those who wait on it can't be told yet
        thread = threading.Thread(target=future.resolve, args=(1, None))
        thread.start()
        assert future.result(10) == 1
        assert future.done() and not future.cancelled()
        assert repr(future) == "<Future task None finished>"
    thread.join(10)


def test_two_who_bring_an_outcome_at_one_time_get_along():
    class Slow(Future):
        def __getattribute__(self, name):
            value = super().__getattribute__(name)
            if name == "_outcome":
                both.wait(10)  # both look, then both go on
            return value

    both, errors = threading.Barrier(2), []

    def cancel():
        try:
            future._cancelled()
        except RuntimeError as exc:
            errors.append(exc)

    future = Slow(NoClient())
    threads = [threading.Thread(target=cancel) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert errors == []


def test_waiting_again_and_again_leaves_nothing_on_the_futures():
    future = Future(NoClient())
    for _ in range(3):
        assert wait([future], timeout=0, return_when="FIRST_COMPLETED").not_done == {future}
        with pytest.raises(TimeoutError):
            list(as_completed([future], timeout=0))
    assert future._done_callbacks == []
    future.add_done_callback(print)
    assert future._done_callbacks == [print]


def test_a_callback_that_raises_disturbs_nobody(caplog):
    future, called = Future(NoClient()), []
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(called.append)
    future.resolve(1, None)
    eventually(lambda: called == [future], what="the second callback")
    assert "ZeroDivisionError" in caplog.text
