"""The lock around the broker: who waits, who is woken, and that nobody sleeps while there is something to do."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dqlab.broker import Broker
from dqlab.hub import LOOK, Hub
from dqlab.tasks import PLAIN, Run
from tests.helpers import eventually


class Waiter(threading.Thread):
    """A thread in `Hub.wait`; ``result`` is what came of it, an exception included, ``seconds`` how long it took."""

    def __init__(self, hub: Hub, topics: Any, attempt: Any, timeout: float | None = 30.0, alive: Any = lambda: True):
        super().__init__(daemon=True)
        self.args = (topics, attempt, timeout, alive)
        self.hub, self.result, self.seconds = hub, None, 0.0
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        try:
            self.result = self.hub.wait(*self.args)
        except EOFError as error:
            self.result = error
        self.seconds = time.monotonic() - began

    def outcome(self) -> Any:
        self.join(10)
        assert not self.is_alive(), "it still waits"
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


def waiting(hub: Hub, topic: Any, n: int) -> None:
    """Wait until ``n`` threads wait for a topic."""
    eventually(lambda: len(hub._waiting.get(topic, ())) == n, what=f"{n} waiting for {topic}")


def take_plain(hub: Hub, holder: str, **more: Any) -> Waiter:
    return Waiter(hub, [("ready", PLAIN)], lambda now: hub.broker.plain_get(holder, now), **more)


def test_what_is_there_is_returned_at_once(hub):
    assert hub.wait([], lambda now: "here", None, lambda: True) == "here"


def test_nothing_within_the_timeout_is_what_the_attempt_said(hub):
    assert hub.wait([("ready", "x")], lambda now: [], 0.05, lambda: True) == []
    assert hub.wait([("ready", "x")], lambda now: [], 0.0, lambda: True) == []
    assert hub._waiting == {}


def test_a_signal_wakes_who_waits_long_before_the_next_look(hub):
    waiter = take_plain(hub, "a")
    waiting(hub, ("ready", PLAIN), 1)
    put = time.monotonic()
    hub.do_now(hub.broker.plain_put, ["x"])
    assert waiter.outcome() == ["x"]
    assert time.monotonic() - put < LOOK / 2
    assert hub._waiting == {}


def test_as_many_are_woken_as_there_are_tasks(hub):
    waiters = [take_plain(hub, name) for name in "abcd"]
    waiting(hub, ("ready", PLAIN), 4)
    hub.do_now(hub.broker.plain_put, ["x", "y"])
    eventually(lambda: sum(not waiter.is_alive() for waiter in waiters) == 2)
    waiting(hub, ("ready", PLAIN), 2)
    hub.do_now(hub.broker.plain_put, ["z", "z"])
    assert sorted(waiter.outcome()[0] for waiter in waiters) == ["x", "y", "z", "z"]


def test_two_signals_wake_two_although_one_waits_for_both(hub):
    """Given one that waits for two queues and one for the second only, when both get a task, then both wake."""
    served: list[str] = []

    def take(queue: str) -> Any:
        return lambda now: [queue] if hub.broker.counts.get(queue, {}).get("ready") and not served.append(queue) else []

    client = hub.do(hub.broker.open_client)
    hub.broker.functions["f"] = b"f"
    both = Waiter(hub, [("ready", "one"), ("ready", "two")], take("one"))
    waiting(hub, ("ready", "two"), 1)
    second = Waiter(hub, [("ready", "two")], take("two"))
    waiting(hub, ("ready", "two"), 2)

    def submit_to_both(now: float) -> None:
        for first, queue in ((1, "one"), (2, "two")):
            hub.broker.submit(client.number, Run(first, 1, queue, "map", "f", b""), now)

    # Whichever of the two signals is first, the second one must not ring the same bell.
    hub.do_now(submit_to_both)
    assert both.outcome() == ["one"] and second.outcome() == ["two"]
    assert max(both.seconds, second.seconds) < LOOK


def test_who_hung_up_is_found_and_leaves_its_place(hub):
    gone = take_plain(hub, "gone", alive=lambda: False)
    assert isinstance(gone.outcome(), EOFError)
    assert gone.seconds < 2 * LOOK and hub._waiting == {}


def test_a_signal_that_reaches_one_who_hangs_up_is_passed_on(hub):
    """Given a peer that turns out to be gone just when it is woken, then the next one hears of the task."""
    looking, put = threading.Event(), threading.Event()

    def gone() -> bool:
        looking.set()
        put.wait(10)
        return False

    dying = take_plain(hub, "gone", alive=gone)
    waiting(hub, ("ready", PLAIN), 1)
    assert looking.wait(10)
    living = take_plain(hub, "living")
    waiting(hub, ("ready", PLAIN), 2)
    hub.do_now(hub.broker.plain_put, ["x"])  # rings the bell of the one that is about to give up
    put.set()
    assert isinstance(dying.outcome(), EOFError)
    assert living.outcome() == ["x"]
    assert living.seconds < LOOK


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


def test_new_events_wake_who_follows_them(hub):
    follower = Waiter(hub, [("events", None)], lambda now: hub.broker.events.since(0))
    waiting(hub, ("events", None), 1)
    hub.do_now(hub.broker.pause, "default", True)
    assert [record.kind for record in follower.outcome()] == ["paused"]
    assert follower.seconds < LOOK


def test_an_error_of_the_broker_reaches_the_caller_and_frees_the_lock(hub):
    with pytest.raises(ZeroDivisionError):
        hub.do(lambda: 1 / 0)
    assert hub.do(lambda: "free") == "free"


def test_closing_wakes_everybody_and_ends_the_threads():
    before = set(threading.enumerate())
    with a_hub() as hub:
        waiters = [take_plain(hub, name) for name in "abc"]
        waiting(hub, ("ready", PLAIN), 3)
    assert [waiter.outcome() for waiter in waiters] == [[], [], []]
    eventually(lambda: set(threading.enumerate()) <= before, timeout=5)
    assert hub.wait([("ready", PLAIN)], lambda now: [], None, lambda: True) == []
