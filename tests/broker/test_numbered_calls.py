"""A client's calls on the plain queues are done once, whatever breaks between: hypothesis breaks it anywhere."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from dqlab.broker.broker import Broker
from dqlab.broker.changes import Changes
from dqlab.broker.plain_queues import OWED_SECONDS
from dqlab.broker.revival import revive
from dqlab.master.journal_tables import SCHEMA, apply_batch, read_remains

#: client and thread of those who call
THREADS = [(0, 0), (0, 1), (1, 0)]
threads = st.sampled_from(THREADS)


class Lives:
    """A broker with its journal, which may die."""

    def __init__(self, clients: int = 2) -> None:
        self.journal = sqlite3.connect(":memory:", isolation_level=None)
        self.journal.executescript(SCHEMA)
        self.now, self.life, self.connection = 1000.0, 0, 0
        self.changes: Changes
        self.begin()
        for _ in range(clients):
            self.broker.states.clients.open(b"token")
        self.clients_are_there()
        self.write()

    def begin(self) -> None:
        remains = read_remains(self.journal)
        remains.life = self.life
        self.broker = Broker(now=self.now)
        self.changes = revive(self.broker, remains, self.now)
        self.life += 1

    def write(self) -> None:
        apply_batch(self.journal, self.changes.take())

    def clients_are_there(self) -> None:
        for client in self.broker.states.clients.values():
            client.connected, client.collector = True, "a connection"

    def claim(self, thread: tuple[int, int]) -> int:
        """A new connection of the thread's."""
        self.connection += 1
        self.broker.plain.numbered.claim(self.connection, "address", thread)
        return self.connection

    def get(self, connection: int, name: str, number: int) -> list[Any]:
        plain = self.broker.plain
        take: Callable[[], list[Any]] = partial(plain.get, connection, "address", self.now)
        if name == "results":
            take = plain.take_result
        return plain.numbered.do(connection, f"{name}.get", number, take)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.broker.tick(self.now)


class Machine(RuleBasedStateMachine):
    """Threads of two clients that live; what they are told, and what breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.lives = Lives()
        self.connections: dict[tuple[int, int], int] = {}
        self.numbers = {(thread, name): 1 for thread in THREADS for name in ("tasks", "results", "put")}
        self.put: dict[str, list[str]] = {"tasks": [], "results": []}
        self.got: dict[str, list[str]] = {"tasks": [], "results": []}
        self.held: dict[tuple[int, int], int] = dict.fromkeys(THREADS, 0)

    def on(self, thread: tuple[int, int]) -> int:
        if thread not in self.connections:
            self.connections[thread] = self.lives.claim(thread)
        return self.connections[thread]

    @rule(name=st.sampled_from(["tasks", "results"]))
    def script_puts(self, name: str) -> None:
        self.put[name].append(value := f"value {len(self.put[name])}")
        plain = self.lives.broker.plain
        assert plain.put([value], self.lives.now) if name == "tasks" else plain.answer("x", "x", [value], 0) is True
        self.lives.write()

    @rule(thread=threads, name=st.sampled_from(["tasks", "results"]), told=st.booleans())
    def get(self, thread: tuple[int, int], name: str, told: bool) -> None:
        """The thread asks; what it is not told it will ask for again."""
        found = self.lives.get(self.on(thread), name, self.numbers[thread, name])
        if found and told:
            self.lives.write()
            self.numbers[thread, name] += 1
            self.got[name] += found
            self.held[thread] += name == "tasks"
        elif found:
            assert self.lives.get(self.on(thread), name, self.numbers[thread, name]) == found

    @rule(thread=threads, again=st.integers(0, 2))
    def answers(self, thread: tuple[int, int], again: int) -> None:
        """It answers the oldest task in its hand, and perhaps says so again, as it is not told that it has."""
        if not self.held[thread]:
            return
        self.held[thread] -= 1
        number, value = self.numbers[thread, "put"], f"answer {len(self.put['results'])}"
        for _ in range(1 + again):
            plain, connection = self.lives.broker.plain, self.on(thread)
            put = partial(plain.answer, connection, "address", [value], self.lives.now)
            assert plain.numbered.do(connection, "results.put", number, put) is True
            self.lives.write()
            if again:
                self.breaks(thread, True)
        self.numbers[thread, "put"] += 1
        self.put["results"].append(value)

    @rule(thread=threads, noticed=st.booleans())
    def breaks(self, thread: tuple[int, int], noticed: bool) -> None:
        """A connection breaks; the master may notice that late."""
        if (connection := self.connections.pop(thread, None)) is not None:
            after = None if noticed else self.lives.claim(thread)
            self.lives.broker.plain.hang_up(connection, self.lives.now)
            if after is not None:
                self.connections[thread] = after

    @rule(written=st.booleans(), seconds=st.sampled_from([0.0, OWED_SECONDS / 2]))
    def master_dies(self, written: bool, seconds: float) -> None:
        if written:
            self.lives.write()
        self.connections.clear()
        self.lives.begin()
        self.lives.later(seconds)  # within which a client that lives is back
        self.lives.clients_are_there()

    @rule(seconds=st.sampled_from([1.0, OWED_SECONDS, 3 * OWED_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.lives.later(seconds)

    def teardown(self) -> None:
        with contextlib.closing(self.lives.journal):
            self.ask_for_all()

    def ask_for_all(self) -> None:
        for name in ("tasks", "results"):
            for thread in THREADS:
                for _ in range(len(self.put[name]) + 1):
                    self.get(thread, name, True)
            assert sorted(self.got[name]) == sorted(self.put[name]), "each comes once"
        for thread in THREADS:
            while self.held[thread]:
                self.answers(thread, 0)
        counts = self.lives.broker.states.counts_of("plain")
        assert counts["done"] == len(self.put["tasks"]) and not counts["leased"] + counts["ready"]


class Scripts(RuleBasedStateMachine):
    """Results that scripts take, who confirm nothing: none is lost, and one for each connection and death comes twice.

    The master has sent a result some time after it took it; in between it may write, or die.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lives, self.put, self.deaths = Lives(), 0, 0
        self.got: list[str] = []
        self.unwritten: list[str] = []
        self.accepted: list[str] = []
        self.underway: dict[str, str] = {}

    @rule(count=st.integers(1, 3))
    def put_some(self, count: int) -> None:
        values = [f"result {self.put + i}" for i in range(count)]
        assert self.lives.broker.plain.answer("somebody", "address", values, self.lives.now)
        self.put += count
        self.unwritten += values

    @rule(script=st.sampled_from(["a", "b", "c"]))
    def take(self, script: str) -> None:
        if script not in self.underway:
            for value in self.lives.broker.plain.take_result(script):
                self.underway[script] = value

    @rule(script=st.sampled_from(["a", "b", "c"]))
    def is_sent(self, script: str) -> None:
        if script in self.underway:
            self.got.append(self.underway.pop(script))
            self.lives.broker.plain.told(script)

    @rule()
    def write(self) -> None:
        self.lives.write()
        self.accepted += self.unwritten
        self.unwritten.clear()

    @rule()
    def master_dies(self) -> None:
        self.underway.clear()
        self.unwritten.clear()
        self.lives.begin()
        self.deaths += 1

    def teardown(self) -> None:
        with contextlib.closing(self.lives.journal):
            self.write()
            while self.lives.broker.plain.results or self.underway:
                for script in ("a", "b", "c"):
                    self.take(script)
                    self.is_sent(script)
        assert set(self.got) >= set(self.accepted), "none is lost"
        assert len(self.got) - len(set(self.got)) <= 3 * self.deaths


