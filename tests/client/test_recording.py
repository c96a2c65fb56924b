"""Records: following a master, keeping what happened in a file, reading it again, and what is refused."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dqlab.client.recording import PERIOD, Recorder, _failure, _sample, follow, read
from dqlab.dashboard import trace
from dqlab.dashboard.history import History
from dqlab.errors import BadInput
from tests.broker.simulated_master import SimulatedMaster
from tests.helpers import eventually


def test_a_record_holds_what_happened(tmp_path: Path) -> None:
    master = SimulatedMaster(workers=2, seconds=0.05, live=True)
    with Recorder(master, tmp_path / "run.jsonl") as recorder:
        master.submit(10)
        eventually(lambda: master.counts["done"] == 10 or master.advance(time.time()))
    assert repr(recorder) == "<Recorder run.jsonl stopped>"
    lines = read(tmp_path / "run.jsonl")
    assert [line["seq"] for line in lines if "seq" in line] == list(range(1, master.seq + 1))
    assert lines[-1]["kind"] == "sample"
    assert lines[-1]["queues"]["default"]["done"] == 10


def test_samples_are_written_only_when_something_changed(tmp_path: Path) -> None:
    master = SimulatedMaster(workers=0)
    with Recorder(master, tmp_path / "run.jsonl"):
        eventually(lambda: (tmp_path / "run.jsonl").read_text().count("sample"))
        looks: list[int] = []
        real, master.stats = master.stats, lambda: looks.append(1) or real()  # type: ignore[func-returns-value]
        eventually(lambda: len(looks) > 2)
    assert sum(line["kind"] == "sample" for line in read(tmp_path / "run.jsonl")[:-1]) <= 1


def test_the_masters_end_ends_the_record_and_is_in_it(tmp_path: Path) -> None:
    master = SimulatedMaster(workers=1, live=True)
    recorder = Recorder(master, tmp_path / "run.jsonl")
    eventually(lambda: "worker_joined" in (tmp_path / "run.jsonl").read_text())
    master.dead = True
    eventually(lambda: "stopped" in repr(recorder))
    assert read(recorder.path)[-1]["kind"] == "end"


def test_following_is_no_faster_than_five_looks_a_second() -> None:
    master, stop = SimulatedMaster(workers=1, seconds=0.01, live=True), threading.Event()
    master.submit(1_000)
    began, looks = time.monotonic(), 0
    for _ in follow(master, stop):
        looks += 1
        if looks == 6:
            stop.set()
    assert time.monotonic() - began >= 5 * PERIOD * 0.95


def test_a_task_that_fails_just_after_the_events_were_asked_for_has_its_traceback() -> None:
    master, stop, history = SimulatedMaster(workers=1, seconds=0.01, failing=1.0), threading.Event(), History()
    master.submit(1)
    real = master.stats
    master.stats = lambda: master.advance(master.now + 5) or real()  # type: ignore[func-returns-value,method-assign]
    for looks, lines in enumerate(follow(master, stop, period=0.01)):
        history.feed(lines)
        if looks == 2:
            stop.set()
    ((*_, traceback),) = history.failures
    assert traceback.startswith("Traceback")


class Text(str):
    """A text whose life can be followed."""


def test_a_recorder_remembers_only_the_latest_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, most = [], []

    def following(*_: Any) -> Iterator[list[dict[str, Any]]]:
        for look in range(100):
            rows = [{"time": 1.0, "kind": "failure", "task": look * 5 + i, "text": Text("no")} for i in range(5)]
            texts.extend(weakref.ref(row["text"]) for row in rows)
            yield rows
            most.append(sum(text() is not None for text in texts))

    monkeypatch.setattr("dqlab.client.recording.follow", following)
    recorder = Recorder(SimulatedMaster(workers=0), tmp_path / "run.jsonl")
    eventually(lambda: "stopped" in repr(recorder))
    assert len([line for line in read(recorder.path) if line["kind"] == "failure"]) == 500
    assert max(most) < 60


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header"),
        ("hello\n", "no header"),
        ('{"dqlab_record": 1}\n', "holds no event"),
        ('{"dqlab_record": 1}\n{"kind": "done"}\n{"time": 1, "kind": "done"}\n', "line 2"),
        ('{"dqlab_record": 1}\n[]\n{"time": 1, "kind": "done"}\n', "line 2"),
        ('{"dqlab_record": 1}\n{"time": 1, "kind": "done"}\n{"time": 1, "kind": "paused"}\n', "line 2"),
        ('{"dqlab_record": 1}\n{"time": 1, "kind": "sample"}\n{"time": 1, "kind": "paused"}\n', "line 2"),
        ('{"dqlab_record": 1}\n{"time": "noon", "kind": "paused"}\n{"time": 1, "kind": "paused"}\n', "line 2"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "run.jsonl").write_text(text)
    with pytest.raises(BadInput, match=says):
        read(tmp_path / "run.jsonl")


def test_a_missing_file_and_a_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no file"):
        read(tmp_path / "nothing.jsonl")
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(BadInput, match="not a text file"):
        read(tmp_path / "picture.png")


def test_a_last_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"dqlab_record": 1}\n{"seq": 1, "time": 1, "kind": "paused"}\n{"seq": 2, "ti')
    assert [line["seq"] for line in read(tmp_path / "run.jsonl")] == [1]


def simulated_record(path: Path) -> SimulatedMaster:
    """A run of 60 tasks on two workers, one of which is killed, as a record at ``path``."""
    master = SimulatedMaster(workers=2, seconds=0.5, failing=0.1)
    lines: list[dict[str, Any]] = [{"dqlab_record": 1}]
    master.submit(60)
    for step in range(120):
        if step == 20:
            master.leave("w1")
            master.add("lab2")
        master.advance(master.now + 0.2)
        seq = max((line.get("seq", 0) for line in lines), default=0)
        lines += [*master.events(since=seq), _sample(master.stats())]
        told = sum(line.get("kind") == "failure" for line in lines)
        lines += [_failure(failure, master.now) for failure in master.failed[told:]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return master


def test_a_trace_has_a_slice_for_each_attempt_a_death_and_an_arrow(tmp_path: Path) -> None:
    master = simulated_record(tmp_path / "run.jsonl")
    assert trace(tmp_path / "run.jsonl", tmp_path / "run.json") == tmp_path / "run.json"
    events = json.loads((tmp_path / "run.json").read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert sum(event["cat"] == "done" for event in slices) == master.counts["done"] == 60 - master.counts["failed"]
    assert sum(event["cat"] == "lost" for event in slices) == 1
    assert [event["name"] for event in events if event["ph"] == "i"] == ["worker died"]
    start, finish = (next(event for event in events if event["ph"] == phase) for phase in "sf")
    assert start["id"] == finish["id"] and start["ts"] < finish["ts"]
    taken_over = next(e for e in slices if e["tid"] == finish["tid"] and e["ts"] <= finish["ts"] <= e["ts"] + e["dur"])
    lost = next(event for event in slices if event["cat"] == "lost")
    assert taken_over["name"] == lost["name"]
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert names == {"master", "lab1", "lab2", "w1", "w2", "w3"}
    assert all(event["ts"] >= -100 and event.get("dur", 0) >= 0 for event in events if "ts" in event)


def test_a_replayed_record_ends_where_the_run_ended(tmp_path: Path) -> None:
    master = simulated_record(tmp_path / "run.jsonl")
    history = History(window=None)
    history.feed(read(tmp_path / "run.jsonl"))
    assert history.levels[3:6] == [master.counts[name] for name in ("done", "failed", "redelivered")]
    assert history.state == "finished"


def test_in_a_trace_no_task_begins_before_the_one_before_it_has_ended(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"dqlab_record": 1},
        {"seq": 1, "time": 10.0, "kind": "worker_joined", "worker": "w1", "host": "lab1"},
        {"seq": 2, "time": 11.0, "kind": "done", "worker": "w1", "task": 1, "seconds": 0.3},
        {"seq": 3, "time": 11.0, "kind": "done", "worker": "w1", "task": 2, "seconds": 0.3},  # told of together
        {"seq": 4, "time": 11.2, "kind": "done", "worker": "w1", "task": 3, "seconds": 0.25},  # the ones before late
    ]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    events = json.loads(trace(tmp_path / "run.jsonl", tmp_path / "run.json").read_text())["traceEvents"]
    slices = [(event["ts"], event["ts"] + event["dur"]) for event in events if event["ph"] == "X"]
    assert slices == [(400_000, 700_000), (700_000, 1_000_000), (1_000_000, 1_200_000)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": "<img src=x>"}, {"task": -1}, {"task": True}, {"task": None}, {"count": "2"}, {"count": 1.5},
        {"time": "now"}, {"time": -1}, {"time": 1e300}, {"time": float("nan")}, {"time": None}, {"seconds": [1]},
        {"queue": 5},
        {"kind": 1}, {"worker": ["x"]}, {"host": {}}, {"reason": 1}, {"seq": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_line_with_a_wrong_field_is_refused_by_its_number_and_the_field(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    line = {"seq": 1, "time": 1.0, "kind": "failed", "task": 1, "queue": "q", "worker": "w", "reason": "r", "count": 1}
    record = tmp_path / "record.jsonl"
    record.write_text("\n".join(json.dumps(part) for part in ({"dqlab_record": 1}, line, {**line, **wrong})) + "\n")
    with pytest.raises(BadInput, match=f"line 3: {next(iter(wrong))} is "):
        read(record)


@pytest.mark.parametrize(
    "sample",
    [
        {"queues": 5}, {"queues": {"q": 1}}, {"queues": {"q": {"ready": "<b>"}}}, {"queues": {}, "latency": None},
        {"queues": {}, "latency": {"p50": "<b>"}}, {"queues": {}, "workers": []},
        {"queues": {}, "workers": {"w": {"host": "h", "running": "<b>"}}}, {},
    ],
    ids=str,
)  # fmt: skip
def test_a_sample_without_sense_is_refused(tmp_path: Path, sample: dict[str, Any]) -> None:
    record = tmp_path / "record.jsonl"
    lines = ({"dqlab_record": 1}, {"time": 1, "kind": "sample", **sample})
    record.write_text("\n".join(map(json.dumps, lines)) + "\n")
    with pytest.raises(BadInput, match="line 2: "):
        read(record)


def test_a_record_is_its_owners_only_also_where_an_older_one_was_not(tmp_path: Path) -> None:
    for name in ("new.jsonl", "old.jsonl"):
        path = tmp_path / name
        if name == "old.jsonl":
            path.touch(0o644)
            path.chmod(0o644)
        with Recorder(SimulatedMaster(workers=0), path):
            assert path.stat().st_mode & 0o777 == 0o600
