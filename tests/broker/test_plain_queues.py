"""Which value a script holds, owes or has answered: the rule of `dqlab.broker.plain_queues`, shape by shape."""

from __future__ import annotations

import pytest

from dqlab.broker.plain_queues import MOST_HELD, OWED_SECONDS
from dqlab.wire.messages import PLAIN
from tests.broker.scene import Scene

HOME, AWAY = "127.0.0.1", "10.0.0.7"


class Scripts(Scene):
    """Scripts at one address, by the connections that they open."""

    def put(self, *values):
        assert self.broker.plain.put(list(values), self.now)

    def get(self, connection, address=HOME):
        return self.broker.plain.get(connection, address, self.now)

    def answer(self, connection, *values, address=HOME):
        return self.broker.plain.answer(connection, address, list(values), self.now)

    def killed(self, connection):
        """The connection ends, and nothing was said before."""
        self.broker.plain.hang_up(connection, self.now)

    def ends(self, connection, address=HOME):
        """The proxy is dropped, and then the connection ends."""
        self.broker.plain.decref(address, self.now)
        self.now += 0.003
        self.broker.plain.hang_up(connection, self.now)
        self.now += 5.0

    def count(self, state):
        return self.broker.states.counts[PLAIN][state]

    @property
    def ids(self):
        return next(client.first for client in self.broker.states.clients.values() if client.plain)


@pytest.fixture
def scripts():
    scene = Scripts()
    scene.now += 100.0
    return scene


def test_values_come_in_order_and_each_answer_settles_the_oldest_in_hand(scripts):
    scripts.put("a", "b", "c")
    assert [scripts.get("one") for _ in range(4)] == [["a"], ["b"], ["c"], []]
    assert scripts.states(range(scripts.ids, scripts.ids + 3)) == ["leased"] * 3
    scripts.answer("one", "A")
    assert scripts.states(range(scripts.ids, scripts.ids + 3)) == ["forgotten", "leased", "leased"]
    assert (scripts.count("done"), scripts.count("leased")) == (1, 2)


def test_who_is_killed_gives_all_back_to_the_front_as_often_as_it_happens(scripts):
    scripts.put("a", "b", "c")
    for attempt in range(20):
        assert [scripts.get(attempt) for _ in range(2)] == [["a"], ["b"]]
        scripts.killed(attempt)
    assert scripts.count("redelivered") == 40 and scripts.count("failed") == 0


def test_two_of_five_are_answered_and_the_rest_comes_back(scripts):
    scripts.put(*"abcde")
    for _ in range(5):
        scripts.get("one")
    scripts.answer("one", "A", "B")
    scripts.killed("one")
    assert [scripts.get("two") for _ in range(4)] == [["c"], ["d"], ["e"], []]


def test_a_script_that_keeps_no_proxy_answers_on_another_connection(scripts):
    scripts.put("a", "b", "c")
    for i, value in enumerate("abc"):
        assert scripts.get(f"get {i}") == [value]
        scripts.ends(f"get {i}")
        assert scripts.broker.plain.stats()["plain"]["owed"] == {HOME: 1}
        scripts.answer(f"put {i}", value.upper())
        scripts.ends(f"put {i}")
    assert scripts.count("done") == 3 and list(scripts.broker.plain.results) == ["A", "B", "C"]
    assert scripts.broker.plain.unmatched == 0


def test_an_answer_may_come_before_the_connection_of_its_task_ends(scripts):
    scripts.put("a")
    scripts.get("task")
    scripts.answer("result", "A")
    scripts.ends("task")
    assert scripts.count("done") == 1 and scripts.broker.plain.unmatched == 0


def test_one_that_keeps_no_proxy_and_is_killed_loses_nothing(scripts):
    scripts.put("a", "b")
    scripts.get("one")
    scripts.ends("one")
    assert scripts.get("two") == ["b"], "what is owed is not given out"
    scripts.pass_time(OWED_SECONDS + 1)
    assert scripts.get("three") == ["a"]


def test_who_is_killed_just_after_its_proxies_were_made_was_killed(scripts):
    """Given that a proxy begins with a decref, of the manager's own reference, then that is not the end of one."""
    scripts.put("a")
    for _ in ("task", "result"):
        scripts.broker.plain.create(HOME)
        scripts.broker.plain.decref(HOME, scripts.now)
    scripts.get("one")
    scripts.killed("one")
    assert scripts.get("two") == ["a"]
    scripts.broker.plain.create(HOME)
    scripts.broker.plain.decref(HOME, scripts.now)
    scripts.ends("two")
    assert scripts.get("three") == [], "it let go in order, and owes an answer"


def test_what_is_owed_is_settled_by_its_own_address_only(scripts):
    scripts.put("a")
    scripts.get("one", address=AWAY)
    scripts.ends("one", address=AWAY)
    scripts.answer("two", "nothing to do with it")
    assert scripts.count("leased") == 1 and scripts.broker.plain.unmatched == 1
    scripts.answer("three", "A", address=AWAY)
    assert scripts.count("done") == 1


