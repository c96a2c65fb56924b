"""CPython's own tests of executors, on a `Master`.

They are those of `Lib/test/test_concurrent_futures` in Python 3.13 and 3.11 (Copyright (c) Python Software Foundation,
PSF License Version 2), under their names and with their values: `executor.py`, and of `test_as_completed.py`,
`test_wait.py`, `test_shutdown.py`, `test_process_pool.py`, `test_thread_pool.py` and `test_deadlock.py` what isn't
about a pool's own processes and threads. Where a pool is broken for good, here one task has failed.
"""

from __future__ import annotations

import faulthandler
import gc
import itertools
import pickle
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import Future, process
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING

import pytest

import dqlab
from dqlab import LocalWorkers, Master, TaskFailed
from tests.cluster import cluster, run, script

#: seconds after which CPython's tests take something for stuck
LONG = 60


@pytest.fixture(scope="module")
def lasting() -> Iterator[Master]:
    """A master for the tests that don't end it."""
    with cluster(2) as (master, _):
        master.submit(int).result(30)  # from now on its threads are there
        yield master


@pytest.fixture
def executor(lasting: Master) -> Master:
    """The executor that a test only uses."""
    return lasting


@pytest.fixture
def mortal() -> Iterator[Master]:
    """The executor that a test ends."""
    with Master() as master:
        LocalWorkers(master, 2)
        yield master


def mul(x, y):
    return x * y


def capture(*args, **kwargs):
    return args, kwargs


class MyObject:
    def my_method(self):
        pass


def make_dummy_object(_):
    return MyObject()


class TestExecutor:
    def test_submit(self, executor):
        assert executor.submit(pow, 2, 8).result() == 256

    def test_submit_keyword(self, executor):
        assert executor.submit(mul, 2, y=8).result() == 16
        assert executor.submit(capture, 1, self=2, fn=3).result() == ((1,), {"self": 2, "fn": 3})
        with pytest.raises(TypeError):
            executor.submit(fn=capture, arg=1)
        with pytest.raises(TypeError):
            executor.submit(arg=1)

    def test_map(self, executor):
        expected = list(map(pow, range(10), range(10)))
        assert list(executor.map(pow, range(10), range(10))) == expected
        assert list(executor.map(pow, range(10), range(10), chunksize=3)) == expected

    def test_map_exception(self, executor):
        i = executor.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
        assert i.__next__() == (0, 1)
        assert i.__next__() == (0, 1)
        with pytest.raises(ZeroDivisionError):
            i.__next__()

    def test_map_timeout(self, executor):
        results = []
        with pytest.raises(futures.TimeoutError):
            for i in executor.map(time.sleep, [0, 0, 3], timeout=2):
                results.append(i)
        assert results == [None, None]

    def test_map_chunksize(self, executor):
        expected = list(map(pow, range(40), range(40)))
        for chunksize in (6, 50, 40):
            assert list(executor.map(pow, range(40), range(40), chunksize=chunksize)) == expected
        with pytest.raises(ValueError):
            list(executor.map(pow, range(40), range(40), chunksize=-1))

    def test_map_submits_without_iteration(self, mortal, tmp_path):
        def record_finished(n):
            (tmp_path / str(n)).touch()

        mortal.map(record_finished, range(10))
        mortal.shutdown(wait=True)
        assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(10))

    def test_no_stale_references(self, executor):
        my_object, collected = MyObject(), threading.Event()
        callback = weakref.ref(my_object, lambda _: collected.set())
        executor.submit(my_object.my_method)  # its future is discarded
        del my_object
        assert collected.wait(timeout=LONG)
        assert callback() is None

    def test_free_reference(self, executor):
        for obj in executor.map(make_dummy_object, range(10)):
            reference = weakref.ref(obj)
            del obj
            gc.collect()
            assert reference() is None

    def test_free_reference_of_the_iterator(self, executor):
        results = executor.map(make_dummy_object, range(10))
        for _ in range(10):
            reference = weakref.ref(next(results))
            gc.collect()
            assert reference() is None

    def test_traceback(self, executor):
        def raise_error():
            raise RuntimeError(123)  # some comment

        with pytest.raises(RuntimeError) as caught:
            executor.submit(raise_error).result()
        assert caught.value.args == (123,)
        assert type(caught.value.__cause__) is process._RemoteTraceback
        assert "raise RuntimeError(123)  # some comment" in caught.value.__cause__.tb
        assert "raise RuntimeError(123)  # some comment" in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("kind", ["submit", "map"])
    def test_traceback_of_a_builtin(self, executor, kind):
        with pytest.raises(ZeroDivisionError) as caught:
            executor.submit(divmod, 1, 0).result() if kind == "submit" else list(executor.map(divmod, [1], [0]))
        assert "Traceback (most recent call last):" in caught.value.__cause__.tb
        assert caught.value.__cause__.tb.rstrip('\n"').splitlines()[-1].startswith("ZeroDivisionError: ")


