"""The client's end of the wire: whatever happens to connections and to the master, each outcome arrives once."""

import os
import pickle
import signal
import threading
import time

import psutil
import pytest

from dqlab import BacklogFull, BadInput, LocalWorkers, Master, MasterGone, TaskFailed, as_completed, connect
from dqlab.client.pickling import dump_function
from dqlab.errors import ConnectionFailed, Refused
from dqlab.master.process import RunningMaster
from dqlab.master.settings import MasterSettings
from dqlab.wire.greeting import CLIENT
from dqlab.wire.messages import Finished, Found, Header, NewTasks, Report
from dqlab.wire.request import open_broker, request
from tests.cluster import cluster, run, script, wait_for
from tests.helpers import eventually


def double(x):
    return 2 * x


# -- connections come and go -----------------------------------------------------------------------


def open_by_hand(client, number=None, token=None):
    """A connection of the client with that number and token, or of none yet, for bare requests."""
    connection = client.connection
    return open_broker(connection.address, connection.authkey, CLIENT, client=number, token=token)


def submit_by_hand(conn):
    """A client made of bare requests, with one submitted task; its number and token, and the task's id."""
    number, first, token = request(conn, "open_client")
    digest, pickled, python = dump_function(double)
    header = Header(kind="map", function=digest, python=python)
    tasks = NewTasks(first=first, count=1, header=header, payload=pickle.dumps([21]))
    assert request(conn, "submit", {digest: pickled}, [tasks.encode()]) == (1, "")
    return number, token, first


def wait_until_done(conn, task):
    def state():
        return Found.decode(request(conn, "lookup", task, 1.0)).outcome.state

    eventually(lambda: state() == "done", what=f"task {task}")


def test_results_that_finished_before_the_client_collects_are_not_lost(client):
    conn = open_by_hand(client)
    _, _, first = submit_by_hand(conn)
    wait_until_done(conn, first)
    request(conn, "reopen_client", [])  # what it had sent when it last looked
    batch = [Finished.decode(row) for row in request(conn, "collect", 0, 1.0)]
    conn.close()
    assert [(one.first, one.lo, one.hi, one.outcome.state) for one in batch] == [(first, 0, 1, "done")]
    assert pickle.loads(batch[0].outcome.result) == [42]


def test_a_client_whose_connection_broke_gets_what_finished_meanwhile_once(client):
    conn = open_by_hand(client)
    number, token, first = submit_by_hand(conn)
    wait_until_done(conn, first)
    collector = open_by_hand(client, number, token)
    request(collector, "reopen_client", [])
    collector.close()
    for _ in range(2):  # two breaks in a row
        collector = open_by_hand(client, number, token)
        request(collector, "reopen_client", [])
        request(collector, "reopen_client", [(first, 1)])
        batch = [Finished.decode(row) for row in request(collector, "collect", 0, 1.0)]
        assert len(batch) == 1
        collector.close()
    conn.close()


def test_what_a_broken_connection_still_said_takes_no_result_from_the_next_one(client):
    conn = open_by_hand(client)
    number, token, first = submit_by_hand(conn)
    wait_until_done(conn, first)
    old, new = (open_by_hand(client, number, token) for _ in range(2))
    for collector in (old, new):
        request(collector, "reopen_client", [(first, 1)])
    with pytest.raises((EOFError, OSError)):  # read by the master after the client was back
        request(old, "collect", 0, 0.0)
    old.close()
    assert len(request(new, "collect", 0, 1.0)) == 1

    late = open_by_hand(client, number, token)
    request(late, "reopen_client", [(first, 1)])
    late.close()
    with pytest.raises((EOFError, OSError)):  # so that the client opens another, and says anew what it waits for
        request(new, "collect", 0, 0.0)
    new.close()
    newest = open_by_hand(client, number, token)
    request(newest, "reopen_client", [(first, 1)])
    assert len(request(newest, "collect", 0, 1.0)) == 1
    for connection in (newest, conn):
        connection.close()


