"""The plain pair at a master of dqlab, request by request, as the proxies of plain scripts make them."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dqlab import BadInput, LocalWorkers, Master
from tests.helpers import eventually
from tests.plain import KEY, Hand, Lab, get, hand

STANDARD = {"put", "get", "put_nowait", "get_nowait", "qsize", "empty", "full", "join", "task_done"}


@pytest.fixture
def master() -> Iterator[Master]:
    with Master(authkey=KEY, max_attempts=2) as master:
        yield master


@pytest.fixture
def address(master: Master) -> tuple[str, int]:
    return address_of(master)


@pytest.fixture
def peer(address: tuple[str, int]) -> Iterator[Hand]:
    with hand(address) as peer:
        yield peer


def plain(master: Master) -> tuple[int, int, int]:
    """Plain tasks that are ready, leased and done."""
    counts = master.stats()["queues"]["plain"]
    return counts["ready"], counts["leased"], counts["done"]


# -- how a proxy is made -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ident"), [("get_task_queue", "tasks"), ("get_result_queue", "results")])
def test_create_answers_with_the_object_that_exists(address: tuple[str, int], name: str, ident: str) -> None:
    with hand(address, accept=False) as manager:
        found, exposed = get(manager.ask(None, "create", name))
    assert found == ident and STANDARD <= set(exposed)
    for method in ("incref", "decref"):
        with hand(address, accept=False) as manager:
            assert get(manager.ask(None, method, ident)) is None


def test_dummy_is_answered(address: tuple[str, int]) -> None:
    with hand(address, accept=False) as manager:
        assert get(manager.ask(None, "dummy")) is None


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("create", ("get_broker",)), ("create", ("list", (1, 2))), ("create", ("get_task_queue", 5)), ("create", ()),
        ("create", (["get_task_queue"],)), ("incref", ("broker",)), ("decref", ("anything",)), ("incref", ()),
        ("shutdown", ()), ("debug_info", ()), ("number_of_objects", ()), ("get_methods", ("tasks",)),
        ("#GETVALUE", ()), ("__init__", ()), ("serve_forever", ()), ("stop_event", ()), ("handle_request", ()),
        (None, ()),
    ],
)  # fmt: skip
def test_every_other_call_on_the_manager_is_refused(
    address: tuple[str, int], method: Any, args: tuple[Any, ...]
) -> None:
    with hand(address, accept=False) as manager:
        kind, reason = manager.ask(None, method, *args)
    assert kind == "#TRACEBACK" and reason.startswith("Refused: ") and "Traceback" not in reason
    with hand(address, accept=False) as manager:
        assert manager.ask("tasks", "create", "get_task_queue", size=3)[0] == "#TRACEBACK"


@pytest.mark.parametrize("ident", ["tasks", "results"])
@pytest.mark.parametrize(
    "method", ["#GETVALUE", "__init__", "__getattribute__", "_take", "_peer", "mutex", "queue", "__class__", None, 5]
)
def test_only_the_queues_public_methods_are_answered(peer: Hand, ident: str, method: Any) -> None:
    kind, reason = peer.ask(ident, method)
    assert kind == "#TRACEBACK" and reason.startswith("Refused: ")
    assert get(peer.ask(ident, "qsize")) == 0  # the connection goes on


def test_the_standard_queues_methods(peer: Hand) -> None:
    for ident in ("tasks", "results"):
        assert get(peer.ask(ident, "empty")) is True and get(peer.ask(ident, "full")) is False
        assert get(peer.ask(ident, "put", 1)) is None
        assert get(peer.ask(ident, "put", 2, True, 5)) is None
        assert get(peer.ask(ident, "put", item=3, block=False)) is None
        assert get(peer.ask(ident, "put_nowait", 4)) is None
        assert get(peer.ask(ident, "qsize")) == 4
        assert "4" in get(peer.ask(ident, "__str__")) and "4" in get(peer.ask(ident, "__repr__"))
        assert get(peer.ask(ident, "get")) == 1
        assert get(peer.ask(ident, "get", True, 5)) == 2
        assert get(peer.ask(ident, "get", timeout=5)) == 3
        assert get(peer.ask(ident, "get_nowait")) == 4
        for call in (("get", False), ("get", True, 0.01), ("get_nowait",)):
            kind, error = peer.ask(ident, *call)
            assert kind == "#ERROR" and isinstance(error, queue.Empty)


# -- room --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small() -> Iterator[Master]:
    with Master(authkey=KEY, backlog=3) as master:
        yield master


def address_of(master: Master) -> tuple[str, int]:
    host, port = master.address.split(":")
    return host, int(port)


def test_a_full_task_queue_makes_put_wait_or_raise(small: Master) -> None:
    with hand(address_of(small)) as peer, hand(address_of(small)) as other:
        for url in range(3):
            assert get(peer.ask("tasks", "full")) is False
            get(peer.ask("tasks", "put", url))
        assert get(peer.ask("tasks", "full")) is True
        for call in (("put", 3, False), ("put", 3, True, 0.01), ("put_nowait", 3)):
            kind, error = peer.ask("tasks", *call)
            assert kind == "#ERROR" and isinstance(error, queue.Full)
        kind, error = peer.ask("tasks", "put", 3, True, -1)
        assert kind == "#ERROR" and type(error) is ValueError
        for put in (small.tasks.put_nowait, lambda url: small.tasks.put(url, timeout=0.01)):
            with pytest.raises(queue.Full):
                put(3)
        waiting = [threading.Thread(target=small.tasks.put, args=(3,)), threading.Thread(target=ask, args=(other, 4))]
        for thread in waiting:
            thread.start()
        found = {get(peer.ask("tasks", "get", True, 20)) for _ in range(5)}
        for thread in waiting:
            thread.join(20)
        assert found == {0, 1, 2, 3, 4}


def ask(peer: Hand, url: int) -> None:
    get(peer.ask("tasks", "put", url))


def test_more_values_than_the_backlog_holds_are_refused(small: Master) -> None:
    with pytest.raises(BadInput, match="4 tasks at once"):
        small.tasks.put_many(range(4))


def test_results_that_nobody_reads_hold_the_tasks_back(small: Master) -> None:
    with hand(address_of(small)) as peer, hand(address_of(small)) as other:
        small.tasks.put_many(["a", "b", "c"])
        for url in ("a", "b"):
            assert get(peer.ask("tasks", "get")) == url
            get(peer.ask("results", "put", url))
        assert get(other.ask("tasks", "get")) == "c"
        get(peer.ask("results", "put", "of no task"))
        kind, error = peer.ask("results", "put", "of no task", False)
        assert kind == "#ERROR" and isinstance(error, queue.Full)
        get(other.ask("results", "put", "c"))  # what settles a lease is always taken
        assert get(peer.ask("results", "full")) is True
        small.tasks.put("d")
        assert peer.ask("tasks", "get", False)[0] == "#ERROR"
        assert [small.results.get(timeout=5) for _ in range(2)] == ["a", "b"]
        assert get(peer.ask("tasks", "get", True, 20)) == "d"


# -- leases ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settle", [("results", "put", "x"), ("results", "put_nowait", "x"), ("tasks", "task_done")])
def test_an_answer_settles_the_oldest_value_in_hand(peer: Hand, master: Master, settle: tuple[Any, ...]) -> None:
    master.tasks.put_many(["a", "b"])
    assert [get(peer.ask("tasks", "get")) for _ in "ab"] == ["a", "b"]
    assert plain(master) == (0, 2, 0)
    get(peer.ask(*settle))
    assert plain(master) == (0, 1, 1)
    peer.close()
    eventually(lambda: plain(master) == (1, 0, 1))
    assert master.tasks.get(timeout=5) == "b"


@pytest.mark.parametrize("ident", ["tasks", "results"])
@pytest.mark.parametrize("look", [("qsize",), ("full",), ("empty",), ("get", False), ("__str__",), ("__repr__",)])
def test_a_look_does_not_settle_it(peer: Hand, master: Master, ident: str, look: tuple[Any, ...]) -> None:
    master.tasks.put("url")
    get(peer.ask("tasks", "get"))
    peer.ask(ident, *look)
    assert plain(master) == (0, 1, 0)


def test_who_says_task_done_settles_by_nothing_else(peer: Hand, master: Master) -> None:
    master.tasks.put_many(["a", "b"])
    get(peer.ask("tasks", "get"))
    get(peer.ask("tasks", "task_done"))
    get(peer.ask("tasks", "get"))
    get(peer.ask("results", "put", "B"))
    assert plain(master) == (0, 1, 1)
    peer.close()
    eventually(lambda: plain(master) == (1, 0, 1))


def test_what_is_held_and_owed_is_shown_by_address(address: tuple[str, int], peer: Hand, master: Master) -> None:
    """Given one value in a living hand and one whose connection ended in order, then both are open, and none ready."""
    master.tasks.put_many(["a", "b"])
    get(peer.ask("tasks", "get"))
    with hand(address) as other:
        get(other.ask("tasks", "get"))
        drop_proxy(address)
    shown = eventually(lambda: (plain := master.stats()["plain"])["owed"] and plain)
    assert (shown["held"], shown["owed"]) == ({"127.0.0.1": 1}, {"127.0.0.1": 1})
    assert plain(master) == (0, 2, 0) and get(peer.ask("tasks", "idle", 0.0)) is False


def drop_proxy(address: tuple[str, int], ident: str = "tasks") -> None:
    """What the end of a plain proxy tells the master."""
    with hand(address, accept=False) as manager:
        get(manager.ask(None, "decref", ident))


def test_a_script_that_keeps_no_proxy_answers_on_another_connection(address: tuple[str, int], master: Master) -> None:
    """`m.get_task_queue().get()`, then `m.get_result_queue().put(...)`: each call has a connection of its own."""
    master.tasks.put_many("abc")
    for url in "abc":
        with hand(address) as taking:
            assert get(taking.ask("tasks", "get")) == url
            drop_proxy(address)
        with hand(address) as answering:
            get(answering.ask("results", "put", url.upper()))
            drop_proxy(address, "results")
    eventually(lambda: plain(master) == (0, 0, 3))
    assert [master.results.get(timeout=5) for _ in "abc"] == ["A", "B", "C"]
    eventually(lambda: master.stats()["unmatched"] == 0)


def test_an_answer_that_is_refused_fails_its_task_and_says_why(peer: Hand, master: Master) -> None:
    master.tasks.put("url")
    get(peer.ask("tasks", "get"))
    assert peer.ask("results", "put", object)[0] == "#TRACEBACK"
    assert plain(master) == (0, 0, 0) and master.results.empty()
    (failure,) = master.failures()
    assert "its result was refused" in failure["reason"] and "object" in failure["reason"]
    assert master.stats()["plain"]["refused"] == 1


def test_the_end_of_the_connection_gives_the_task_back_as_often_as_it_takes(
    address: tuple[str, int], master: Master
) -> None:
    master.tasks.put("url")
    for _ in range(6):  # three times what max_attempts allows a worker of dqlab
        with hand(address) as peer:
            assert get(peer.ask("tasks", "get", True, 10)) == "url"
        eventually(lambda: plain(master) == (1, 0, 0), 5)
    assert master.stats()["queues"]["plain"]["redelivered"] == 6
    assert master.failures() == []
    reasons = {event["reason"] for event in master.events() if event["kind"] == "redelivered"}
    assert reasons == {"its connection ended"}


def test_lost_connections_use_up_no_attempt_of_a_worker_with_a_handler(
    address: tuple[str, int], master: Master, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = Lab(tmp_path, 0).handler("def handle(x): raise KeyError(x)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    master.tasks.put("url")
    for _ in range(3):
        with hand(address) as peer:
            get(peer.ask("tasks", "get", True, 10))
        eventually(lambda: plain(master) == (1, 0, 0), 5)
    with LocalWorkers(master, 1, handler=handler).wait(30):
        (failure,) = eventually(master.failures, 20)
    assert failure["attempts"] == 2


def test_a_lost_task_comes_before_those_that_never_went_out(address: tuple[str, int], master: Master) -> None:
    master.tasks.put_many(["a", "b"])
    with hand(address) as peer:
        get(peer.ask("tasks", "get"))
    eventually(lambda: plain(master) == (2, 0, 0))
    assert master.tasks.get(timeout=5) == "a"


def test_a_plain_lease_has_no_deadline() -> None:
    with Master(authkey=KEY, lease=0.1) as master:
        host, port = master.address.split(":")
        with hand((host, int(port))) as peer:
            master.tasks.put("url")
            get(peer.ask("tasks", "get"))
            # Ten leases' time, measured by the master's own answers.
            waited = [master.events(since=master.events()[-1]["seq"], timeout=0.1) for _ in range(10)]
            assert waited == [[]] * 10
            assert plain(master) == (0, 1, 0)
            get(peer.ask("results", "put", "done"))
        assert master.results.get(timeout=5) == "done"


def test_results_that_match_no_lease_are_accepted_and_counted(peer: Hand, master: Master) -> None:
    for value in ("a", "b"):
        get(peer.ask("results", "put", value))
    assert [master.results.get(timeout=5) for _ in "ab"] == ["a", "b"]
    assert master.stats()["unmatched"] == 2


def test_only_the_connection_that_holds_the_lease_settles_it(address: tuple[str, int], master: Master) -> None:
    master.tasks.put("url")
    with hand(address) as holder, hand(address) as other:
        get(holder.ask("tasks", "get"))
        get(other.ask("results", "put", "x"))
        get(other.ask("tasks", "task_done"))
        assert plain(master) == (0, 1, 0) and master.stats()["unmatched"] == 1


def test_a_client_that_hangs_up_while_it_waits_in_get_loses_nothing(address: tuple[str, int], master: Master) -> None:
    for _ in range(5):
        waiting = Hand(address)
        waiting.conn.send(("tasks", "get", (), {}))
        waiting.close()
    master.tasks.put_many(range(5))
    assert sorted(master.tasks.get(timeout=5) for _ in range(5)) == list(range(5))


def test_whoever_waits_in_get_is_woken_by_a_put(address: tuple[str, int], peer: Hand) -> None:
    with hand(address) as waiting:
        waiting.conn.send(("tasks", "get", (True, 20), {}))
        get(peer.ask("tasks", "put", "now"))
        assert get(waiting.answer()) == "now"


# -- empty, join -------------------------------------------------------------------------------------------------------


def test_empty_counts_what_is_ready_not_what_is_leased(address: tuple[str, int], peer: Hand, master: Master) -> None:
    master.tasks.put_many("ab")
    with hand(address) as other:
        get(other.ask("tasks", "get"))
        assert get(peer.ask("tasks", "empty")) is False and get(peer.ask("tasks", "qsize")) == 1
        get(other.ask("tasks", "get"))
        assert get(peer.ask("tasks", "empty")) is True and plain(master) == (0, 2, 0)


def test_join_waits_until_every_task_has_ended(address: tuple[str, int], peer: Hand, master: Master) -> None:
    master.tasks.put_many("ab")
    with hand(address) as joining:
        joining.conn.send(("tasks", "join", (), {}))
        for _ in "ab":
            get(peer.ask("tasks", "get"))
        get(peer.ask("tasks", "task_done"))
        assert not joining.conn.poll(0.05)
        get(peer.ask("tasks", "task_done"))
        assert get(joining.answer()) is None
    kind, error = peer.ask("tasks", "task_done")
    assert kind == "#ERROR" and type(error) is ValueError
    with pytest.raises(ValueError, match="too many times"):
        master.tasks.task_done()


def test_who_took_a_value_on_another_connection_may_say_that_it_is_done(
    address: tuple[str, int], peer: Hand, master: Master
) -> None:
    master.tasks.put_many("ab")
    with hand(address) as other:
        for _ in "ab":
            get(peer.ask("tasks", "get"))
            get(peer.ask("results", "put", 1))
            get(other.ask("tasks", "task_done"))


def test_join_of_the_results_waits_until_they_are_taken(address: tuple[str, int], peer: Hand, master: Master) -> None:
    assert get(peer.ask("results", "join")) is None
    get(peer.ask("results", "put", 1))
    with hand(address) as joining:
        joining.conn.send(("results", "join", (), {}))
        assert not joining.conn.poll(0.05)
        assert get(peer.ask("results", "get")) == 1
        assert get(joining.answer()) is None
    master.results.put(2)
    assert master.results.get() == 2
    master.results.join()


def test_many_plain_clients_at_once_get_each_task_once(address: tuple[str, int], master: Master) -> None:
    count, workers = 2000, 8
    seen: queue.SimpleQueue[int] = queue.SimpleQueue()

    def work() -> None:
        with hand(address) as peer:
            while True:
                kind, value = peer.ask("tasks", "get", True, 0.5)
                if kind != "#RETURN":
                    return
                seen.put(value)
                get(peer.ask("results", "put", value))

    threads = [threading.Thread(target=work) for _ in range(workers)]
    master.tasks.put_many(range(count))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seen.get_nowait() for _ in range(count)) == list(range(count)) and seen.empty()
    assert plain(master) == (0, 0, count)
    assert master.stats()["unmatched"] == 0 and master.results.qsize() == count


# -- what submit and workers of dqlab have to do with it ---------------------------------------------------------------


def test_submit_never_enters_the_plain_queue(master: Master) -> None:
    with pytest.raises(ValueError, match="plain"):
        master.options(queue="plain").submit(len, ()).result(10)
    future = master.submit(len, ())
    master.flush(10)
    assert "plain" not in master.stats()["queues"]
    with pytest.raises(queue.Empty):
        master.tasks.get(timeout=0.05)
    assert future.cancel()


def test_workers_without_a_handler_are_given_no_plain_task(master: Master) -> None:
    with LocalWorkers(master, 1).wait(30):
        master.tasks.put("url")
        assert master.submit(len, "abc").result(20) == 3
        assert plain(master) == (1, 0, 0)


def test_a_handler_that_raises_is_retried_then_failed_and_nothing_is_put_for_it(
    master: Master, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = Lab(tmp_path, 0).handler("def handle(x):\n    if x == 'bad': raise KeyError(x)\n    return x.upper()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with LocalWorkers(master, 1, handler=handler).wait(30):
        master.tasks.put_many(["bad", "good"])
        master.tasks.join()
        assert master.results.get(timeout=20) == "GOOD" and master.results.empty()
        (failure,) = master.failures()
        assert failure["queue"] == "plain" and failure["attempts"] == 2 and failure["reason"] == "KeyError: 'bad'"
        assert [entry["worker"] for entry in failure["history"]] == ["w1", "w1"]
        assert "in handle" in failure["traceback"]
        assert master.requeue("plain") == 1
        eventually(lambda: master.stats()["queues"]["plain"]["failed"] == 1, 20)


@pytest.mark.parametrize("value", [object(), len, ValueError("x"), slice(3), type("Thing", (), {})(), complex, str])
def test_a_value_that_is_not_plain_fails_the_clients_put(master: Master, value: Any) -> None:
    for target in (master.tasks, master.results):
        with pytest.raises(ValueError, match="not a plain value"):
            target.put(value)
        with pytest.raises(ValueError, match="not a plain value"):
            target.put_many([1, [value], 2])
        assert target.empty()