def create_future(state=PENDING, exception=None, result=None):
    future = Future()
    future._state, future._exception, future._result = state, exception, result
    return future


PENDING_FUTURE = create_future(state=PENDING)
RUNNING_FUTURE = create_future(state=RUNNING)
CANCELLED_FUTURE = create_future(state=CANCELLED)
CANCELLED_AND_NOTIFIED_FUTURE = create_future(state=CANCELLED_AND_NOTIFIED)
EXCEPTION_FUTURE = create_future(state=FINISHED, exception=OSError())
SUCCESSFUL_FUTURE = create_future(state=FINISHED, result=42)
ENDED = {CANCELLED_AND_NOTIFIED_FUTURE, EXCEPTION_FUTURE, SUCCESSFUL_FUTURE}


class TestAsCompleted:
    def test_no_timeout(self, executor):
        future1, future2 = executor.submit(mul, 2, 21), executor.submit(mul, 7, 6)
        assert set(futures.as_completed([*ENDED, future1, future2])) == {*ENDED, future1, future2}

    @pytest.mark.parametrize("timeout", [0, 0.1])
    def test_future_times_out(self, executor, timeout):
        completed = set()
        future = executor.submit(time.sleep, 1)
        with pytest.raises(futures.TimeoutError):
            for ended in futures.as_completed(ENDED | {future}, timeout):
                completed.add(ended)
        assert completed == ENDED

    @pytest.mark.parametrize("as_completed", [futures.as_completed, dqlab.as_completed], ids=["theirs", "ours"])
    def test_free_reference_yielded_future(self, executor, as_completed):
        futures_list = [executor.submit(mul, x, 2) for x in range(4)] + [Future() for _ in range(4)]
        futures_list += [create_future(state=CANCELLED_AND_NOTIFIED), create_future(state=FINISHED, result=42)]
        futures.wait(futures_list[:4])
        with pytest.raises(futures.TimeoutError):
            for future in as_completed(futures_list, timeout=0):
                futures_list.remove(future)
                reference = weakref.ref(future)
                del future
                gc.collect()
                assert reference() is None
        assert len(futures_list) == 4
        futures_list[0].set_result("test")
        for future in as_completed(futures_list):
            futures_list.remove(future)
            reference = weakref.ref(future)
            del future
            gc.collect()
            assert reference() is None
            if futures_list:
                futures_list[0].set_result("test")

    def test_duplicate_futures(self, executor):
        future = executor.submit(time.sleep, 0.2)
        assert len(list(futures.as_completed(itertools.repeat(future, 3)))) == 1


def sleep_and_raise(t):
    time.sleep(t)
    raise Exception("this is an exception")


