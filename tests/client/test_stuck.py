"""Why somebody waits for ever, told from the master's numbers; and a task that waits for a task, on a real master."""

import contextlib
import io

from dqlab import connect
from dqlab.cli.status_table import status_table
from dqlab.client.stuck import why_stuck
from tests.cluster import cluster
from tests.helpers import eventually


def numbers(*running, ready=0, queue="default", queues=None):
    workers = [{"running": task, "queues": queues} for task in running]
    return {"workers": workers, "queues": {queue: {"ready": ready}, "plain": {"ready": 9}}}


def test_a_queue_that_nobody_serves():
    assert "1 task waits in images" in why_stuck(numbers(ready=1, queue="images"), [], False)
    assert "2 tasks wait" in why_stuck(numbers(None, ready=2, queue="images", queues=["pages"]), [], False)
    assert why_stuck(numbers(None, ready=2), [], False) == ""


def test_a_task_that_waits_while_all_workers_are_busy():
    assert "the only worker is busy" in why_stuck(numbers(1), [(2, 1)], True)
    assert "all 2 workers are busy" in why_stuck(numbers(1, 7), [(2, 3)], True)


def test_whoever_is_no_task_waits_as_long_as_it_takes():
    assert why_stuck(numbers(1, 7, ready=50), [(2, 50)], False) == ""


def test_a_task_that_somebody_has_begun_with_may_take_long():
    assert why_stuck(numbers(1, 4), [(2, 3)], True) == ""
    assert why_stuck(numbers(1, None), [(2, 3)], True) == ""


def wait_inside(file, function, patience):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), connect(file) as client:
        with contextlib.suppress(TimeoutError):
            client.submit(*function).result(patience)
        client.shutdown(cancel_futures=True, wait=False)
    return said.getvalue()


def test_a_task_that_waits_for_a_task_says_so_when_no_worker_is_free():
    with cluster(1) as (master, workers):
        said = master.submit(wait_inside, master.connection_file, (int,), 4).result(30)
        assert "a task waits for another one, and the only worker is busy" in said
        assert "more workers" in said
        workers.add()
        workers.wait()
        assert master.submit(wait_inside, master.connection_file, (take_long,), 10).result(30) == ""


def take_long():
    import time

    time.sleep(3)


def wait_for_another(file):
    with connect(file) as client:
        return client.submit(int).result()


def test_whoever_waits_for_such_a_task_is_told_while_it_waits(capfd):
    with cluster(1) as (master, workers):
        future = master.submit(wait_for_another, master.connection_file)
        said = ""

        def is_told() -> bool:
            nonlocal said
            with contextlib.suppress(TimeoutError):
                future.result(3)
            said += capfd.readouterr().err
            return "a task waits for another one, and the only worker is busy" in said

        eventually(is_told, 20, "the hint")
        assert "the only worker is busy" in status_table(master.stats(), "here")
        workers.add()
        assert future.result(30) == 0
        assert "busy. Start" not in status_table(master.stats(), "here")
