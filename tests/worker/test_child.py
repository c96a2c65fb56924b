"""A task that crashes, hangs or holds the GIL: the right outcome for it, and none for its neighbours."""

import ctypes
import os
import signal
import sys
import threading
import time

import pytest

from dqlab import TaskFailed, TaskTimeout, current
from tests.cluster import all_events, child_of, cluster, gone, times_done
from tests.helpers import eventually


def end_process(how):
    if how == "exit":
        os._exit(7)
    if how == "segv":
        ctypes.string_at(0)
    os.kill(os.getpid(), how)


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    "how, words",
    [("exit", "exit code 7"), ("segv", "SIGSEGV"), (signal.SIGKILL, "SIGKILL"), (signal.SIGABRT, "SIGABRT")],
)
def test_a_task_that_ends_its_process_is_failed_and_the_others_are_done(client, how, words):
    before = [client.submit(double, x) for x in range(5)]
    poison = client.submit(end_process, how)
    after = [client.submit(double, x) for x in range(5)]
    with pytest.raises(TaskFailed) as caught:
        poison.result(30)
    failure = caught.value
    assert failure.reason == f"worker died 3 times: the task's process ended with {words}"
    assert failure.attempts == 3
    assert len(failure.history) == 3
    assert {reason for _, reason in failure.history} == {f"the task's process ended with {words}"}
    assert {worker for worker, _ in failure.history} <= {"w1", "w2"}
    assert str(failure) == f"task {poison.task_id} failed after 3 attempts: {failure.reason}"
    assert [f.result(30) for f in (*before, *after)] == [0, 2, 4, 6, 8] * 2
    first = client.failures(1)[0]
    assert (first["task"], first["attempts"], first["reason"]) == (poison.task_id, 3, failure.reason)


def test_only_the_poison_item_of_a_map_fails(client):
    def work(x):
        if x == 5000:
            os._exit(1)
        return x + 1

    list(client.map(work, range(3000)))  # batches have grown
    results = client.map(work, range(10_000))
    seen = []
    with pytest.raises(TaskFailed, match="exit code 1"):
        for value in results:
            seen.append(value)
    assert seen == list(range(1, 5001))


def test_poison_tasks_amid_others_leave_no_neighbour_failed(client):
    def work(x):
        if x % 100 == 50:
            os._exit(1)
        return x

    futures = [client.submit(work, x) for x in range(300)]
    ended = [future.exception(60) for future in futures]
    assert [x for x, error in enumerate(ended) if error is not None] == [50, 150, 250]
    assert all(isinstance(ended[x], TaskFailed) and ended[x].attempts == 3 for x in (50, 150, 250))
    assert [future.result() for x, future in enumerate(futures) if x % 100 != 50] == [
        x for x in range(300) if x % 100 != 50
    ]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("stop"), GeneratorExit(), MemoryError("no room")])
def test_what_a_task_raises_arrives_even_if_it_is_no_ordinary_exception(client, error):
    def work():
        raise error

    neighbour = client.submit(double, 4)
    future = client.submit(work)
    arrived = future.exception(30)
    assert type(arrived) is type(error)
    assert arrived.args == error.args
    assert "in work" in str(arrived.__cause__)
    assert neighbour.result(30) == 8


def test_sys_exit_ends_the_task_and_not_its_process(shared, client):
    children = [child_of(pid).pid for pid in shared[1].pids.values()]
    assert isinstance(client.submit(sys.exit, "enough").exception(30), SystemExit)
    assert [child_of(pid).pid for pid in shared[1].pids.values()] == children
    assert client.stats()["queues"]["default"]["leased"] == 0


def test_max_attempts_of_one_task(client):
    with pytest.raises(TaskFailed) as caught:
        client.options(max_attempts=1).submit(end_process, "exit").result(30)
    assert (caught.value.attempts, caught.value.reason) == (1, "worker died: the task's process ended with exit code 7")
    with pytest.raises(TaskFailed) as caught:
        client.options(max_attempts=5).submit(end_process, "exit").result(30)
    assert (caught.value.attempts, len(caught.value.history)) == (5, 5)


