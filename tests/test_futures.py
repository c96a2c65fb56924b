"""What an outcome means at the client: values, exceptions, failures; and futures without any process."""

import concurrent.futures
import pickle
import threading

import cloudpickle
import pytest

from dqlab import Future, MasterGone, TaskFailed, TaskTimeout, as_completed, wait
from dqlab.futures import RemoteTraceback, load_error
from tests.helpers import eventually

HISTORY = [("w1", "first"), ("w2", "second")]


def test_an_exception_arrives_as_itself_with_the_workers_traceback():
    error = load_error(7, ("error", cloudpickle.dumps(KeyError("x")), "the text", "KeyError: 'x'"), 1, [])
    assert isinstance(error, KeyError)
    assert error.args == ("x",)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "the text" in str(error.__cause__)


def test_an_exception_that_cannot_be_loaded_becomes_a_failure_in_words():
    error = load_error(7, ("error", b"no pickle", "the text", "Odd: thing"), 2, HISTORY)
    assert type(error) is TaskFailed
    assert str(error).startswith("task 7 failed after 2 attempts: Odd: thing (the exception itself could not be loaded")
    assert error.history == HISTORY
    assert "the text" in str(error.__cause__)


@pytest.mark.parametrize("kind, cls", [("lost", TaskFailed), ("timeout", TaskTimeout)])
def test_a_task_without_an_exception_of_its_own(kind, cls):
    error = load_error(7, (kind, None, "", "worker died: SIGSEGV"), 1, HISTORY)
    assert type(error) is cls
    assert str(error) == "task 7 failed after 1 attempt: worker died: SIGSEGV"
    assert (error.reason, error.attempts, error.history) == ("worker died: SIGSEGV", 1, HISTORY)


@pytest.mark.parametrize("cls", [TaskFailed, TaskTimeout])
def test_failures_survive_a_pickle(cls):
    error = pickle.loads(pickle.dumps(cls("text", "reason", 3, HISTORY)))
    assert (type(error), str(error)) == (cls, "text")
    assert (error.reason, error.attempts, error.history) == ("reason", 3, HISTORY)


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
