"""What an outcome means at the client: values, exceptions, failures."""

import linecache
import pickle
from concurrent.futures import process

import cloudpickle
import pytest

from dqlab import TaskFailed, TaskTimeout
from dqlab.client.results import load_error, load_results
from dqlab.wire.messages import Failure, Outcome

HISTORY = [("w1", "first"), ("w2", "second")]


def failed(attempts, history, **failure):
    """How a task that failed is told of."""
    return Outcome(state="failed", result=Failure(**failure).encode(), attempts=attempts, history=history)


def test_an_exception_arrives_as_itself_with_the_workers_traceback():
    error = load_error(
        7, failed(1, [], kind="error", exception=cloudpickle.dumps(KeyError("x")), traceback="the text", summary="'x'")
    )
    assert isinstance(error, KeyError)
    assert error.args == ("x",)
    assert type(error.__cause__) is process._RemoteTraceback
    assert "the text" in str(error.__cause__)


def test_an_exception_that_cannot_be_loaded_becomes_a_failure_in_words():
    error = load_error(
        7, failed(2, HISTORY, kind="error", exception=b"no pickle", traceback="the text", summary="Odd: thing")
    )
    assert type(error) is TaskFailed
    assert str(error).startswith("task 7 failed after 2 attempts: Odd: thing (the exception itself could not be loaded")
    assert error.history == HISTORY
    assert "the text" in str(error.__cause__)


@pytest.mark.parametrize("kind, cls", [("lost", TaskFailed), ("timeout", TaskTimeout)])
def test_a_task_without_an_exception_of_its_own(kind, cls):
    error = load_error(7, failed(1, HISTORY, kind=kind, summary="worker died: SIGSEGV"))
    assert type(error) is cls
    assert str(error) == "task 7 failed after 1 attempt: worker died: SIGSEGV"
    assert (error.reason, error.attempts, error.history) == ("worker died: SIGSEGV", 1, HISTORY)


@pytest.mark.parametrize("cls", [TaskFailed, TaskTimeout])
def test_failures_survive_a_pickle(cls):
    error = pickle.loads(pickle.dumps(cls("text", "reason", 3, HISTORY)))
    assert (type(error), str(error)) == (cls, "text")
    assert (error.reason, error.attempts, error.history) == ("reason", 3, HISTORY)


def test_source_that_only_the_client_has_stands_in_the_workers_traceback(monkeypatch):
    cell = ["def broken(x):\n", "    return 1 / x\n"]
    monkeypatch.setitem(linecache.cache, "<a cell>", (len("".join(cell)), None, cell, "<a cell>"))
    frames = [
        '  File "<a cell>", line 2, in broken\n',
        '  File "/there/lib.py", line 7, in lib\n    what the worker read()\n',
        '  File "<nowhere>", line 1, in nowhere\n',
    ]
    text = "".join([*frames, "KeyError: 'x'\n"])
    error = load_error(7, failed(1, [], kind="error", exception=cloudpickle.dumps(KeyError("x")), traceback=text))
    told = "".join([frames[0], "    return 1 / x\n", *frames[1:], "KeyError: 'x'\n"])
    assert error.__cause__.tb == f'\n"""\n{told}"""'


interrupts = [KeyboardInterrupt()]


def interrupted_once():
    while interrupts:
        raise interrupts.pop()
    return "loaded"


class Fragile:
    def __reduce__(self):
        return interrupted_once, ()


def test_an_interrupt_while_a_result_is_loaded_loses_none():
    results = load_results(pickle.dumps((pickle.dumps(1), pickle.dumps(Fragile()), pickle.dumps(2))))
    assert next(results) == 1
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert list(results) == ["loaded", 2]
