"""Futures without any process: what ends them, and who hears of it."""

import concurrent.futures
import threading

import pytest

from dqlab import Future, MasterGone, as_completed, wait
from tests.helpers import eventually


class NoClient:
    """A client that has nothing to say."""

    def hint_if_stuck(self):
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


def test_a_callback_that_raises_disturbs_nobody(caplog):
    future, called = Future(NoClient()), []
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(called.append)
    future.resolve(1, None)
    eventually(lambda: called == [future], what="the second callback")
    assert "ZeroDivisionError" in caplog.text
