"""A client is a `concurrent.futures.Executor`: the standard library's own tests of one, where they apply, and more."""

import asyncio
import concurrent.futures
import itertools
import operator
import pickle
import sys
import textwrap
import threading
import time

import numpy
import pytest

from dqlab import BadInput, Client, Future, LocalWorkers, Master, as_completed, connect, wait
from tests.cluster import run, script
from tests.helpers import eventually


def capture(*args, **kwargs):
    return args, kwargs


def double(x):
    return 2 * x


def fail(text):
    raise ValueError(text)


# -- submit (after Lib/test/test_concurrent_futures/executor.py) -----------------------------------


def test_it_is_an_executor(client):
    assert isinstance(client, concurrent.futures.Executor)
    future = client.submit(pow, 2, 8)
    assert isinstance(future, concurrent.futures.Future)
    assert isinstance(future, Future)
    assert future.result(20) == 256


def test_submit_keyword(client):
    assert client.submit(capture, 1, self=2, fn=3, task_id=4).result(20) == ((1,), {"self": 2, "fn": 3, "task_id": 4})
    with pytest.raises(TypeError):
        client.submit(fn=capture, arg=1)
    with pytest.raises(TypeError):
        client.submit(arg=1)


def test_what_cannot_be_called_is_a_type_error_where_the_result_is_asked_for(client):
    with pytest.raises(TypeError, match="5 is not callable"):
        client.submit(5).result(20)
    with pytest.raises(TypeError, match="5 is not callable"):
        list(client.map(5, [1]))


def test_map(client):
    assert list(client.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
    assert list(client.map(pow, range(10), range(10), chunksize=3)) == list(map(pow, range(10), range(10)))
    assert list(client.map(double, [])) == []
    assert list(client.map(capture, "ab", [1, 2, 3])) == [(("a", 1), {}), (("b", 2), {})]


def test_map_exception(client):
    results = client.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert next(results) == (0, 1)
    assert next(results) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_map_timeout(client):
    got = []
    with pytest.raises(TimeoutError):
        for value in client.map(time.sleep, [0.02, 0.02, 3], timeout=1):
            got.append(value)
    assert got == [None, None]


@pytest.mark.parametrize("bad", [0, -1, 1.5, "many", None])
@pytest.mark.parametrize("size", ["chunksize", "buffersize"])
def test_map_refuses_sizes_that_make_no_sense(client, bad, size):
    if (size, bad) == ("buffersize", None):
        assert list(client.map(double, [1], buffersize=bad)) == [2]
    else:
        with pytest.raises(ValueError if isinstance(bad, int | float) else TypeError, match=f"{size}={bad!r}"):
            client.map(double, [1], **{size: bad})


def test_map_takes_whole_numbers_of_other_types(client):
    assert list(client.map(double, [1, 2, 3], chunksize=numpy.int64(2), buffersize=numpy.int32(2))) == [2, 4, 6]


def test_shutdown_refuses_what_comes_after(shared):
    client = connect(shared[0].connection_file)
    client.shutdown()
    with pytest.raises(RuntimeError):
        client.submit(pow, 2, 5)
    with pytest.raises(RuntimeError):
        client.map(double, [1])
    client.shutdown()  # again


def test_with_waits_for_what_was_submitted(shared):
    with connect(shared[0].connection_file) as client:
        futures = [client.submit(time.sleep, 0.2) for _ in range(4)]
    assert [future.done() for future in futures] == [True] * 4
    assert [future.result(0) for future in futures] == [None] * 4


def test_shutdown_cancels_if_asked(shared):
    client = connect(shared[0].connection_file)
    futures = [client.submit(time.sleep, 0.3) for _ in range(30)]
    client.flush(10)
    client.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)
    assert sum(future.cancelled() for future in futures) >= 10
    assert all(future.cancelled() or future.exception() is None for future in futures)


def test_shutdown_without_waiting(shared):
    client = connect(shared[0].connection_file)
    client.submit(time.sleep, 1)
    began = time.monotonic()
    client.shutdown(wait=False)
    assert time.monotonic() - began < 1


