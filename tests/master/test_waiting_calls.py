"""The lock around the broker: who waits for what, and that whoever brings it about answers."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dqlab.broker.broker import Broker
from dqlab.broker.tasks import Run
from dqlab.master.waiting_calls import ANY, LATER, Hub, Wait
from dqlab.wire.messages import PLAIN
from tests.helpers import eventually


class Waiter:
    """Somebody who waits: ``result`` is the answer, or what it raised; ``thread`` is who gave it."""

    def __init__(self, hub: Hub, topics: Any, attempt: Any, timeout: float | None = 30.0, **more: Any):
        self.told = threading.Event()
        self.result: Any = None
        self.thread: Any = None
        self.wait = Wait(tuple(topics), attempt, timeout, **more)
        result = hub.wait(self.wait, self.tell)
        if result is not LATER:
            self.tell(lambda: result)

    def tell(self, answer: Any) -> None:
        assert not self.told.is_set(), "told twice"
        self.thread = threading.current_thread()
        try:
            self.result = answer()
        except Exception as error:
            self.result = error
        self.told.set()

    def outcome(self) -> Any:
        assert self.told.wait(10), "it still waits"
        return self.result


@contextlib.contextmanager
def a_hub(**settings: Any) -> Iterator[Hub]:
    commands: list[Any] = []
    hub = Hub(Broker(now=time.time(), **settings), lambda *command: commands.append(command))
    hub.commands = commands
    try:
        yield hub
    finally:
        hub.close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with a_hub() as hub:
        yield hub


def take_plain(hub: Hub, holder: str, **more: Any) -> Waiter:
    return Waiter(hub, [("ready", PLAIN)], lambda now: hub.broker.plain_get(holder, now), **more)


def a_client(hub: Hub) -> int:
    hub.broker.functions["f"] = b"f"
    return hub.do(hub.broker.open_client).number


def test_what_is_there_is_told_at_once(hub):
    waiter = Waiter(hub, [], lambda now: "here", None)
    assert waiter.result == "here" and waiter.thread is threading.current_thread()
    assert not waiter.wait.pending


def test_nothing_within_the_timeout_is_what_the_attempt_said(hub):
    assert Waiter(hub, [("ready", "x")], lambda now: [], 0.0).result == []
    late = Waiter(hub, [("ready", "x")], lambda now: [], 0.05)
    assert late.wait.pending and not late.told.is_set()
    assert late.outcome() == [] and not late.wait.pending
    assert hub._waiting == {}


def test_whoever_changes_something_answers_who_waits_for_it(hub):
    waiter = take_plain(hub, "a")
    assert not waiter.told.is_set()
    hub.do_now(hub.broker.plain_put, ["x"])
    assert waiter.result == ["x"] and waiter.thread is threading.current_thread()
    assert hub._waiting == {}


def test_an_answer_is_given_out_when_the_lock_is_free(hub):
    """Given an answer that calls the broker again, as a refusal does, then nobody is stuck."""
    waiter = Waiter(
        hub, [("ready", PLAIN)], lambda now: hub.broker.plain_get("a", now), shape=lambda _: hub.do(lambda: "free")
    )
    hub.do_now(hub.broker.plain_put, ["x"])
    assert waiter.outcome() == "free"


def test_who_waits_longest_is_served_first_and_no_more_than_there_are_tasks(hub):
    waiters = [take_plain(hub, name) for name in "abcd"]
    hub.do_now(hub.broker.plain_put, ["x", "y"])
    assert [waiter.result for waiter in waiters] == [["x"], ["y"], None, None]
    hub.do_now(hub.broker.plain_put, ["z", "z"])
    assert [waiter.result for waiter in waiters] == [["x"], ["y"], ["z"], ["z"]]


def test_who_may_not_take_a_task_does_not_stand_in_the_way(hub):
    """Given one that waits for two queues and takes of the first only, when the second gets a task, then it goes on."""
    served: list[str] = []

    def take(queue: str) -> Any:
        return lambda now: [queue] if hub.broker.counts.get(queue, {}).get("ready") and not served.append(queue) else []

    client = a_client(hub)
    both = Waiter(hub, [("ready", "one"), ("ready", "two")], take("one"))
    second = Waiter(hub, [("ready", "two")], take("two"))
    hub.do_now(lambda now: hub.broker.submit(client, Run(1, 1, "two", "map", "f", b""), now))
    assert second.result == ["two"] and both.wait.pending
    hub.do_now(lambda now: hub.broker.submit(client, Run(2, 1, "one", "map", "f", b""), now))
    assert both.result == ["one"]


def test_a_worker_of_every_queue_hears_of_one_that_is_new(hub):
    """Given a queue that was made, and paused, while a worker waited, when a task comes, then the worker has it."""
    client, worker = a_client(hub), hub.do_now(hub.broker.join, "host", 1, None, False)
    waiter = Waiter(hub, [("ready", ANY)], lambda now: hub.broker.lease(worker.name, now))
    for paused in (True, False):
        hub.do_now(hub.broker.pause, "new", paused)
    assert waiter.wait.pending
    hub.do_now(lambda now: hub.broker.submit(client, Run(1, 1, "new", "map", "f", b""), now))
    assert [grant.first for grant in waiter.result] == [1]


def test_what_an_answer_changes_answers_others(hub):
    """Given a full queue, one who waits to put and one who gets: what the getter takes makes room."""
    with a_hub(backlog=1) as hub:
        hub.do_now(hub.broker.plain_put, ["first"])
        putter = Waiter(hub, [("plain room", None)], lambda now: hub.broker.plain_put(["second"], now))
        assert putter.wait.pending
        getter = take_plain(hub, "getter")
        assert getter.result == ["first"] and putter.result is True


def test_results_that_nobody_had_asked_for_wake_nobody_in_vain():
    """Given a waiting worker and no plain task so far, when a full result queue is read, then it still waits."""
    with a_hub(backlog=1) as hub:
        waiter = take_plain(hub, "worker")
        hub.do(hub.broker.plain_result, "unmatched")
        assert hub.do(hub.broker.plain_take) == ["unmatched"]
        assert waiter.wait.pending


def test_an_answer_that_takes_long_keeps_nobody(hub):
    waiter = take_plain(hub, "a", long=True)
    hub.do_now(hub.broker.plain_put, ["x"])
    assert waiter.outcome() == ["x"] and waiter.thread is not threading.current_thread()


def test_who_hung_up_leaves_its_place(hub):
    gone, living = take_plain(hub, "gone"), take_plain(hub, "living")
    hub.drop(gone.wait)
    hub.do_now(hub.broker.plain_put, ["x"])
    assert living.result == ["x"] and not gone.told.is_set() and hub._waiting == {}


def test_what_an_attempt_raises_is_for_who_waits(hub):
    def attempt(now: float) -> bool:
        return bool(hub.broker.counts) and bool(1 / 0)

    waiter = Waiter(hub, [("ready", PLAIN)], attempt)
    assert hub.do_now(hub.broker.plain_put, ["x"]) is True
    assert isinstance(waiter.result, ZeroDivisionError) and hub._waiting == {}
    with pytest.raises(ZeroDivisionError):
        Waiter(hub, [], lambda now: 1 / 0)


def test_commands_are_carried_outside_the_lock(hub):
    worker = hub.do_now(hub.broker.join, "host", 1, None, False)
    hub.do(hub.broker.stop_worker, worker.name)
    eventually(lambda: hub.commands == [(worker.name, ("stop",))])


def test_the_clock_ticks_and_expires_leases():
    with a_hub(lease=0.1) as hub:
        hub.do_now(hub.broker.join, "host", 1, None, False)
        eventually(lambda: not hub.broker.workers, timeout=5)


def test_a_failing_tick_is_reported_and_does_not_stop_the_clock(hub, caplog, monkeypatch):
    ticks = []

    def tick(now: float) -> None:
        ticks.append(now)
        raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL + 1, logger="dqlab"):
        monkeypatch.setattr(hub.broker, "tick", tick)
        eventually(lambda: len(ticks) > 2)


def test_new_events_are_told_to_who_follows_them(hub):
    follower = Waiter(hub, [("events", None)], lambda now: hub.broker.events.since(0))
    hub.do_now(hub.broker.pause, "default", True)
    assert [record.kind for record in follower.outcome()] == ["paused"]


def test_an_error_of_the_broker_reaches_the_caller_and_frees_the_lock(hub):
    with pytest.raises(ZeroDivisionError):
        hub.do(lambda: 1 / 0)
    assert hub.do(lambda: "free") == "free"


def test_closing_answers_everybody_and_ends_the_threads():
    before = set(threading.enumerate())
    with a_hub() as hub:
        waiters = [take_plain(hub, name) for name in "abc"]
    assert [waiter.result for waiter in waiters] == [[], [], []]
    eventually(lambda: set(threading.enumerate()) <= before, timeout=5)
    assert Waiter(hub, [("ready", PLAIN)], lambda now: [], None).result == []