def test_a_task_that_holds_the_gil_for_twice_the_lease_is_done_once():
    def hold(seconds):
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))  # PyDLL: the GIL is held during the call
        return "done"

    lease = 2.0
    with cluster(2, lease=lease) as (master, _):
        assert master.submit(hold, 2 * lease).result(30) == "done"
        assert list(times_done(master).values()) == [1]
        counts = master.stats()["queues"]["default"]
        assert (counts["done"], counts["redelivered"]) == (1, 0)
        assert not all_events(master, "worker_left")


def test_a_timeout_ends_the_task_with_its_process(client):
    future = client.options(timeout=0.4).submit(time.sleep, 60)
    with pytest.raises(TaskTimeout) as caught:
        future.result(20)
    assert "0.4 s" in str(caught.value)
    assert (caught.value.attempts, caught.value.reason) == (1, caught.value.history[0][1])
    assert isinstance(caught.value, TimeoutError)
    assert client.submit(double, 1).result(20) == 2


def test_a_timeout_ends_a_task_that_holds_the_gil(client):
    def hold():
        ctypes.PyDLL(None).usleep(60_000_000)

    with pytest.raises(TaskTimeout):
        client.options(timeout=0.4).submit(hold).result(20)


def test_a_timeout_ends_a_task_whose_process_is_frozen(client):
    def freeze():
        os.kill(os.getpid(), signal.SIGSTOP)

    with pytest.raises(TaskTimeout):
        client.options(timeout=0.4).submit(freeze).result(20)


def test_a_timeout_is_for_each_task_of_a_map(client):
    def work(x):
        time.sleep(60 if x == 3 else 0.05)
        return x

    results = client.options(timeout=1.0).map(work, range(20))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(TaskTimeout, match="1 s"):
        next(results)
    futures = [client.options(timeout=1.0).submit(work, x) for x in range(20)]
    ended = [type(future.exception(30)) for future in futures]
    assert ended == [TaskTimeout if x == 3 else type(None) for x in range(20)]


def test_retries_after_an_exception_wait_longer_each_time(client, tmp_path):
    def work():
        with open(tmp_path / "times", "a") as file:
            file.write(f"{time.time()}\n")
        if len((tmp_path / "times").read_text().splitlines()) < 4:
            raise ValueError("not yet")
        return "at last"

    future = client.options(retries=3).submit(work)
    assert future.result(30) == "at last"
    times = list(map(float, (tmp_path / "times").read_text().splitlines()))
    waits = [event["seconds"] for event in all_events(client, "delayed") if event["task"] == future.task_id]
    assert len(times) == 4
    assert len(waits) == 3
    for n, wait in enumerate(waits):
        assert 0.05 * 2**n <= wait <= 0.15 * 2**n
        assert times[n + 1] - times[n] >= wait


def test_when_no_retry_is_left_the_exception_arrives(client, tmp_path):
    def work():
        with open(tmp_path / "times", "a") as file:
            file.write("x")
        raise ValueError("never")

    future = client.options(retries=2).submit(work)
    with pytest.raises(ValueError, match="never"):
        future.result(30)
    assert (tmp_path / "times").read_text() == "xxx"
    failure = client.failures(1)[0]
    assert [entry["reason"] for entry in failure["history"]] == ["ValueError: never"] * 3
    assert "in work" in failure["traceback"]


def test_a_timeout_is_retried_too(client, tmp_path):
    def work():
        first = not (tmp_path / "was here").exists()
        (tmp_path / "was here").touch()
        time.sleep(60 if first else 0)
        return "second"

    assert client.options(timeout=0.4, retries=1).submit(work).result(30) == "second"


