"""The lock around the broker: who waits for what, and that whoever brings it about answers."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dqlab.broker import topics
from dqlab.broker.broker import Broker
from dqlab.broker.clients import Client
from dqlab.master.waiting_calls import LATER, Wait, WaitingCalls
from dqlab.wire.messages import PLAIN, Header, NewTasks
from tests.helpers import eventually


class Waiter:
    """Somebody who waits: ``result`` is the answer, or what it raised; ``thread`` is who gave it."""

    def __init__(self, calls: WaitingCalls, topics: Any, attempt: Any, timeout: float | None = 30.0, **more: Any):
        self.told = threading.Event()
        self.result: Any = None
        self.thread: Any = None
        self.wait = Wait(tuple(topics), attempt, timeout, **more)
        result = calls.wait(self.wait, self.tell)
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
def some_calls(**settings: Any) -> Iterator[WaitingCalls]:
    commands: list[Any] = []
    calls = WaitingCalls(Broker(now=time.time(), **settings), lambda *command: commands.append(command))
    calls.commands = commands
    try:
        yield calls
    finally:
        calls.close()


@pytest.fixture
def calls() -> Iterator[WaitingCalls]:
    with some_calls() as calls:
        yield calls


def take_plain(calls: WaitingCalls, holder: str, **more: Any) -> Waiter:
    return Waiter(calls, [topics.ready(PLAIN)], lambda now: calls.broker.plain.get(holder, "here", now), **more)


def a_client(calls: WaitingCalls) -> Client:
    calls.broker.states.functions["f"] = b"f"
    return calls.do(calls.broker.states.clients.open)


def submit(calls: WaitingCalls, client: Client, queue: str) -> None:
    header = Header(queue=queue, kind="map", function="f")
    tasks = NewTasks(first=client.last + 1, count=1, header=header, payload=b"")
    assert calls.do_now(calls.broker.submit, client, tasks)


def test_what_is_there_is_told_at_once(calls):
    waiter = Waiter(calls, [], lambda now: "here", None)
    assert waiter.result == "here" and waiter.thread is threading.current_thread()
    assert not waiter.wait.pending


def test_nothing_within_the_timeout_is_what_the_attempt_said(calls):
    assert Waiter(calls, [topics.ready("x")], lambda now: [], 0.0).result == []
    late = Waiter(calls, [topics.ready("x")], lambda now: [], 0.05)
    assert late.wait.pending and not late.told.is_set()
    assert late.outcome() == [] and not late.wait.pending
    assert calls._waiting == {}


def test_whoever_changes_something_answers_who_waits_for_it(calls):
    waiter = take_plain(calls, "a")
    assert not waiter.told.is_set()
    calls.do_now(calls.broker.plain.put, ["x"])
    assert waiter.result == ["x"] and waiter.thread is threading.current_thread()
    assert calls._waiting == {}


def test_an_answer_is_given_out_when_the_lock_is_free(calls):
    """Given an answer that calls the broker again, as a refusal does, then nobody is stuck."""
    waiter = Waiter(
        calls,
        [topics.ready(PLAIN)],
        lambda now: calls.broker.plain.get("a", "here", now),
        shape=lambda _: calls.do(lambda: "free"),
    )
    calls.do_now(calls.broker.plain.put, ["x"])
    assert waiter.outcome() == "free"


def test_who_waits_longest_is_served_first_and_no_more_than_there_are_tasks(calls):
    waiters = [take_plain(calls, name) for name in "abcd"]
    calls.do_now(calls.broker.plain.put, ["x", "y"])
    assert [waiter.result for waiter in waiters] == [["x"], ["y"], None, None]
    calls.do_now(calls.broker.plain.put, ["z", "z"])
    assert [waiter.result for waiter in waiters] == [["x"], ["y"], ["z"], ["z"]]


def test_who_may_not_take_a_task_does_not_stand_in_the_way(calls):
    """Given one that waits for two queues and takes of the first only, when the second gets a task, then it goes on."""
    served: list[str] = []

    def take(queue: str) -> Any:
        return lambda now: [queue] if calls.broker.states.ready_in(queue) and not served.append(queue) else []

    client = a_client(calls)
    both = Waiter(calls, [topics.ready("one"), topics.ready("two")], take("one"))
    second = Waiter(calls, [topics.ready("two")], take("two"))
    submit(calls, client, "two")
    assert second.result == ["two"] and both.wait.pending
    submit(calls, client, "one")
    assert both.result == ["one"]


def test_a_worker_of_every_queue_hears_of_one_that_is_new(calls):
    """Given a queue that was made, and paused, while a worker waited, when a task comes, then the worker has it."""
    client, worker = a_client(calls), calls.do_now(calls.broker.leases.join, "host", 1, None, False)
    waiter = Waiter(calls, [topics.ANY_QUEUE], lambda now: calls.broker.leases.lease(worker.name, now))
    for paused in (True, False):
        calls.do_now(calls.broker.states.pause, "new", paused)
    assert waiter.wait.pending
    submit(calls, client, "new")
    assert [lease.first for lease in waiter.result] == [1]


def test_what_an_answer_changes_answers_others(calls):
    """Given a full queue, one who waits to put and one who gets: what the getter takes makes room."""
    with some_calls(backlog=1) as calls:
        calls.do_now(calls.broker.plain.put, ["first"])
        putter = Waiter(calls, [topics.ROOM], lambda now: calls.broker.plain.put(["second"], now))
        assert putter.wait.pending
        getter = take_plain(calls, "getter")
        assert getter.result == ["first"] and putter.result is True


def test_results_that_nobody_had_asked_for_wake_nobody_in_vain():
    """Given a waiting worker and no plain task so far, when a full result queue is read, then it still waits."""
    with some_calls(backlog=1) as calls:
        waiter = take_plain(calls, "worker")
        assert calls.do_now(calls.broker.plain.answer, "a", "here", ["unmatched"])
        assert calls.do(calls.broker.plain.take_result) == ["unmatched"]
        assert waiter.wait.pending


def test_an_answer_that_takes_long_keeps_nobody(calls):
    waiter = take_plain(calls, "a", long=True)
    calls.do_now(calls.broker.plain.put, ["x"])
    assert waiter.outcome() == ["x"] and waiter.thread is not threading.current_thread()


def test_who_hung_up_leaves_its_place(calls):
    gone, living = take_plain(calls, "gone"), take_plain(calls, "living")
    calls.drop(gone.wait)
    calls.do_now(calls.broker.plain.put, ["x"])
    assert living.result == ["x"] and not gone.told.is_set() and calls._waiting == {}


def test_what_an_attempt_raises_is_for_who_waits(calls):
    def attempt(now: float) -> bool:
        return bool(calls.broker.states.counts) and bool(1 / 0)

    waiter = Waiter(calls, [topics.ready(PLAIN)], attempt)
    assert calls.do_now(calls.broker.plain.put, ["x"]) is True
    assert isinstance(waiter.result, ZeroDivisionError) and calls._waiting == {}
    with pytest.raises(ZeroDivisionError):
        Waiter(calls, [], lambda now: 1 / 0)


def test_commands_are_carried_outside_the_lock(calls):
    worker = calls.do_now(calls.broker.leases.join, "host", 1, None, False)
    calls.do(calls.broker.leases.stop, worker.name)
    eventually(lambda: calls.commands == [(worker.name, ("stop",))])


def test_the_clock_ticks_and_expires_leases():
    with some_calls(lease=0.1) as calls:
        calls.do_now(calls.broker.leases.join, "host", 1, None, False)
        eventually(lambda: not calls.broker.leases.workers, timeout=5)


def test_a_failing_tick_is_reported_and_does_not_stop_the_clock(calls, caplog, monkeypatch):
    ticks = []

    def tick(now: float) -> None:
        ticks.append(now)
        raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL + 1, logger="dqlab"):
        monkeypatch.setattr(calls.broker, "tick", tick)
        eventually(lambda: len(ticks) > 2)


def test_new_events_are_told_to_who_follows_them(calls):
    follower = Waiter(calls, [topics.EVENTS], lambda now: calls.broker.states.events.since(0))
    calls.do_now(calls.broker.states.pause, "default", True)
    assert [record.kind for record in follower.outcome()] == ["paused"]


def test_an_error_of_the_broker_reaches_the_caller_and_frees_the_lock(calls):
    with pytest.raises(ZeroDivisionError):
        calls.do(lambda: 1 / 0)
    assert calls.do(lambda: "free") == "free"


def test_closing_answers_everybody_and_ends_the_threads():
    before = set(threading.enumerate())
    with some_calls() as calls:
        waiters = [take_plain(calls, name) for name in "abc"]
    assert [waiter.result for waiter in waiters] == [[], [], []]
    eventually(lambda: set(threading.enumerate()) <= before, timeout=5)
    assert Waiter(calls, [topics.ready(PLAIN)], lambda now: [], None).result == []