class TestWait:
    def test_20369(self, executor):
        future = executor.submit(time.sleep, 0.5)
        assert futures.wait([future, future], return_when=futures.ALL_COMPLETED) == ({future}, set())

    def test_first_completed(self, executor):
        future1, future2 = executor.submit(mul, 21, 2), executor.submit(time.sleep, 1.5)
        done, not_done = futures.wait([CANCELLED_FUTURE, future1, future2], return_when=futures.FIRST_COMPLETED)
        assert (done, not_done) == ({future1}, {CANCELLED_FUTURE, future2})

    def test_first_completed_some_already_completed(self, executor):
        future = executor.submit(time.sleep, 1.5)
        ended = [CANCELLED_AND_NOTIFIED_FUTURE, SUCCESSFUL_FUTURE]
        assert futures.wait([*ended, future], return_when=futures.FIRST_COMPLETED) == (set(ended), {future})

    def test_first_exception(self, executor):
        fs = [executor.submit(mul, 2, 21), executor.submit(sleep_and_raise, 1.5), executor.submit(time.sleep, 3)]
        assert futures.wait(fs, return_when=futures.FIRST_EXCEPTION) == (set(fs[:2]), {fs[2]})

    def test_first_exception_some_already_complete(self, executor):
        future1, future2 = executor.submit(divmod, 21, 0), executor.submit(time.sleep, 1.5)
        ended = [SUCCESSFUL_FUTURE, CANCELLED_AND_NOTIFIED_FUTURE]
        finished, pending = futures.wait(
            [*ended, CANCELLED_FUTURE, future1, future2], return_when=futures.FIRST_EXCEPTION
        )
        assert (finished, pending) == ({*ended, future1}, {CANCELLED_FUTURE, future2})

    def test_first_exception_one_already_failed(self, executor):
        future = executor.submit(time.sleep, 1)
        finished, pending = futures.wait([EXCEPTION_FUTURE, future], return_when=futures.FIRST_EXCEPTION)
        assert (finished, pending) == ({EXCEPTION_FUTURE}, {future})

    def test_all_completed(self, executor):
        fs = [*ENDED, executor.submit(divmod, 2, 0), executor.submit(mul, 2, 21)]
        assert futures.wait(fs, return_when=futures.ALL_COMPLETED) == (set(fs), set())

    def test_timeout(self, executor):
        future = executor.submit(time.sleep, 0.5)
        assert futures.wait([*ENDED, future], timeout=0.05) == (ENDED, {future})


class TestShutdown:
    def test_run_after_shutdown(self, mortal):
        mortal.shutdown()
        with pytest.raises(RuntimeError):
            mortal.submit(pow, 2, 5)

    @pytest.mark.parametrize("shutdown", ["", "master.shutdown()", "master.shutdown(wait=False)"])
    def test_interpreter_shutdown(self, tmp_path, shutdown):
        said = run(script(tmp_path, f"""
            import time
            from dqlab import LocalWorkers, Master
            def sleep_and_touch(t):
                time.sleep(t)
                open("apple", "w").close()
            if __name__ == "__main__":
                master = Master()
                LocalWorkers(master, 2)
                master.submit(sleep_and_touch, 1.0)
                {shutdown}
            """), cwd=tmp_path)  # fmt: skip
        assert (said.returncode, said.stderr) == (0, "")
        assert (tmp_path / "apple").exists()

    def test_submit_after_interpreter_shutdown(self, tmp_path):
        said = run(script(tmp_path, """
            import atexit
            from dqlab import LocalWorkers, Master
            @atexit.register
            def run_last():
                try:
                    master.submit(id, None)
                except RuntimeError:
                    print("runtime-error")
                    raise
            if __name__ == "__main__":
                master = Master()
                LocalWorkers(master, 1)
                master.submit(id, 42).result()
            """))  # fmt: skip
        assert "RuntimeError: cannot schedule new futures" in said.stderr
        assert said.stdout.strip() == "runtime-error"

    def test_hang_issue12364(self, mortal):
        fs = [mortal.submit(time.sleep, 0.02) for _ in range(50)]
        mortal.shutdown()
        for future in fs:
            future.result()

    def test_shutdown_race_issue12456(self, mortal):
        mortal.map(str, [2] * 3)
        mortal.shutdown()

    def test_cancel_futures(self, mortal):
        mortal.submit(int).result()
        fs = [mortal.submit(time.sleep, 0.1) for _ in range(50)]
        futures.wait(fs, return_when=futures.FIRST_COMPLETED)
        mortal.shutdown(cancel_futures=True)
        assert sum(future.cancelled() for future in fs) > 20
        others = [future for future in fs if not future.cancelled()]
        assert others
        assert all(future.done() and future.exception() is None for future in others)

    def test_hang_gh94440(self, mortal):
        mortal.submit(int).result()
        began = time.monotonic()
        mortal.submit(int).cancel()
        mortal.shutdown(wait=True)
        assert time.monotonic() - began < 5

    @pytest.mark.parametrize("end", ["with", "wait", "no wait", "del"])
    def test_the_results_are_there_after_the_end(self, end):
        master = Master()
        LocalWorkers(master, 2)
        results = master.map(abs, range(-5, 5))
        if end == "with":
            with master:
                pass
        elif end == "del":
            del master
            gc.collect()
        else:
            master.shutdown(wait=end == "wait")
        assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]


