"""A story: a sentence, lanes of text, a drawing; and the same after a journey as JSON."""

import json
import re
from xml.etree import ElementTree

import pytest

from dqlab.workbench.drawing import drawing
from dqlab.workbench.events import Event
from dqlab.workbench.story import Story
from dqlab.workbench.text_lanes import text_lanes

LATE = Story(
    4,
    (
        Event(0.0, "put", task="task 1"),
        Event(0.1, "put", task="task 2"),
        Event(0.2, "took", "w1", "task 2"),
        Event(0.3, "froze", "w1", "task 2"),
        Event(5.8, "took", "w2", "task 2"),
        Event(5.9, "done", "w2", "task 2", counted=True),
        Event(6.0, "late", "w1", "task 2", counted=True),
    ),
    "task 2",
    ": twice.",
)
MASTER = Story(
    6,
    (
        Event(0.0, "put", task="task 1"),
        Event(0.1, "took", "w1", "task 1"),
        Event(0.2, "done", "w1", "task 1", heard=False),
        Event(0.2, "died", text="in done"),
        Event(0.2, "again", "w1", "task 1", counted=True),
        Event(0.3, "killed", "w1"),
        Event(0.4, "failed", task="task 1"),
        Event(0.5, "nothing", "w2"),
    ),
    "",
    "; and so on.",
)


def test_the_sentence_of_its_task() -> None:
    assert LATE.sentence == (
        "w1 took task 2, froze; w2 was given it at 5.8, and its result was counted; w1 came back, and its result was "
        "counted: twice."
    )
    assert MASTER.sentence == (
        "task 1 was put; w1 took task 1, and its result was brought; the master died in done, just after a write, and "
        "came back; w1 told its result again, and it was counted, was killed; task 1 was given up; and so on."
    )


def test_lanes_of_text() -> None:
    assert (
        text_lanes(LATE)
        == """\
 time            master            w1              w2
  0.0     task 1 ──▶│
  0.1     task 2 ──▶│
  0.2               │──── task 2 ──▶│
  0.3               │               ┊ frozen
  5.8               │──────────────────── task 2 ──▶│
  5.9               │◀────────────────── counted ───│
  6.0               │◀── counted ───│               │"""
    )
    assert (
        text_lanes(MASTER)
        == """\
 time            master            w1              w2
  0.0     task 1 ──▶│
  0.1               │──── task 1 ──▶│
  0.2               │◀── result ────│
  0.2               ✕ killed, starts again
  0.2               │◀── counted ───│
  0.3               │               ✕ killed
  0.4               │ task 1 failed
  0.5               │                               │ nothing"""
    )


@pytest.mark.parametrize("story", [LATE, MASTER], ids=["late", "master"])
def test_a_drawing_has_a_lane_for_everybody_and_a_place_for_each_event(story: Story) -> None:
    root = ElementTree.fromstring(drawing(story))
    words = [text.text for text in root.iter("text")]
    assert {"master", *story.workers} <= set(words)
    assert [word for word in words if word and re.fullmatch(r"[\d.]+ s", word)] == [
        f"{e.at:.1f} s" for e in story.events
    ]
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for text in root.iter("text"):
        assert 0 < float(text.attrib["x"]) < width and 0 < float(text.attrib["y"]) < height
    assert root.attrib["aria-label"] == story.sentence
    assert ("twice" in words) == (story is LATE)


def test_as_json_and_back() -> None:
    assert Story.from_dict(json.loads(json.dumps(LATE.as_dict()))) == LATE
