"""Lesson 01: what the checker says to a dozen clients."""

import decimal
from typing import Any

import numpy
import pytest

from dqlab.lessons import check
from dqlab.lessons.check import raw_messages
from tests.lessons.answers import learner, rows, solution, verdict

RIGHT = solution("01_master")

PUT = RIGHT[RIGHT.index('        wire.send(("results') : RIGHT.index("\nmy_round_trips")]
PUT_TWICE = RIGHT.replace(PUT, PUT + PUT)
TWO_WIRES = RIGHT.replace(
    PUT,
    "    with Client(address, authkey=key) as wire:\n"
    '        wire.send((None, "accept_connection", ("me",), {}))\n        wire.recv()\n' + PUT,
)

#: what it is: the cell, how many round trips the learner says, and what the checker does
TABLE: dict[str, tuple[str, Any, str]] = {
    "blank": ("do_one_task = ...", 3, "Not yet: the answer should be a function, and it is Ellipsis. Run the cell"),
    "dots": (RIGHT.replace('"get"', "..."), 3, "Not yet: one of your messages still has dots (...) in it."),
    "wrong method": (RIGHT.replace('"get"', '"take"'), 3, "'take' may not be called on 'tasks'"),
    "wrong words": (RIGHT.replace("success", "well"), 3, "should hold 'url_7 ------> success', and it holds 'url_7 --"),
    "a url that it did not take": (RIGHT.replace('f"{url} -', '"url_8 -'), 3, "and it holds 'url_8 ------> success'"),
    "put twice": (
        PUT_TWICE, 4, "should hold 'url_7 ------> success', and it holds 'url_7 ------> success' and 'url_7 ------> su",
    ),
    "over two connections": (
        TWO_WIRES, 4, "your client took url_7, and its connection ended before there was a result: now url_7 waits for",
    ),
    "onto the wrong queue": (RIGHT.replace('"results"', '"tasks"'), 3, "Where does the result go, and over which conn"),
    "without waiting": (RIGHT.replace('"get"', '"get_nowait"'), 3, "Yes: url_7 is done, with 3 round trips"),
    "miscounted": (RIGHT, 2, "with 3 round trips after the handshake; you said 2. Which are they?"),
    "uncounted": (RIGHT, ..., "with 3 round trips after the handshake; you have not said how many."),
    "not counted in numbers": (RIGHT, "three", "Not yet: your answer is 'three', and that is no number."),
    "does nothing": (
        "def do_one_task(address, key): pass", 3,
        "Not yet: your client came and went, and url_7 is still not done. Which message takes a task?",
    ),
    "raising": (
        "def do_one_task(address, key):\n    1 / 0", 3,
        "Not yet: your function raised ZeroDivisionError: division by zero Traceback (most recent call last): "
        'File "a cell", line 3, in do_one_task',
    ),
    "leaving": ("def do_one_task(address, key): sys.exit()", 3, "Not yet: your function raised SystemExit"),
    "ending its process": (
        "def do_one_task(address, key): os._exit(4)", 3, "Not yet: your function ended its process (exit code 4).",
    ),
    "killing itself": ("def do_one_task(address, key): os.kill(os.getpid(), 9)", 3, "ended its process (signal 9)."),
    "endless": ("def do_one_task(address, key):\n    while True: pass", 3, "your function still ran after 2 s."),
    "a flood": (
        "def do_one_task(address, key):\n    while True: print('x' * 500)", 3,
        "Does it wait for something that never comes? it printed: xxxx",
    ),
    "leaves a process": (
        "def do_one_task(address, key):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(77)\n", 3,
        "url_7 is still not done",
    ),
    "a list": ("do_one_task = ['get', 'put']", 3, "should be a function, and it is ['get', 'put']."),
    "can't travel": ("lock = __import__('threading').Lock()\ndef do_one_task(a, k): lock", 3, "can't be sent to"),
    "in words": (RIGHT, "3", "Yes: url_7 is done, with 3 round trips after the handshake, as you said."),
    "in numpy's": (RIGHT, numpy.int64(3), "Yes: url_7 is done"),
    "as a decimal": (RIGHT, decimal.Decimal(3), "Yes: url_7 is done"),
    "solution": (RIGHT, 3, "Yes: url_7 is done, with 3 round trips after the handshake, as you said."),
}  # fmt: skip


@pytest.mark.parametrize(("code", "count", "says"), rows(TABLE))
def test_answers_to_01(
    code: str, count: Any, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(raw_messages.random, "randrange", lambda most: 7)
    monkeypatch.setattr(raw_messages, "PATIENCE", 2.0 if "2 s" in says or "xxxx" in says else 15.0)
    assert says in verdict(check.raw_client, learner(code)["do_one_task"], count, capsys=capsys)


def test_the_solution_counts_right() -> None:
    assert learner(RIGHT)["my_round_trips"] == 3