def crash():
    faulthandler.disable()
    faulthandler._sigsegv()


def crash_with_data(data):
    crash()


def leave():
    sys.exit(1)


def raise_error(error):
    raise error()


def make(cls):
    return cls()


class CrashAtPickle:
    def __reduce__(self):
        crash()


class CrashAtUnpickle:
    def __reduce__(self):
        return crash, ()


class ExitAtPickle:
    def __reduce__(self):
        leave()


class ExitAtUnpickle:
    def __reduce__(self):
        return leave, ()


class ErrorAtPickle:
    def __reduce__(self):
        raise pickle.PicklingError("Error in pickle")


class ErrorAtUnpickle:
    def __reduce__(self):
        return raise_error, (pickle.UnpicklingError,)


#: by what goes wrong: the exception in which the task ends, what is called, and its argument
DEADLOCKS = {
    "error_at_task_pickle": (pickle.PicklingError, id, ErrorAtPickle),
    "exit_at_task_unpickle": (SystemExit, id, ExitAtUnpickle),
    "error_at_task_unpickle": (pickle.UnpicklingError, id, ErrorAtUnpickle),
    "crash_at_task_unpickle": (TaskFailed, id, CrashAtUnpickle),
    "crash_during_func_exec_on_worker": (TaskFailed, crash, None),
    "exit_during_func_exec_on_worker": (SystemExit, leave, None),
    "crash_during_result_pickle_on_worker": (TaskFailed, CrashAtPickle, None),
    "exit_during_result_pickle_on_worker": (SystemExit, ExitAtPickle, None),
    "error_during_result_pickle_on_worker": (pickle.PicklingError, ErrorAtPickle, None),
    "error_during_result_unpickle_in_result_handler": (pickle.UnpicklingError, ErrorAtUnpickle, None),
    "exit_during_result_unpickle_in_result_handler": (SystemExit, ExitAtUnpickle, None),
}


class TestDeadlock:
    @pytest.mark.parametrize(("error", "function", "argument"), DEADLOCKS.values(), ids=DEADLOCKS)
    def test_the_task_ends_and_the_next_one_runs(self, executor, error, function, argument):
        future = executor.submit(function, *([argument()] if argument else []))
        with pytest.raises(error):
            future.result(timeout=LONG)
        assert executor.submit(mul, 6, 7).result(timeout=LONG) == 42

    def test_shutdown_deadlock(self, mortal):
        future = mortal.submit(crash)
        mortal.shutdown(wait=True)
        with pytest.raises(TaskFailed):
            future.result()

    def test_shutdown_deadlock_pickle(self, mortal):
        mortal.submit(id, 42).result()
        future = mortal.submit(id, ErrorAtPickle())
        mortal.shutdown(wait=False)
        with pytest.raises(pickle.PicklingError):
            future.result()

    def test_crash_big_data(self, executor):
        data = "a" * (4 << 20)
        with pytest.raises(TaskFailed):
            list(executor.map(crash_with_data, [data] * 4))
