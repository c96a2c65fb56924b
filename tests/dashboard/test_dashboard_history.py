"""The model behind the dashboard: what it makes of the event stream, and that it stays small."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dqlab.client.recording import _sample
from dqlab.dashboard.bin import BINS
from dqlab.dashboard.history import OUT_OF_REACH, History
from dqlab.dashboard.still import still
from tests.broker.simulated_master import SimulatedMaster


def look(history: History, master: SimulatedMaster) -> None:
    """Fold what is new, as a follower would."""
    history.feed([*master.events(since=history.seq), _sample(master.stats())])


def event(seq: int, time: float, kind: str, **fields: Any) -> dict[str, Any]:
    return {"seq": seq, "time": time, "kind": kind, **fields}


def test_a_task_becomes_a_bar_as_long_as_it_ran() -> None:
    history = History()
    history.feed([
        event(1, 100.0, "worker_joined", worker="w1", host="lab1"),
        event(2, 101.0, "leased", worker="w1", task=7),
        event(3, 101.5, "done", worker="w1", task=7, seconds=0.4),
    ])  # fmt: skip
    (bar,) = history.lanes["w1"].bars
    assert (bar.kind, bar.task, bar.count) == ("done", 7, 1)
    assert (bar.start, bar.end) == pytest.approx((1.1, 1.5))


def test_the_killed_workers_lane_ends_in_a_cross_and_its_task_is_linked_to_the_next_worker() -> None:
    master, history = SimulatedMaster(workers=2, seconds=1.0), History()
    master.submit(20)
    master.advance(master.now + 2.2)
    look(history, master)
    task = master.running["w1"][0]
    master.leave("w1")
    master.advance(master.now + 3)
    look(history, master)
    assert history.lanes["w1"].end == "died"
    assert [bar.kind for bar in history.lanes["w1"].bars][-1] == "lost"
    (link,) = history.links
    assert (link.source, link.target, link.task, link.count) == ("w1", "w2", task, 1)


def test_the_absence_of_a_master_that_died_is_a_gap_after_which_the_workers_are_back() -> None:
    history, reason = History(), "the master died"
    sample = {"kind": "sample", "queues": {}, "workers": {"w1": {"host": "lab1", "running": 7}}}
    history.feed([
        event(1, 100.0, "worker_joined", worker="w1", host="lab1"),
        event(2, 100.0, "worker_joined", worker="w2", host="lab1"),
        event(3, 101.0, "leased", worker="w1", task=7),
        {**sample, "time": 102.0},
        event((1 << 32) + 1, 108.0, "restarted", reason=reason),
        event((1 << 32) + 2, 108.0, "redelivered", worker="w1", task=7, reason=reason),
    ])  # fmt: skip
    assert list(history.absences) == history.frame()["absences"] == [[2.0, 8.0]]
    assert [(lane.left, lane.end) for lane in history.lanes.values()] == [(2.0, OUT_OF_REACH)] * 2
    (bar,) = history.lanes["w1"].bars
    assert (bar.start, bar.end, bar.kind, bar.text) == (1.0, 2.0, "lost", reason)  # not through the gap
    history.feed([event((1 << 32) + 3, 108.5, "worker_joined", worker="w1", host="lab1")])
    assert history.workers == ["w1"] and history.lanes["w2"].end == OUT_OF_REACH
    gap = Image.open(io.BytesIO(still(history))).convert("RGB")
    assert (0xD5, 0x5E, 0x00) in {colour for _, colour in gap.getcolors()}
    history.feed([event((1 << 32) + 4, 160.0, "worker_left", worker="w1", reason="asked to stop")])
    assert not history.absences


def test_of_the_time_before_the_first_look_at_a_master_nothing_is_said() -> None:
    history = History()
    history.feed([event((1 << 32) + 1, 108.0, "restarted", reason="the master died")])
    assert not history.absences


def test_a_stopped_worker_is_no_dead_worker() -> None:
    master, history = SimulatedMaster(workers=1), History()
    master.leave("w1", reason="asked to stop")
    look(history, master)
    assert history.lanes["w1"].end == "stopped"


def test_the_master_tells_of_the_death_first_and_of_the_lost_tasks_after_it() -> None:
    history = History()
    history.feed([
        event(1, 0.0, "worker_joined", worker="w1", host="lab1"),
        event(2, 0.0, "worker_joined", worker="w2", host="lab1"),
        event(3, 1.0, "leased", worker="w1", task=0, count=4),
        {"time": 1.2, "kind": "sample", "queues": {}, "workers": {"w1": {"host": "lab1", "running": 0}}},
        event(4, 2.0, "done", worker="w1", task=0, seconds=1.0),
        {"time": 2.2, "kind": "sample", "queues": {}, "workers": {"w1": {"host": "lab1", "running": 1}}},
        event(5, 3.0, "worker_left", worker="w1", reason="its connection ended"),
        event(6, 3.0, "redelivered", worker="w1", task=1, count=3, reason="its connection ended"),
        event(7, 3.1, "leased", worker="w2", task=1, count=3),
    ])  # fmt: skip
    lane = history.lanes["w1"]
    assert [(bar.task, bar.kind) for bar in lane.bars] == [(0, "done"), (1, "lost")]
    assert lane.bars[-1].start == pytest.approx(2.0)
    assert lane.end == "died"
    assert [(link.target, link.task, link.count) for link in history.links] == [("w2", 1, 3)]


def test_short_tasks_are_merged_and_counted() -> None:
    history = History(window=30.0)
    history.feed([event(1, 0.0, "worker_joined", worker="w1", host="h")])
    history.feed(event(i + 2, i / 1000, "done", worker="w1", task=i, seconds=0.001) for i in range(5_000))
    bars = history.lanes["w1"].bars
    assert sum(bar.count for bar in bars) == 5_000
    assert len(bars) < 10
    assert sum(slot.done["w1"] for slot in history.bins if slot.done) == 5_000


def test_a_record_of_many_tasks_counts_as_many() -> None:
    history = History()
    history.feed([event(1, 5.0, "done", worker="w1", task=0, count=1000, seconds=0.5)])
    (bar,) = history.lanes["w1"].bars
    assert (bar.count, bar.start, bar.end) == (1000, -0.5, 0.0)


@pytest.mark.parametrize("window", [30.0, None])
def test_outcomes_told_of_together_lie_one_before_the_other(window: float | None) -> None:
    history = History(window=window)
    history.feed([event(1, 0.0, "worker_joined", worker="w1", host="h")])
    screen: dict[int, list[Any]] = {}
    told = [(5.0, 0.5), (6.0, 0.3), (6.0, 0.2), (6.0, 0.25), (6.1, 0.3)]
    for seq, (when, seconds) in enumerate(told, start=2):
        before = history.version
        history.feed([event(seq, when, "done", worker="w1", task=seq, seconds=seconds)])
        bars = list(history.lanes["w1"].bars)
        assert all(one.end <= next_one.start for one, next_one in zip(bars, bars[1:], strict=False))
        screen |= {bar[0]: bar for bar in history.frame(before)["lanes"][0][-1]}
        assert list(screen.values()) == [bar.as_list() for bar in bars], "what has moved is told, too"
    lengths = [round(bar.end - bar.start, 3) for bar in history.lanes["w1"].bars]
    assert lengths == [0.5, 0.3, 0.2, 0.25, 0.1]


def test_a_record_keeps_failures_for_each_of_its_instants() -> None:
    live, recorded = History(), History(window=None)
    for history in (live, recorded):
        history.feed(event(i, float(i), "failed", task=i, reason="no") for i in range(1, 101))
    assert len(live.frame()["failures"]) == 20
    assert recorded.frame()["failures"][0][0] == 1


def test_events_that_were_told_before_are_not_folded_twice() -> None:
    master, history = SimulatedMaster(), History()
    master.submit(10)
    master.advance(master.now + 5)
    assert history.feed(master.events()) > 0
    before = history.frame()
    assert history.feed(master.events()) == 0
    assert history.frame() == before


@pytest.mark.parametrize(
    ("queue", "workers", "state"),
    [
        ({}, 0, "empty"),
        ({}, 2, "empty"),
        ({"ready": 3}, 0, "waiting"),
        ({"ready": 3}, 1, "busy"),
        ({"leased": 1}, 1, "busy"),
        ({"ready": 3, "paused": True}, 1, "paused"),
        ({"done": 3}, 1, "finished"),
        ({"failed": 3}, 0, "finished"),
    ],
)
def test_the_state_is_one_word(queue: dict[str, Any], workers: int, state: str) -> None:
    history = History()
    history.feed(event(i + 1, 0.0, "worker_joined", worker=f"w{i}", host="h") for i in range(workers))
    history.feed([{"time": 1.0, "kind": "sample", "queues": {"default": queue}}])
    assert history.state == state


def test_the_traceback_of_a_failed_task_follows_its_failure() -> None:
    master, history = SimulatedMaster(failing=1.0), History()
    master.submit(1)
    master.advance(master.now + 30)
    look(history, master)
    failure = master.failures()[0]
    history.feed([{"time": master.now, "kind": "failure", "task": failure["task"], "text": failure["traceback"]}])
    ((task, queue, _, reason, text),) = history.frame()["failures"]
    assert (task, queue, reason) == (0, "default", "ValueError: bad pixel")
    assert text.startswith("Traceback")


def test_what_tasks_print_is_kept_line_by_line() -> None:
    history = History()
    history.feed([event(1, 1.0, "printed", task=7, worker="w1", text="one\ntwo\n")])
    version = history.version
    assert history.frame()["printed"] == [[7, "w1", 0.0, "one"], [7, "w1", 0.0, "two"]]
    assert "printed" not in history.frame(version)
    history.feed([event(2, 2.0, "printed", task=8, worker="w1", text="x" * 5_000 + "\n" * 1_000)])
    assert len(history.frame(version)["printed"]) == 100 and len(history.printed[-1][3]) <= 200


def test_a_worker_whose_joining_the_master_has_forgotten_has_a_lane_with_its_host() -> None:
    history = History()
    history.feed([
        event(7, 10.0, "leased", worker="w1", task=7),
        {"time": 10.1, "kind": "sample", "queues": {},
         "workers": {"w1": {"host": "a", "running": 7}, "w2": {"host": "b"}}},
    ])  # fmt: skip
    assert [(lane.name, lane.host, lane.task) for lane in history.lanes.values()] == [("w1", "a", 7), ("w2", "b", None)]


class Screen:
    """Keeps what frames tell, as the widget's JavaScript does."""

    def __init__(self) -> None:
        self.bars: dict[tuple[str, int], list[Any]] = {}
        self.bins: dict[float, list[Any]] = {}
        self.links: dict[tuple[Any, ...], list[Any]] = {}

    def show(self, frame: dict[str, Any]) -> None:
        for lane in frame["lanes"]:
            for bar in lane[-1]:
                self.bars[lane[0], bar[0]] = bar
        for slot in frame["bins"]:
            self.bins[slot[0]] = slot
        for link in frame["links"]:
            self.links[tuple(link[:4])] = link


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["submit", "add", "kill", "stop", "pause", "resume", "wait"]), max_size=25),
    st.floats(0.01, 2.0),
    st.integers(0, 5),
)
def test_differences_add_up_to_the_whole(acts: list[str], seconds: float, seed: int) -> None:
    master, screen = SimulatedMaster(workers=2, seconds=seconds, failing=0.2, seed=seed), Screen()
    history = History(window=3600.0, slice=0.1)
    told = 0
    for act in acts:
        if act == "submit":
            master.submit(5)
        elif act == "add":
            master.add()
        elif act in ("kill", "stop") and master.hosts:
            master.leave(min(master.hosts), "killed" if act == "kill" else "asked to stop")
        elif act in ("pause", "resume"):
            getattr(master, act)()
        master.advance(master.now + 0.7)
        look(history, master)
        screen.show(history.frame(told))
        told = history.version
    whole = Screen()
    whole.show(history.frame())
    assert (screen.bars, screen.bins, screen.links) == (whole.bars, whole.bins, whole.links)
    done = sum(bar.count for lane in history.lanes.values() for bar in lane.bars if bar.kind == "done")
    assert done == master.counts["done"]


def test_a_frame_is_plain_data_and_small_when_little_happened() -> None:
    master, history = SimulatedMaster(workers=16, seconds=0.3), History()
    master.submit(2_000)
    for _ in range(150):
        master.advance(master.now + 0.2)
        look(history, master)
    told = history.version
    assert len(json.dumps(history.frame())) < 200_000
    master.advance(master.now + 0.2)
    look(history, master)
    assert 0 < len(json.dumps(history.frame(told))) < 5_000


def test_an_hour_of_work_stays_small() -> None:
    master, history = SimulatedMaster(workers=8, seconds=0.5, remembered=500), History()

    def work(seconds: int) -> int:
        for i in range(seconds):
            master.submit(16)
            if i % 60 == 59:
                master.leave(min(master.hosts), "killed")
                master.add()
            master.advance(master.now + 1.0)
            look(history, master)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_minutes, after_an_hour = work(300), work(3300)
    finally:
        tracemalloc.stop()
    assert after_an_hour - after_minutes < 300_000
    assert len(history.bins) <= BINS + 30
    assert len(history.lanes) < 12
    assert sum(len(lane.bars) for lane in history.lanes.values()) < 8 * 100
