"""Further queues and events of a master, by name, as scripts use them."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from dqlab.master.process import MasterSettings, RunningMaster
from tests.helpers import eventually
from tests.plain import KEY, Hand, get, hand


@pytest.fixture
def master(tmp_path: Path) -> Iterator[RunningMaster]:
    settings = MasterSettings(
        authkey=KEY, connection_file=tmp_path / "master.json", plain_queues=["found", "log"], plain_events=["stop"],
        task_name="todo", backlog=2,
    )  # fmt: skip
    running = RunningMaster(settings)
    yield running
    running.close()


@pytest.fixture
def script(master: RunningMaster) -> Iterator[Hand]:
    with hand(master.connection.address) as script:
        yield script


def create(master: RunningMaster, name: str, *args: object) -> tuple[str, object]:
    with hand(master.connection.address, accept=False) as manager:
        return manager.ask(None, "create", name, *args)


def test_each_name_is_an_object_with_the_standard_methods(master: RunningMaster) -> None:
    assert get(create(master, "todo"))[0] == "tasks" and get(create(master, "get_result_queue"))[0] == "results"
    ident, methods = get(create(master, "found"))
    assert ident == "queue found" and {"put", "get", "qsize", "join", "task_done"} <= set(methods)
    assert get(create(master, "stop")) == ("event stop", ["set", "clear", "is_set", "wait"])


@pytest.mark.parametrize("call", [("get_task_queue",), ("get_lock",), ("found", "argument"), ("broker",)])
def test_what_is_not_offered_is_refused_in_words(master: RunningMaster, call: tuple[str, ...]) -> None:
    kind, reason = create(master, *call)
    assert kind == "#TRACEBACK" and "serves todo, get_result_queue, found, log, stop, without arguments" in reason
    assert "--plain-queue" in reason


def test_values_come_in_their_order_and_each_once(script: Hand) -> None:
    for value in ("a", None):
        get(script.ask("queue found", "put", value))
    assert get(script.ask("queue log", "empty")) is True and get(script.ask("queue found", "qsize")) == 2
    assert script.ask("queue found", "put", "c", False)[0] == "#ERROR" and get(script.ask("queue found", "full"))
    assert [get(script.ask("queue found", "get")) for _ in range(2)] == ["a", None]
    kind, error = script.ask("queue found", "get", True, 0.05)
    assert kind == "#ERROR" and isinstance(error, queue.Empty)


def test_a_get_waits_for_a_put_and_a_put_for_room(master: RunningMaster, script: Hand) -> None:
    with hand(master.connection.address) as other:
        other.conn.send(("queue found", "get", (), {}))
        eventually(lambda: master.waiting._waiting)
        get(script.ask("queue found", "put", 1))
        assert get(other.answer()) == 1
        for value in (2, 3):
            get(script.ask("queue found", "put", value))
        other.conn.send(("queue found", "put", (4,), {}))
        eventually(lambda: master.waiting._waiting)
        assert get(script.ask("queue found", "get")) == 2
        assert get(other.answer()) is None and get(script.ask("queue found", "qsize")) == 2


def test_whoever_hangs_up_while_it_waits_takes_nothing(master: RunningMaster, script: Hand) -> None:
    with hand(master.connection.address) as other:
        other.conn.send(("queue found", "get", (), {}))
        eventually(lambda: master.waiting._waiting)
    eventually(lambda: not master.waiting._waiting)
    get(script.ask("queue found", "put", 1))
    assert get(script.ask("queue found", "get", True, 5)) == 1


def test_a_join_waits_until_all_are_done(master: RunningMaster, script: Hand) -> None:
    get(script.ask("queue log", "put", 1))
    with hand(master.connection.address) as other:
        other.conn.send(("queue log", "join", (), {}))
        eventually(lambda: master.waiting._waiting)
        assert get(script.ask("queue log", "get")) == 1 and not other.conn.poll(0)
        get(script.ask("queue log", "task_done"))
        assert get(other.answer()) is None
    kind, error = script.ask("queue log", "task_done")
    assert kind == "#ERROR" and type(error) is ValueError and "too many times" in str(error)


def test_an_event_is_set_waited_for_and_cleared(master: RunningMaster, script: Hand) -> None:
    assert get(script.ask("event stop", "is_set")) is False and get(script.ask("event stop", "wait", 0.02)) is False
    with hand(master.connection.address) as other:
        other.conn.send(("event stop", "wait", (), {}))
        eventually(lambda: master.waiting._waiting)
        get(script.ask("event stop", "set"))
        assert get(other.answer()) is True
    assert get(script.ask("event stop", "wait")) is True
    get(script.ask("event stop", "clear"))
    assert get(script.ask("event stop", "is_set")) is False
    assert script.ask("event stop", "release")[0] == script.ask("event other", "set")[0] == "#TRACEBACK"