def test_failed_tasks_are_requeued(client, tmp_path):
    def work():
        if not (tmp_path / "mended").exists():
            raise ValueError("broken")
        return "whole"

    view = client.options(queue="mending")
    future = view.submit(work)
    assert isinstance(future.exception(30), ValueError)
    (tmp_path / "mended").touch()
    assert client.requeue("mending") == 1
    assert client.result(future.task_id, timeout=30) == "whole"
    assert client.requeue("mending") == 0
    assert client.stats()["queues"]["mending"]["failed"] == 0


def test_prints_reach_the_events_with_the_task_that_printed(client):
    def work(x):
        print("line", x)
        print("half", end="")
        sys.stdout.write("-line\n")
        return current().task

    futures = [client.submit(work, x) for x in range(3)]
    for x, future in enumerate(futures):
        assert future.result(30) == future.task_id
        texts = eventually(
            lambda task=future.task_id: [e for e in all_events(client, "printed") if e["task"] == task], what="prints"
        )
        text = "".join(event["text"] for event in texts)
        assert f"line {x}" in text
        assert "half-line" in text
        assert all(event["worker"] in ("w1", "w2") for event in texts)


def test_what_c_code_and_subprocesses_print_does_not_disturb(client):
    def work():
        os.write(1, b"straight to the descriptor\n")
        os.system("echo from a shell")
        return sys.stdin.read()

    assert client.submit(work).result(30) == ""


def test_threads_that_print_at_once_disturb_neither_the_task_nor_each_other(client):
    def work():
        threads = [threading.Thread(target=lambda n=n: [print(f"{n} {i}") for i in range(2000)]) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "quiet"

    assert client.options(max_attempts=1).submit(work).result(30) == "quiet"


def test_a_process_that_a_task_forked_does_not_hide_the_death_of_the_task(client, tmp_path):
    def work():
        if os.fork() == 0:
            (tmp_path / "new").write_text(str(os.getpid()))
            (tmp_path / "new").rename(tmp_path / "forked")
            time.sleep(60)
            os._exit(0)
        while not (tmp_path / "forked").exists():
            time.sleep(0.01)
        os._exit(7)

    try:
        with pytest.raises(TaskFailed, match="exit code 7"):
            client.options(max_attempts=1).submit(work).result(20)
    finally:
        os.kill(int((tmp_path / "forked").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    "end, code", [(lambda: sys.exit(3), 3), (lambda: 1 / 0, 1), (lambda: None, 0)], ids="exit error end".split()
)
def test_a_copy_of_the_process_that_comes_out_of_the_task_ends_there(client, tmp_path, end, code):
    def work(x):
        (tmp_path / f"{x} in {os.getpid()}").touch()
        if x == 0 and (pid := os.fork()) == 0:
            return end()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if x == 0 else x

    assert list(client.map(work, range(4))) == [code, 1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 4  # none of them ran in the copy too


def test_a_task_that_closes_every_file_and_lives_on_is_ended(client):
    def work():
        os.closerange(0, 256)
        time.sleep(60)

    with pytest.raises(TaskFailed, match="SIGKILL"):
        client.options(max_attempts=1).submit(work).result(20)
    assert client.submit(double, 1).result(20) == 2


def test_a_task_may_use_threads_and_subprocesses(client):
    def work():
        import concurrent.futures
        import subprocess

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return sum(pool.map(abs, [-1, -2])), subprocess.run(["true"]).returncode

    assert client.submit(work).result(30) == (3, 0)


def test_current_is_none_outside_of_a_worker():
    assert current() is None


def test_a_child_that_dies_while_idle_is_replaced(shared, client):
    _, workers = shared
    child = child_of(workers.pids["w1"])
    child.kill()
    eventually(lambda: gone(child.pid), what="the child's end")
    assert list(client.map(double, range(50))) == [2 * x for x in range(50)]
    assert sorted(workers.names) == ["w1", "w2"]