TestScripts = Scripts.TestCase
TestScripts.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.fixture
def lives() -> Iterator[Lives]:
    found = Lives()
    for value in ("a", "b"):
        found.broker.plain.put([value], found.now)
    found.broker.plain.add_results(["A", "B"])
    with contextlib.closing(found.journal):
        yield found


def test_a_stop_sign_that_was_not_sent_yet_comes_again(lives: Lives) -> None:
    plain = lives.broker.plain
    plain.put([None], lives.now)
    for value in (["a"], ["b"], [None]):
        assert lives.broker.plain.get("script", "address", lives.now) == value
    lives.write()
    lives.begin()
    taken = [lives.broker.plain.get("script", "address", lives.now) for _ in range(3)]
    assert sorted(taken, key=str) == [["a"], ["b"], [None]]
    lives.broker.plain.told("script")
    lives.write()
    lives.begin()
    assert [lives.broker.plain.get("script", "address", lives.now) for _ in range(3)] == [["a"], ["b"], []]


def gone(lives: Lives) -> None:
    """The client's process is killed: its connections end."""
    for client in list(lives.broker.states.clients.values()):
        lives.broker.close_client(client, lives.now)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_client_had_that_is_killed_goes_to_others(lives: Lives, restarted: bool) -> None:
    connection = lives.claim((0, 0))
    assert (lives.get(connection, "tasks", 1), lives.get(connection, "results", 1)) == (["a"], ["A"])
    if restarted:
        lives.write()
        lives.begin()
    else:
        lives.broker.plain.hang_up(connection, lives.now)
        gone(lives)
    lives.later(OWED_SECONDS if restarted else 0.0)
    other = lives.claim((1, 0))
    assert [lives.get(other, "tasks", number) for number in (1, 2, 3)] == [["a"], ["b"], []]
    assert [lives.get(other, "results", number) for number in (1, 2)] == [["B"], []]
    lives.later(2 * OWED_SECONDS)
    assert lives.get(other, "results", 2) == ["A"], "nobody has confirmed it"


def test_a_client_that_ends_in_order_has_what_it_was_given(lives: Lives) -> None:
    connection = lives.claim((0, 0))
    assert lives.get(connection, "results", 1) == ["A"]
    lives.broker.plain.close(0, "address", lives.now)
    lives.broker.plain.hang_up(connection, lives.now)
    gone(lives)
    lives.write()
    lives.begin()
    lives.later(3 * OWED_SECONDS)
    assert list(lives.broker.plain.results) == ["B"] and not lives.broker.plain.numbered.away


def test_a_connection_that_is_nobodys_any_more_is_given_nothing(lives: Lives) -> None:
    connection = lives.claim((0, 0))
    lives.claim((0, 0))
    assert lives.get(connection, "results", 1) == [] and len(lives.broker.plain.results) == 2
