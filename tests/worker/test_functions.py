"""What the child makes of the functions that it was sent, and how long it keeps them."""

from __future__ import annotations

import functools
import importlib
import io
import os
import pickle
import random
import sys

import psutil
import pytest

from dqlab import LocalWorkers, Master
from dqlab.client.pickling import dump_function
from dqlab.wire.envelope import Envelope
from dqlab.worker.client_modules import ClientModules
from dqlab.worker.functions import Function, Functions
from tests.cluster import child_of, cluster


def loaded(callable):
    return Function(dump_function(callable)[1]).callable


def add_to(numbers, x):
    numbers.append(x)
    return len(numbers)


def test_what_holds_no_state_is_one_callable_and_the_rest_a_copy_for_each_call():
    offset, numbers = 5, [1]
    for stateless in (pow, random.Random, "-".join, lambda x: x + offset, functools.partial(pow, 2)):
        assert not Envelope.load(dump_function(stateless)[1]).stateful
    for stateful in (numbers.append, random.Random(1).random, lambda: numbers, functools.partial(add_to, numbers)):
        assert Envelope.load(dump_function(stateful)[1]).stateful
    once, anew = loaded(lambda x: x + offset), loaded(functools.partial(add_to, numbers))
    assert (once(1), once(1), anew(1), anew(1)) == (6, 6, 2, 2)


def test_a_default_that_can_be_changed_is_fresh_for_each_task():
    def gather(x, into=[]):  # noqa: B006
        into.append(x)
        return len(into)

    fresh = loaded(gather)
    assert [fresh(1) for _ in range(3)] == [1, 1, 1]


def test_callables_that_share_the_same_share_one_copy_of_it():
    space = {"n": 0}
    exec("def up(*_):\n    global n\n    n += 1\n    return n\n", space)
    first, second = (loaded(functools.partial(space["up"], [i])) for i in range(2))
    assert [first(), second(), first()] == [1, 2, 3]


def test_garbage_instead_of_a_function_is_said_when_it_is_called_for():
    functions = Functions()
    for garbage in (b"garbage", pickle.dumps((1, 2)), pickle.dumps(os.getcwd)):
        function = functions.hold(str(garbage), {str(garbage): garbage})
        assert functions.suits(function)
        with pytest.raises((pickle.UnpicklingError, TypeError)):
            functions.load(function, "")


def test_only_so_many_bytes_of_functions_stay(monkeypatch):
    monkeypatch.setattr("dqlab.worker.functions.FUNCTION_BYTES", 10_000)
    functions, text = Functions(), "x" * 4_000
    sent = {str(i): dump_function(functools.partial(len, text + str(i)))[1] for i in range(4)}
    kept = [functions.hold(digest, sent) for digest in sent]
    assert functions.hold("3", {}) is kept[3]
    with pytest.raises(KeyError):
        functions.hold("0", {})


def test_thirty_large_closures_do_not_stay_in_the_child():
    with cluster(1) as (master, workers):
        child = child_of(next(iter(workers.pids.values())))
        assert master.submit(os.getpid).result(30) == child.pid
        before = psutil.Process(child.pid).memory_info().rss
        for i in range(30):
            large = bytearray(10_000_000 + i)
            assert master.submit(lambda large=large: len(large)).result(30) == len(large)
        assert master.submit(os.getpid).result(30) == child.pid
        assert psutil.Process(child.pid).memory_info().rss - before < 180e6  # all of them would be 300 MB


def test_a_worker_with_a_handler_of_its_own_runs_functions_too():
    with Master() as master, LocalWorkers(master, 1, handler="tests.benchmarks.harness:tiny").wait(timeout=30):
        pid = master.submit(os.getpid).result(30)
        master.tasks.put("a")
        assert master.results.get(timeout=30) == "a ------>success"
        assert master.submit(os.getpid).result(30) == pid


def envelope(client, *path):
    return Envelope(client, tuple(map(str, path)), ("",), b"", b"", False)


@pytest.fixture
def modules(monkeypatch):
    """The client's modules in this process, which has its own path and modules again afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield ClientModules()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_modules_are_those_of_one_client_and_as_long_as_their_files_stay(modules, tmp_path):
    ann, bob = envelope("ann", tmp_path / "ann"), envelope("bob", tmp_path / "bob")
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ours_a.py").write_text(f"NAME = {name!r}\n")
    modules.adopt(bob)
    modules.adopt(ann)
    assert modules.suits(bob)  # nothing has been imported yet
    assert importlib.import_module("ours_a").NAME == "ann"
    assert modules.suits(ann) and not modules.suits(bob)
    (tmp_path / "ann" / "ours_a.py").write_text("NAME = 'another'\n")
    assert not modules.suits(ann)


def test_the_processs_own_modules_are_found_behind_the_clients(modules, tmp_path):
    own = list(sys.path)
    modules.adopt(envelope("ann", tmp_path))
    assert sys.path == [str(tmp_path), *own]
    modules.adopt(envelope("bob"))
    assert sys.path == own


def test_a_function_of_another_python_is_refused():
    functions = Functions()
    function = functions.hold("digest", {"digest": dump_function(len)[1]})
    with pytest.raises(RuntimeError, match=r"pickled by Python 3\.5, this worker runs"):
        functions.load(function, "3.5")
    assert functions.load(function, "") is len


def test_loading_reads_the_parts_of_a_function_only_as_often_as_needed():
    class Loud:
        def __reduce__(self):
            return io.StringIO, ("loaded",)

    fresh = loaded(functools.partial(lambda file: file.read(), Loud()))
    assert [fresh(), fresh()] == ["loaded", "loaded"]