def test_only_who_knows_its_token_is_a_client(client):
    """Given a client's number, which anybody can guess, then its results are for nobody without its token."""
    conn = open_by_hand(client)
    number, token, first = submit_by_hand(conn)
    wait_until_done(conn, first)
    for wrong in (None, b"", bytes(32), token[:-1] + bytes([token[-1] ^ 1])):
        with pytest.raises((BadInput, Refused)):
            open_by_hand(client, number, wrong)
    with pytest.raises(Refused, match="no client"):
        open_by_hand(client, number + 1, token)
    stranger = open_by_hand(client)
    for call in (("collect", 0, 0.0), ("reopen_client", [(first, 1)]), ("close_client",), ("submit", {}, [])):
        with pytest.raises(Refused, match="no client's"):
            request(stranger, *call)
    stranger.close()
    assert len(request(conn, "collect", 0, 1.0)) == 1
    conn.close()


def hang_up(connections):
    for conn in connections:
        conn.hang_up()


def test_broken_connections_lose_nothing(client):
    def work(x):
        time.sleep(0.005)
        return x

    futures = []
    for x in range(300):
        futures.append(client.submit(work, x))
        if x % 30 == 29:
            futures[x // 2].result(20)
            hang_up(list(client._session._connections.values()))
    assert [future.result(20) for future in futures] == list(range(300))


def test_a_broken_connection_in_the_middle_of_a_map(client):
    seen = []
    for value in client.map(double, range(20_000)):
        if len(seen) % 2000 == 500:
            hang_up(list(client._session._connections.values()))
        seen.append(value)
    assert seen == [2 * x for x in range(20_000)]


# -- two clients, and one that comes back ----------------------------------------------------------


def test_two_clients_at_one_master_get_their_own_results(shared):
    file = shared[0].connection_file
    with connect(file) as one, connect(file) as two:
        first = [one.submit(double, x) for x in range(50)]
        second = [two.submit(double, -x) for x in range(50)]
        assert not {f.task_id for f in first} & {f.task_id for f in second}
        assert [f.result(20) for f in first] == [2 * x for x in range(50)]
        assert [f.result(20) for f in second] == [-2 * x for x in range(50)]


def test_a_task_id_fetches_the_result_from_another_client(client, shared):
    future = client.submit(double, 21)
    assert future.result(20) == 42
    with connect(shared[0].connection_file) as other:
        assert other.result(future.task_id, timeout=10) == 42


def test_results_outlive_the_client_that_asked_for_them(shared):
    file = shared[0].connection_file
    with connect(file) as client:
        slow = client.submit(time.sleep, 0.3)
        error = client.submit(int, "x")
        many = list(client.map(double, range(5)))
        client.flush(10)
        client.shutdown(wait=False)
    assert many == [0, 2, 4, 6, 8]
    with connect(file) as other:
        assert other.result(slow.task_id, timeout=10) is None
        with pytest.raises(ValueError, match="invalid literal"):
            other.result(error.task_id, timeout=10)


def test_a_client_that_was_killed_fetches_by_id_when_it_comes_back(shared, tmp_path):
    path = script(
        tmp_path,
        """
        import os, sys, signal
        from dqlab import connect
        def slow(x):
            import time
            time.sleep(0.2)
            return x * 2
        client = connect(sys.argv[1])
        futures = [client.submit(slow, x) for x in range(5)]
        client.flush(10)
        print(*[f.task_id for f in futures], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    killed = run(path, str(shared[0].connection_file))
    assert killed.returncode == -signal.SIGKILL
    with connect(shared[0].connection_file) as client:
        assert [client.result(int(task), timeout=10) for task in killed.stdout.split()] == [0, 2, 4, 6, 8]


def test_waiting_for_a_task_by_id_ends_in_time(client):
    with client_queue_paused(client, "waiting"):
        future = client.options(queue="waiting").submit(double, 1)
        client.flush(10)
        with pytest.raises(TimeoutError, match="ready after 0.2 s"):
            client.result(future.task_id, timeout=0.2)
    assert client.result(future.task_id, timeout=10) == 2


@pytest.mark.filterwarnings("ignore:dqlab. 1 task was cancelled")
def test_waiting_for_a_task_by_id_ends_in_time_when_the_master_is_frozen():
    with Master() as master:
        future = master.submit(double, 1)
        master.flush(10)
        os.kill(master.pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                master.result(future.task_id, timeout=0.2)
        finally:
            os.kill(master.pid, signal.SIGCONT)


def test_a_task_id_that_nobody_knows(client):
    with pytest.raises(Exception, match="knows no task 987654321"):
        client.result(987654321, timeout=1)


# -- what the master has forgotten -----------------------------------------------------------------


@pytest.fixture
def here(tmp_path):
    """A master in this process, whose broker a test can look into and work for."""
    master = RunningMaster(MasterSettings(connection_file=tmp_path / "master.json"))
    yield master
    master.close()


def work_by_hand(master, value):
    """Be a worker that returns ``value`` for each task that waits."""
    leases = master.waiting.broker.leases

    def work(now):
        worker = leases.join("here", 1, None, False, now)
        while given := leases.lease(worker.name, now):
            for lease in given:
                results = [pickle.dumps(value) for _ in range(lease.lo, lease.hi)]
                data = results[0] if len(results) == 1 else pickle.dumps(results)
                report = Report(kind="done", token=lease.token, lo=lease.lo, hi=lease.hi, value=data, seconds=0.01)
                leases.settle(worker.name, [report], now)
        leases.leave(worker, "done", now)

    master.waiting.do_now(work)


class away:
    """The client cannot reach the master until the end of the block."""

    def __init__(self, client):
        self.session = client._session

    def __enter__(self):
        def refuse():
            raise ConnectionFailed("no way")

        self.session.dial = refuse
        hang_up(list(self.session._connections.values()))

    def __exit__(self, *exc):
        del self.session.dial


def test_a_client_that_was_away_too_long_is_told_what_is_forgotten(here, monkeypatch):
    monkeypatch.setattr("dqlab.broker.kept_outcomes.KEEP_SECONDS", 0.0)
    broker = here.waiting.broker
    with connect(here.file) as client:
        client.pause("later")
        early = client.submit(double, 1)
        client.flush(10)
        work_by_hand(here, 2)
        assert early.result(10) == 2
        eventually(lambda: broker.find(early.task_id) is None, what="nothing kept of what was read")
        lost, late = client.submit(double, 2), client.options(queue="later").submit(double, 3)
        results = client.options(queue="later").map(double, [4])
        client.flush(10)
        with away(client):
            eventually(lambda: not broker.states.clients[0].connected, what="the client to be away")
            work_by_hand(here, 4)
            eventually(lambda: broker.find(lost.task_id) is None, what="its result to be forgotten")
        with pytest.raises(Refused, match=f"task {lost.task_id} has ended while this client was away"):
            lost.result(10)
        client.resume("later")
        with away(client):
            eventually(lambda: not broker.states.clients[0].connected, what="the client to be away again")
            work_by_hand(here, 6)
            eventually(lambda: broker.find(late.task_id + 1) is None, what="everything to be forgotten")
        with pytest.raises(Refused, match="the master forgot how"):
            late.result(10)
        with pytest.raises(Refused, match="the master forgot how"):
            next(results)
        assert early.result() == 2


def test_a_function_that_the_master_forgot_is_sent_again(here, monkeypatch):
    monkeypatch.setattr("dqlab.broker.functions.UNUSED", 0)
    with connect(here.file) as client:
        for x in range(3):
            future = client.submit(double, x)
            client.flush(10)
            work_by_hand(here, 2 * x)
            assert future.result(10) == 2 * x
            eventually(lambda: not here.waiting.broker.states.functions, what="the function to be forgotten")


# -- queues: pause, backlog, cancel ----------------------------------------------------------------


class client_queue_paused:
    def __init__(self, client, name):
        self.client, self.name = client, name

    def __enter__(self):
        self.client.pause(self.name)

    def __exit__(self, *exc):
        self.client.resume(self.name)


def test_a_paused_queue_waits_and_goes_on(client):
    view = client.options(queue="sleepy")
    with client_queue_paused(client, "sleepy"):
        futures = [view.submit(double, x) for x in range(5)]
        view.flush(10)
        stats = client.stats()["queues"]["sleepy"]
        assert (stats["paused"], stats["ready"]) == (True, 5)
        assert client.submit(double, 4).result(20) == 8  # other queues go on
        assert not any(future.done() for future in futures)
    assert [future.result(20) for future in futures] == [0, 2, 4, 6, 8]
    assert client.stats()["queues"]["sleepy"]["paused"] is False


def test_cancel_is_true_for_what_has_not_started_and_false_for_the_rest(client):
    done = client.submit(double, 1)
    assert done.result(20) == 2
    assert done.cancel() is False
    running = [client.submit(time.sleep, 0.7) for _ in range(2)]
    eventually(lambda: all(future.running() for future in running), what="both at work")
    assert [future.cancel() for future in running] == [False, False]
    with client_queue_paused(client, "stopped"):
        waiting = [client.options(queue="stopped").submit(double, x) for x in range(3)]
        assert waiting[1].cancel() is True
        assert waiting[1].cancelled()
        assert waiting[1].cancel() is True
        assert client.stats()["queues"]["stopped"]["cancelled"] == 1
    assert [future.result(20) for future in (waiting[0], waiting[2])] == [0, 4]
    assert [future.result(20) for future in running] == [None, None]


def test_a_full_backlog_makes_submit_raise():
    with cluster(1, backlog=10) as (master, _):
        master.pause("default")
        fussy = master.options(when_full="raise")
        futures = [fussy.submit(double, x) for x in range(10)]
        with pytest.raises(BacklogFull, match="'default' is full"):
            fussy.submit(double, 10)
        master.resume("default")
        assert [future.result(20) for future in futures] == [2 * x for x in range(10)]
        assert fussy.submit(double, 11).result(20) == 22


def test_a_full_backlog_makes_submit_wait():
    n, backlog = 20_000, 1000
    with cluster(1, backlog=backlog) as (master, _):
        master.pause("default")
        futures = []

        def patient():
            futures.extend(master.submit(double, x) for x in range(n))

        thread = threading.Thread(target=patient)
        thread.start()
        try:
            eventually(lambda: master.stats()["queues"]["default"]["ready"] > backlog // 2, what="a full backlog")
            thread.join(1.0)
            assert thread.is_alive()
            assert backlog // 2 < master.stats()["queues"]["default"]["ready"] <= backlog
        finally:
            master.resume("default")
            thread.join(60)
        assert [future.result(20) for future in futures] == [2 * x for x in range(n)]


def test_more_calls_than_the_backlog_holds_wait_their_turn():
    with cluster(1, backlog=10) as (master, _):
        assert [future.result(20) for future in [master.submit(double, x) for x in range(100)]] == [
            2 * x for x in range(100)
        ]


def test_a_map_over_more_items_than_the_backlog_holds():
    with cluster(1, backlog=10) as (master, _):
        assert list(master.map(double, range(200))) == [2 * x for x in range(200)]


def test_flush_waits_until_the_master_has_everything(client):
    with client_queue_paused(client, "flushed"):
        futures = [client.options(queue="flushed").submit(double, x) for x in range(500)]
        client.flush(20)
        assert client.stats()["queues"]["flushed"]["ready"] == 500
    assert [future.result(20) for future in futures] == [2 * x for x in range(500)]


def test_the_end_of_a_block_whose_tasks_do_not_fit_into_the_backlog_and_nobody_does_them(capsys):
    with pytest.warns(UserWarning, match="tasks were cancelled at the end of the master"), Master(backlog=10) as master:
        futures = []

        def submit():
            with pytest.raises(RuntimeError):
                while True:
                    futures.append(master.submit(double, 1))

        thread = threading.Thread(target=submit)
        thread.start()
        eventually(lambda: "no worker serves it" in capsys.readouterr().err, what="the hint")
    thread.join(20)
    assert not thread.is_alive()
    assert all(future.cancelled() for future in futures)


def test_who_asks_for_the_first_time_when_the_client_was_closed_is_refused_and_leaves_no_thread(shared):
    client = connect(shared[0].connection_file)
    client.shutdown()
    before = set(threading.enumerate())

    with pytest.raises(MasterGone):
        client.events(timeout=5.0)

    eventually(lambda: set(threading.enumerate()) <= before)


def test_a_closed_client_has_nothing_to_flush(shared):
    client = connect(shared[0].connection_file)
    client.submit(double, 1)
    client.shutdown(wait=False)
    client.flush()


def test_the_end_of_a_view_is_not_the_end_of_its_master():
    with Master() as master, master.options(queue="images") as view:
        assert view.map(double, []) is not None
    assert not psutil.pid_exists(master.pid)


def refuse_threads(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


def test_where_no_thread_can_be_had_a_task_is_refused_and_the_end_does_not_wait_for_it(shared, monkeypatch):
    with connect(shared[0].connection_file) as client:
        with monkeypatch.context() as patch:
            refuse_threads(patch)
            for submit in (client.submit, client.map):
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    submit(double, [1])
        client.flush(timeout=5)
        ended = threading.Thread(target=client.shutdown, daemon=True)
        ended.start()
        ended.join(20)
        assert client.closed


def test_when_there_are_threads_again_what_is_submitted_runs(shared, monkeypatch):
    with connect(shared[0].connection_file) as client:
        with monkeypatch.context() as patch:
            refuse_threads(patch)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                client.submit(double, 1)
        assert client.submit(double, 21).result(30) == 42


def test_a_task_that_was_looked_for_while_no_thread_could_be_had_is_found_later(shared, monkeypatch, tmp_path):
    with connect(shared[0].connection_file) as client, connect(shared[0].connection_file) as other:
        task = client.submit(wait_for, str(tmp_path / "gate"))
        client.flush()
        other.stats()  # its channel is there
        with monkeypatch.context() as patch:
            refuse_threads(patch)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                other.future(task.task_id)
        found = other.future(task.task_id)
        (tmp_path / "gate").touch()
        assert found.result(30) == "it is there"


# -- waits that say something, or end --------------------------------------------------------------


def test_a_wait_without_workers_says_so_once(capsys):
    with Master() as master:
        future = master.submit(double, 1)
        with pytest.raises(TimeoutError):
            future.result(timeout=2.7)
        with pytest.raises(TimeoutError):
            future.result(timeout=2.7)
        with pytest.raises(TimeoutError):
            next(iter(master.map(double, [1], timeout=2.7)))
        hints = [line for line in capsys.readouterr().err.splitlines() if "no worker" in line]
        assert len(hints) == 1
        assert "LocalWorkers" in hints[0]
        with LocalWorkers(master, 1):
            assert future.result(20) == 2


def test_a_wait_of_as_completed_without_workers_says_so(capsys):
    with pytest.warns(UserWarning, match="1 task was cancelled"), Master() as master:
        with pytest.raises(TimeoutError):
            list(as_completed([master.submit(double, 1)], timeout=2.7))
        assert "no worker" in capsys.readouterr().err


def test_with_workers_nobody_is_told_anything(client, capsys):
    assert client.submit(time.sleep, 2.5).result(20) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "wait",
    [
        lambda master: master.submit(time.sleep, 60).result(),
        lambda master: list(master.map(time.sleep, [60])),
        lambda master: master.tasks.get(),
        lambda master: master.result(master.submit(time.sleep, 60).task_id),
        lambda master: master.events(since=10**6, timeout=9.0),
        lambda master: list(as_completed([master.submit(time.sleep, 60)]))[0].result(),
    ],
    ids=["result", "map", "tasks.get", "result by id", "events", "as_completed"],
)
def test_when_the_master_is_killed_every_wait_ends(wait):
    with Master() as master:
        LocalWorkers(master, 1).wait(timeout=30)
        ended: list[BaseException] = []

        def waiter():
            try:
                wait(master)
            except BaseException as exc:
                ended.append(exc)

        thread = threading.Thread(target=waiter, daemon=True)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        os.kill(master.pid, signal.SIGKILL)
        killed = time.monotonic()
        thread.join(30)
        assert not thread.is_alive()
        assert time.monotonic() - killed < 3
        assert isinstance(ended[0], MasterGone)
        for call in (master.stats, lambda: master.submit(double, 1).result(20), lambda: list(master.map(double, [1]))):
            began = time.monotonic()
            with pytest.raises(MasterGone):
                call()
            assert time.monotonic() - began < 3


def test_a_client_that_does_not_own_the_killed_master_gives_up_in_time():
    with Master() as master, connect(master.connection_file) as client:
        future = client.submit(double, 1)
        client.flush(10)
        os.kill(master.pid, signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(MasterGone):
            future.result(30)
        assert time.monotonic() - began < 15
        began = time.monotonic()
        for call in (client.stats, client.tasks.get, client.flush, lambda: client.map(double, [1])):
            with pytest.raises(MasterGone):
                call()
        assert time.monotonic() - began < 3


def test_the_master_has_another_key_now_or_is_another(tmp_path):
    file = tmp_path / "master.json"
    with Master(connection_file=file) as first:
        client = connect(file)
        port = first.connection.port
        os.kill(first.pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(first.pid) or not first._process.alive, what="the master's end")
        with Master(port=port, authkey=first.connection.authkey, connection_file=file):
            with pytest.raises(MasterGone):
                client.submit(double, 1).result(20)
        client.shutdown(wait=False)


# -- what travels ----------------------------------------------------------------------------------


def test_huge_results_and_many_large_ones(client):
    big = client.submit(bytes, 50 << 20).result(60)
    assert len(big) == 50 << 20
    sizes = [len(part) for part in client.map(lambda x: os.urandom(100 << 10), range(200))]
    assert sizes == [100 << 10] * 200


def test_huge_arguments(client):
    assert client.submit(len, bytes(50 << 20)).result(60) == 50 << 20
    assert list(client.map(len, [bytes(100 << 10)] * 200)) == [100 << 10] * 200


def test_results_that_outpace_the_client_wait_within_a_bound(client):
    """200 MB of results, none taken: the master holds a part of them back, and all arrive in the end."""
    results = client.map(lambda x: bytes(1 << 20), range(200))
    assert len(next(results)) == 1 << 20
    assert sum(len(part) for part in results) == 199 << 20


# -- the plain pair of the client ------------------------------------------------------------------


def test_the_plain_queues_are_queues(client):
    assert client.tasks.empty()
    client.tasks.put("one")
    client.tasks.put_many(["two", "three"])
    assert client.tasks.qsize() == 3
    assert [client.tasks.get(timeout=5) for _ in range(3)] == ["one", "two", "three"]
    for _ in range(3):
        client.tasks.task_done()
    client.tasks.join()
    with pytest.raises(Exception, match="^$"):
        client.tasks.get(timeout=0.1)
    client.results.put({"a": [1, 2.5, None]})
    assert client.results.get(timeout=5) == {"a": [1, 2.5, None]}


def test_a_value_that_is_not_plain_is_refused_with_its_type(client):
    class Special:
        pass

    with pytest.raises(BadInput, match="Special"):
        client.tasks.put(Special())
    assert client.tasks.empty()


def test_failures_keep_the_story(client):
    with pytest.raises(TaskFailed):
        client.submit(os._exit, 3).result(30)
    failure = client.failures(1)[0]
    assert set(failure) == {"task", "queue", "attempts", "reason", "traceback", "history"}
    assert failure["history"][0].keys() == {"worker", "reason"}


def test_a_forked_copy_is_told_and_harms_nobody(tmp_path):
    path = script(
        tmp_path,
        """
        import os
        import sys
        import time

        from dqlab import LocalWorkers, Master, MasterGone

        if __name__ == "__main__":
            with Master() as master:
                LocalWorkers(master, 1).wait()
                assert master.submit(abs, -1).result(20) == 1
                copy = os.fork()
                if copy == 0:
                    for use in (lambda: master.submit(abs, -2), lambda: master.map(abs, [-3]), master.stats):
                        try:
                            use()
                        except MasterGone as error:
                            assert "forked" in str(error)
                        else:
                            os._exit(1)
                    began = time.monotonic()
                    master.shutdown()  # there is nothing that it could wait for
                    sys.exit(time.monotonic() - began > 5)
                assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
                print(master.submit(abs, -4).result(20), sum(master.map(abs, range(100))))
        """,
    )
    done = run(path)
    assert (done.stdout, done.returncode) == ("4 4950\n", 0), done.stderr
