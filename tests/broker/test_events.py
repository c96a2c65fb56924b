"""The event ring, and what becomes of a record when somebody reads it."""

from __future__ import annotations

from typing import Any

import pytest

from dqlab.broker.events import EventLog, expand
from tests.broker.scene import Scene


def a_log(size: int, events: int) -> EventLog:
    log = EventLog(size)
    for number in range(1, events + 1):
        log.add(float(number), "submitted", task=number)
    return log


@pytest.mark.parametrize(
    ("since", "limit", "expected"),
    [
        (0, 100, [3, 4, 5, 6, 7]),  # 1 and 2 are forgotten
        (2, 100, [3, 4, 5, 6, 7]),
        (4, 100, [5, 6, 7]),
        (4, 2, [5, 6]),
        (0, 2, [3, 4]),
        (6, 1, [7]),
        (7, 100, []),
        (9, 100, []),
        (0, 0, []),
    ],
)
def test_since_gives_the_oldest_records_after_a_number_that_are_remembered(since, limit, expected):
    assert [record.seq for record in a_log(size=5, events=7).since(since, limit)] == expected


def test_an_empty_log_has_nothing_to_tell():
    assert EventLog().since(0) == [] and EventLog().last == 0


def test_long_texts_are_cut_and_many_of_them_push_out_the_oldest(monkeypatch):
    monkeypatch.setattr("dqlab.broker.events.REMEMBERED_CHARS", 100_000)
    log = EventLog()
    for number in range(1, 51):
        log.add(float(number), "printed", task=number, text="x" * 50_000)
        log.add(float(number), "failed", task=number, reason="y" * 50_000)
    records = log.since(0)
    assert [record.seq for record in records] == list(range(91, 101))
    assert {len(record.text or "") + len(record.reason or "") for record in records} == {10_000}
    for number in range(20):
        log.add(60.0 + number, "leased", task=number)
    assert len(log.since(0)) == 30


def a_lease(log: EventLog, task: int, count: int = 1, time: float = 1.0, worker: str = "w1", **fields: Any) -> None:
    log.add(time, "leased", queue="default", task=task, count=count, worker=worker, attempt=1, **fields)


def told(log: EventLog) -> list[tuple[int, int | None, int]]:
    return [(record.seq, record.task, record.count) for record in log.since(0)]


def test_what_happens_to_consecutive_tasks_at_one_instant_is_one_record():
    log = EventLog()
    a_lease(log, 1, 3)
    a_lease(log, 4, 2)
    assert told(log) == [(1, 1, 5)]


@pytest.mark.parametrize("other", [{"task": 5}, {"time": 1.1}, {"worker": "w2"}], ids=["a gap", "later", "another"])
def test_what_differs_has_a_record_of_its_own(other):
    log = EventLog()
    a_lease(log, 1, 3)
    a_lease(log, **{"task": 4, **other})
    assert [count for _, _, count in told(log)] == [3, 1]


def test_a_record_that_was_read_does_not_change():
    log = EventLog()
    a_lease(log, 1)
    assert told(log) == [(1, 1, 1)]
    a_lease(log, 2)
    a_lease(log, 3)
    assert told(log) == [(1, 1, 1), (2, 2, 2)]


def test_only_short_tasks_end_in_one_record():
    log = EventLog()
    for task, seconds in ((1, 0.0004), (2, 0.0002), (3, 0.3), (4, 0.0001)):
        log.add(1.0, "done", queue="default", task=task, worker="w1", attempt=1, seconds=seconds)
    assert told(log) == [(1, 1, 2), (2, 3, 1), (3, 4, 1)]
    assert log.since(0)[0].seconds == pytest.approx(0.0006)


def test_a_record_shows_the_fields_it_has():
    log = EventLog()
    log.add(1.5, "leased", queue="default", task=7, worker="w1", attempt=1)
    assert log.since(0)[0].as_dict() == {
        "seq": 1, "time": 1.5, "kind": "leased", "queue": "default", "task": 7, "count": 1, "worker": "w1", "attempt": 1
    }  # fmt: skip


def test_a_record_of_several_tasks_becomes_one_event_for_each_one_after_another():
    record = {"seq": 9, "time": 10.0, "kind": "done", "task": 4, "count": 4, "worker": "w1", "seconds": 2.0}
    events = list(expand([record]))
    assert [(event["task"], event["time"], event["seconds"]) for event in events] == [
        (4, 8.5, 0.5),
        (5, 9.0, 0.5),
        (6, 9.5, 0.5),
        (7, 10.0, 0.5),
    ]
    assert all(event["seq"] == 9 and event["worker"] == "w1" and "count" not in event for event in events)


def test_the_wait_of_several_delayed_tasks_is_each_ones_own():
    record = {"seq": 1, "time": 10.0, "kind": "delayed", "task": 4, "count": 2, "seconds": 3.0}
    assert [(e["task"], e["time"], e["seconds"]) for e in expand([record])] == [(4, 10.0, 3.0), (5, 10.0, 3.0)]


def test_a_batch_that_came_too_late_is_told_for_each_of_its_tasks():
    """Given a worker whose leases are lost, when it sends a batch, then the events can still be read."""
    scene = Scene()
    worker = scene.join()
    scene.submit(100)
    for _ in range(3):
        scene.work(worker)
    (lease,) = scene.lease(worker)
    assert lease.hi - lease.lo == 8
    scene.broker.leases.leave(scene.broker.leases.workers[worker], "frozen", scene.now)
    scene.say(worker, "done", lease)
    events = list(expand(record.as_dict() for record in scene.broker.states.events.since(0)))
    late = [event for event in events if event["kind"] == "duplicate"]
    assert len(late) == 8 and all(event["worker"] == worker and "task" not in event for event in late)
