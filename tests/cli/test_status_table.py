"""`dqlab status` for people."""

from __future__ import annotations

from dqlab.cli.status_table import status_table
from tests.broker.scene import Scene


def test_an_empty_master_says_what_to_do():
    text = status_table(Scene().broker.stats(1000.0), "127.0.0.1:5000")
    assert text.splitlines()[0] == "dqlab master at 127.0.0.1:5000   0.0 tasks/s   latency -"
    assert "no queue yet: nothing was submitted" in text
    assert "no worker is connected; start one: dqlab worker CONNECTION" in text


def test_queues_and_workers_stand_in_columns():
    scene = Scene()
    worker = scene.join()
    scene.submit(30)
    scene.submit(5, queue="images")
    scene.broker.states.pause("images", True, scene.now)
    scene.work(worker, seconds=0.5)
    scene.now += 0.5
    lines = status_table(scene.broker.stats(scene.now), "lab1:5000").splitlines()
    assert lines[0] == "dqlab master at lab1:5000   2.0 tasks/s   latency 500.0 ms median, 500.0 ms at 95 %"
    assert lines[2].split() == ["queue", "ready", "delayed", "leased", "done", "failed", "redelivered"]
    assert lines[3].split() == ["default", "29", "0", "0", "1", "0", "0"]
    assert lines[4].split() == ["images", "(paused)", "5", "0", "0", "0", "0", "0"]
    assert lines[6].split() == ["worker", "host", "pid", "state", "done", "busy"]
    assert lines[7].split()[:5] == ["w1", "host", "17", "idle", "1"]
    assert len({len(line) for line in lines[2:5]}) == len({len(line) for line in lines[6:8]}) == 1


def test_seconds_from_one_on_are_shown_as_seconds():
    scene = Scene()
    scene.submit(1)
    scene.work(scene.join(), seconds=2.5)
    assert "latency 2.5 s median" in status_table(scene.broker.stats(scene.now), "x:1")


def test_what_a_terminal_would_take_for_a_command_is_made_visible():
    stats = Scene().broker.stats(1000.0)
    worker = {
        "name": "w\x1b[31m",
        "host": "h\x1b]0;owned\x07\n",
        "pid": 1,
        "state": "idle",
        "done": 0,
        "utilisation": 0.0,
        "queues": None,
    }
    text = status_table({**stats, "workers": [worker]}, "x:1")
    assert "\x1b" not in text and "\x07" not in text and len(text.splitlines()) == 6
    assert r"w\x1b[31m" in text and r"h\x1b]0;owned\x07\n" in text