def test_the_workers_traceback_is_the_cause(client):
    def inner():
        raise RuntimeError(123)

    def outer():
        inner()

    error = client.submit(outer).exception(20)
    assert type(error) is RuntimeError
    assert error.args == (123,)
    assert "in inner" in str(error.__cause__)
    assert "raise RuntimeError(123)" in str(error.__cause__)
    assert "dqlab/worker/child.py" not in str(error.__cause__)
    with pytest.raises(RuntimeError) as caught:
        client.submit(outer).result(20)
    assert caught.value.__cause__ is not None


def test_a_remote_cause_shows_when_the_error_is_printed(tmp_path, shared):
    path = script(
        tmp_path,
        """
        import sys
        from dqlab import connect

        def broken(x):
            return 1 / x

        with connect(sys.argv[1]) as client:
            client.submit(broken, 0).result(20)
        """,
    )
    ended = run(path, str(shared[0].connection_file))
    assert ended.returncode == 1
    assert "return 1 / x" in ended.stderr
    assert "direct cause" in ended.stderr
    assert ended.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


def test_callbacks_run_once_also_when_added_late(client):
    called = []
    future = client.submit(double, 4)
    future.add_done_callback(called.append)
    assert future.result(20) == 8
    eventually(lambda: called == [future], what="the callback")
    future.add_done_callback(called.append)
    assert called == [future, future]


def test_a_callback_may_submit(client):
    second = concurrent.futures.Future()
    client.submit(double, 1).add_done_callback(lambda f: second.set_result(client.submit(double, f.result())))
    assert second.result(20).result(20) == 4


def test_states_of_a_future(client):
    future = client.submit(time.sleep, 0.5)
    eventually(future.running, what="the task at work")
    assert not future.done()
    assert not future.cancelled()
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0.01)
    assert future.result(20) is None
    assert future.done()
    assert not future.running()


def test_a_cancelled_future_says_so(client):
    client.pause("held")
    try:
        future = client.options(queue="held").submit(double, 1)
        assert future.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(5)
        with pytest.raises(concurrent.futures.CancelledError):
            future.exception(5)
    finally:
        client.resume("held")


# -- as_completed and wait, ours and the standard library's ----------------------------------------

BOTH = pytest.mark.parametrize(
    "module", [sys.modules["concurrent.futures"], sys.modules["dqlab.client.completion"]], ids=["standard", "dqlab"]
)


@BOTH
def test_as_completed(client, module):
    slow, quick = client.submit(time.sleep, 0.6), client.submit(double, 1)
    assert list(module.as_completed([slow, quick, quick], timeout=20)) == [quick, slow]
    assert list(module.as_completed([])) == []


def test_what_cannot_be_waited_for_is_refused():
    loop = asyncio.new_event_loop()
    with pytest.raises(BadInput, match="is asyncio's .*asyncio.as_completed"):
        list(as_completed([loop.create_future()], timeout=1))
    loop.close()
    with pytest.raises(BadInput, match="7 is no future"):
        wait([7], timeout=1)


@BOTH
def test_as_completed_in_time_or_not(client, module):
    future = client.submit(time.sleep, 1)
    with pytest.raises(TimeoutError):
        list(module.as_completed([future], timeout=0.1))
    assert future.result(20) is None


@BOTH
def test_wait_first_completed(client, module):
    slow, quick = client.submit(time.sleep, 1.0), client.submit(double, 21)
    done, rest = module.wait([slow, quick], timeout=20, return_when="FIRST_COMPLETED")
    assert (done, rest) == ({quick}, {slow})
    done, rest = module.wait([slow, quick], timeout=20)
    assert (done, rest) == ({slow, quick}, set())


@BOTH
def test_wait_first_exception(client, module):
    quick = client.submit(double, 1)
    assert quick.result(20) == 2  # or it might end after the one that fails
    bad, slow = client.submit(fail, "no"), client.submit(time.sleep, 2.0)
    done, rest = module.wait([quick, bad, slow], timeout=20, return_when="FIRST_EXCEPTION")
    assert bad in done
    assert rest == {slow}
    slow.result(20)