def test_what_is_never_answered_ends_as_failed_with_a_word_about_stop_signs(scripts):
    scripts.put("STOP")
    for round_ in range(3):
        assert scripts.get(round_) == ["STOP"]
        scripts.ends(round_)
        scripts.pass_time(OWED_SECONDS + 1)
    assert scripts.get("one more") == [] and scripts.count("failed") == 1
    (failed,) = scripts.broker.failures()
    assert "--pill" in failed.result.summary and len(failed.history) == 3


def test_what_was_not_answered_waits_at_the_end_of_the_line(scripts):
    scripts.put("STOP", "a")
    scripts.get("one")
    scripts.ends("one")
    scripts.put("b")
    scripts.pass_time(OWED_SECONDS + 1)
    assert [scripts.get("two") for _ in range(3)] == [["a"], ["b"], ["STOP"]]


@pytest.mark.parametrize("pill", [None, "STOP", 0])
def test_a_stop_sign_is_done_when_it_is_handed_out(pill):
    scripts = Scripts(pills=["STOP", 0])
    scripts.put("a", pill, False, "b")
    assert [scripts.get("one") for _ in range(3)] == [["a"], [pill], [False]]
    assert scripts.count("done") == 1 and scripts.count("leased") == 2, "False is not 0"
    scripts.killed("one")
    assert scripts.get("two") == ["a"]


def test_a_consumer_that_never_answers_has_done_what_it_took_when_it_ends_in_order(scripts):
    scripts.put("a", "b", "c")
    for _ in range(3):
        scripts.get("one")
    scripts.ends("one")
    assert scripts.count("done") == 3


def test_task_done_settles_and_from_then_on_only_that(scripts):
    scripts.put("a", "b")
    scripts.get("one")
    scripts.broker.plain.task_done("one", scripts.now)
    scripts.get("one")
    scripts.answer("one", "B")
    assert (scripts.count("done"), scripts.count("leased")) == (1, 1)
    scripts.killed("one")
    assert scripts.get("two") == ["b"]


def test_beyond_a_hundred_in_hand_the_oldest_counts_as_done(scripts):
    scripts.put(*range(MOST_HELD + 5))
    for _ in range(MOST_HELD + 5):
        scripts.get("one")
    assert (scripts.count("done"), scripts.count("leased")) == (5, MOST_HELD)
    assert scripts.broker.plain.stats()["plain"]["held"] == {HOME: MOST_HELD}


def test_a_result_that_the_master_refuses_fails_its_task_with_the_reason(scripts):
    scripts.put("a")
    scripts.get("one")
    scripts.broker.plain.refuse("one", "bs4.Tag is not plain data", scripts.now)
    assert scripts.count("failed") == 1 and scripts.broker.plain.stats()["plain"]["refused"] == 1
    assert "bs4.Tag" in scripts.broker.failures()[0].result.summary


def test_a_worker_and_a_script_share_one_line_in_order(scripts):
    broker = scripts.broker
    scripts.put("a", "b", "c", "d")
    scripts.put("e")
    assert scripts.get("one") == ["a"]
    scripts.killed("one")
    worker = scripts.join(handler=True)
    given = []
    while leases := scripts.lease(worker):
        given += [value for lease in leases for value in lease.payload]
        values = [value.upper() for value in leases[0].payload]
        scripts.say(worker, "done", leases[0], value=values, seconds=1.0)  # so long that it gets one at a time
        if given == ["a", "b"]:
            assert scripts.get("one") == ["c"], "a script takes what is left of a run"
            scripts.killed("one")
    assert given == ["a", "b", "c", "d", "e"] and list(broker.plain.results) == ["A", "B", "C", "D", "E"]
    assert (scripts.count("done"), scripts.count("redelivered")) == (5, 2)


def test_what_waits_can_be_cancelled_and_what_a_script_holds_cannot(scripts):
    scripts.put("a", "b", "c")
    scripts.put("d")
    assert scripts.get("one") == ["a"]
    assert scripts.broker.cancel(scripts.ids, 2, scripts.now) == [(scripts.ids + 1, 1)]
    assert [scripts.get("two") for _ in range(3)] == [["c"], ["d"], []]
    assert (scripts.count("leased"), scripts.count("cancelled")) == (3, 1)


def test_results_beyond_the_backlog_hold_the_tasks_back():
    scripts = Scripts(backlog=2)
    scripts.put("a", "b")
    assert scripts.answer("one", 1, 2) and not scripts.answer("one", 3)
    assert scripts.get("two") == [] and scripts.broker.plain.held_back
    assert scripts.broker.plain.take_result() == [1]
    assert scripts.get("two") == ["a"]
    assert scripts.answer("two", "A"), "what settles a value is always taken"