@BOTH
def test_wait_in_time_or_not(client, module):
    quick, slow = client.submit(double, 1), client.submit(time.sleep, 1.0)
    quick.result(20)
    done, rest = module.wait([quick, slow], timeout=0.1)
    assert (done, rest) == ({quick}, {slow})
    slow.result(20)


def test_wait_for_futures_of_several_executors(client):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        futures = [client.submit(double, 1), pool.submit(double, 2)]
        assert sorted(future.result() for future in as_completed(futures, timeout=20)) == [2, 4]
        assert wait(futures, timeout=20).done == set(futures)


def test_code_written_for_any_executor(client):
    def count_words(executor, texts):
        totals = {}
        for counts in executor.map(lambda text: len(text.split()), texts):
            totals[counts] = totals.get(counts, 0) + 1
        return totals

    texts = ["a b", "c", "d e"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert count_words(client, texts) == count_words(pool, texts) == {2: 2, 1: 1}


# -- what travels ----------------------------------------------------------------------------------


def test_closures_lambdas_methods_and_partials(client):
    import functools

    y = 5

    class Counter:
        def __init__(self, n):
            self.n = n

        def plus(self, x):
            return self.n + x

    assert client.submit(lambda x: x + y, 1).result(20) == 6
    assert client.submit(Counter(3).plus, 4).result(20) == 7
    assert client.submit(functools.partial(pow, 2), 5).result(20) == 32
    assert client.submit(operator.itemgetter(1), "abc").result(20) == "b"
    assert client.submit(Counter, 9).result(20).n == 9
    assert client.submit("a-b".split, "-").result(20) == ["a", "b"]


def test_a_function_that_changed_is_sent_again(client):
    factor = 2

    def times(x):
        return x * factor

    assert client.submit(times, 10).result(20) == 20
    factor = 3
    assert client.submit(times, 10).result(20) == 30


def test_what_a_script_defines_and_imports_beside_it_travels(shared, tmp_path):
    script(tmp_path, "def triple(x):\n    return 3 * x\nclass Thing:\n    value = 7\n", name="beside.py")
    path = script(
        tmp_path,
        """
        import sys
        import beside
        from beside import triple
        from dqlab import connect

        class Point:
            def __init__(self, x, y):
                self.x, self.y = x, y
            def __eq__(self, other):
                return (self.x, self.y) == (other.x, other.y)

        def flip(point):
            assert isinstance(point, Point)
            return Point(point.y, point.x)

        class Refusal(Exception):
            def __init__(self, code, text):
                super().__init__(text)
                self.code = code
            def __reduce__(self):
                return Refusal, (self.code, self.args[0])

        def refuse():
            raise Refusal(4, "no")

        with connect(sys.argv[1]) as client:
            assert client.submit(triple, 2).result(20) == 6
            assert client.submit(lambda: beside.triple(beside.Thing.value)).result(20) == 21
            assert isinstance(client.submit(beside.Thing).result(20), beside.Thing)
            assert client.submit(flip, Point(1, 2)).result(20) == Point(2, 1)
            assert list(client.map(flip, [Point(1, 2)] * 3)) == [Point(2, 1)] * 3
            try:
                client.submit(refuse).result(20)
            except Refusal as exc:
                assert exc.code == 4
        print("all well")
        """,
    )
    ended = run(path, str(shared[0].connection_file), cwd="/")
    assert ended.stdout == "all well\n", ended.stderr


def test_an_argument_that_cannot_be_pickled_fails_its_task_only(client):
    bad = client.submit(double, threading.Lock())
    good = client.submit(double, 1)
    with pytest.raises(TypeError, match="pickle '_thread.lock' object"):
        bad.result(20)
    assert good.result(20) == 2
    with pytest.raises(TypeError, match="pickle"):
        list(client.map(double, [1, threading.Lock()]))
    assert list(client.map(double, [1, 2])) == [2, 4]


def test_a_result_that_cannot_be_pickled_fails_its_task_only(client):
    def work(x):
        return threading.Lock() if x == 3 else x

    futures = [client.submit(work, x) for x in range(6)]
    with pytest.raises(TypeError, match="pickle '_thread.lock' object"):
        futures[3].result(20)
    assert [futures[x].result(20) for x in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]
    results = client.map(work, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(TypeError, match="pickle"):
        next(results)


def test_an_argument_that_cannot_be_loaded_fails_its_task_only(client):
    class Stubborn:
        def __reduce__(self):
            return fail, ("cannot be loaded",)

    bad, good = client.submit(double, Stubborn()), client.submit(double, 4)
    with pytest.raises(ValueError, match="cannot be loaded"):
        bad.result(20)
    assert good.result(20) == 8


def test_a_result_that_cannot_be_loaded_here(client):
    def work():
        class Stubborn:
            def __reduce__(self):
                return fail, ("cannot be loaded",)

        return Stubborn()

    with pytest.raises(ValueError, match="cannot be loaded"):
        client.submit(work).result(20)
    assert client.submit(double, 4).result(20) == 8


def test_an_exception_that_cannot_be_called_again_arrives_as_itself(client):
    def work():
        class Awkward(Exception):
            def __init__(self, one, two):
                super().__init__(f"{one} and {two}")

        raise Awkward("cats", "dogs")

    with pytest.raises(Exception, match="^cats and dogs$") as caught:
        client.submit(work).result(20)
    assert caught.type.__name__ == "Awkward" and caught.value.args == ("cats and dogs",)
    assert "raise Awkward" in str(caught.value.__cause__)


def test_an_exception_that_cannot_be_pickled_is_told_in_words(client):
    def work():
        error = ValueError("with a lock")
        error.lock = threading.Lock()
        raise error

    error = client.submit(work).exception(20)
    assert "with a lock" in str(error)


def test_the_context_of_an_exception_is_in_its_text(client):
    def work():
        try:
            {}["key"]
        except KeyError as exc:
            raise RuntimeError("outer") from exc

    error = client.submit(work).exception(20)
    assert "KeyError: 'key'" in str(error.__cause__)
    assert "RuntimeError: outer" in str(error.__cause__)


def test_mutable_arguments_are_copies(client):
    given = [1, 2]

    def spoil(items):
        items.append(3)
        return items

    assert client.submit(spoil, given).result(20) == [1, 2, 3]
    assert given == [1, 2]
    assert client.submit(spoil, given).result(20) == [1, 2, 3]


def test_a_future_is_not_sent(client):
    with pytest.raises(TypeError, match="can't be sent to a task"):
        client.submit(double, client.submit(double, 1)).result(20)


def test_a_client_is_not_sent(client):
    with pytest.raises(TypeError, match="inside the task"):
        client.submit(lambda: client.stats()).result(20)


# -- options ---------------------------------------------------------------------------------------


def test_options_are_a_view_of_the_same_client(client):
    view = client.options(queue="elsewhere").options(retries=1)
    assert isinstance(view, Client)
    assert view.submit(double, 2).result(20) == 4
    assert client.stats()["queues"]["elsewhere"]["done"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"queue": "no blanks"}, {"queue": "plain"}, {"queue": 3}, {"retries": -1}, {"retries": 1.5}, {"timeout": 0},
        {"timeout": "soon"}, {"max_attempts": 0}, {"when_full": "explode"}, {"colour": "red"},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(client, bad):
    with pytest.raises(BadInput) as caught:
        client.options(**bad)
    assert str(next(iter(bad.values()))) in str(caught.value) or "colour" in str(caught.value)


def test_workers_of_some_queues_take_only_these():
    with Master() as master:
        LocalWorkers(master, 1, queues=["left"]).wait(timeout=30)
        assert master.options(queue="left").submit(double, 1).result(20) == 2
        waiting = master.options(queue="right").submit(double, 2)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        LocalWorkers(master, 1, queues="right").wait(timeout=30)
        assert waiting.result(20) == 4


# -- Python versions -------------------------------------------------------------------------------

OTHER_PYTHON = """
    import sys
    from dqlab import connect

    def by_value(x):
        return x + 1

    with connect(sys.argv[1]) as client:
        print(client.submit(pow, 2, 5).result(20), *client.map(abs, [-1, -2]))
        future = client.submit(by_value, 1)
        try:
            future.result(5)
        except TimeoutError:
            print(client.stats()["pythons"], future.cancel())
"""


def other_pythons():
    """Interpreters of other versions that are installed here, as (version, path)."""
    import shutil
    import subprocess
    from pathlib import Path

    names = [f"python3.{minor}" for minor in range(11, 16) if minor != sys.version_info.minor]
    found = [path for name in names if (path := shutil.which(name))]
    found += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python"))]
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    versions = {}
    for path in found:
        asked = subprocess.run([path, "-c", show], capture_output=True, text=True)
        if asked.returncode == 0:
            versions[asked.stdout.strip()] = path
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [item for item in sorted(versions.items()) if item[0] != here]


def test_a_function_by_value_from_every_other_python_that_is_here_waits_for_a_worker_with_it(shared, tmp_path):
    import os
    import shutil
    import subprocess
    from pathlib import Path

    import cloudpickle

    import dqlab

    shutil.copytree(Path(cloudpickle.__file__).parent, tmp_path / "cloudpickle")
    shutil.copytree(Path(dqlab.__file__).parent, tmp_path / "dqlab", ignore=shutil.ignore_patterns("__pycache__"))
    path = script(tmp_path, OTHER_PYTHON)
    for version, python in other_pythons():
        ended = subprocess.run(
            [python, path, str(shared[0].connection_file)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines() == ["32 1 2", f"{ {'default': [version]} } True"]
        assert f"that only Python {version} can read" in ended.stderr


def test_what_only_another_python_can_read_waits_and_may_be_cancelled(client):
    from dqlab.client import pickling
    from dqlab.wire.bounded_cache import BoundedCache

    original = pickling.PYTHON
    try:
        pickling.PYTHON = "3.5"
        pickling._cache = BoundedCache(pickling.CACHE_BYTES)
        future = client.submit(lambda: 1)
        eventually(lambda: client.stats()["pythons"] == {"default": ["3.5"]}, what="a task that waits for its Python")
        assert not future.done() and future.cancel()
        assert client.submit(pow, 2, 3).result(20) == 8
    finally:
        pickling.PYTHON = original
        pickling._cache = BoundedCache(pickling.CACHE_BYTES)
    assert client.submit(lambda: 1).result(20) == 1


def test_future_reprs_are_short_and_stable(client):
    future = client.submit(double, 1)
    future.result(20)
    assert repr(future) == f"<Future task {future.task_id} finished>"
    bad = client.submit(fail, "x")
    bad.exception(20)
    assert repr(bad) == f"<Future task {bad.task_id} finished raised ValueError>"
    assert repr(client) == "<dqlab Client connected>"


def test_many_submits_are_quick(client):
    began = time.monotonic()
    futures = [client.submit(double, x) for x in range(2000)]
    assert [future.result(60) for future in futures] == [2 * x for x in range(2000)]
    assert time.monotonic() - began < 20


def test_textwrap_is_by_name_and_pickles_stay_small():
    from dqlab.client.pickling import dump_function
    from dqlab.wire.envelope import Envelope

    digest, data, python = dump_function(textwrap.dedent)
    assert python == ""
    envelope = Envelope.load(data)
    assert len(envelope.shared + envelope.pickled) < 100
    assert pickle.loads(envelope.pickled) is textwrap.dedent
    assert dump_function(textwrap.dedent)[0] == digest
    assert dump_function(lambda: list(itertools.count()))[2] == f"{sys.version_info.major}.{sys.version_info.minor}"
