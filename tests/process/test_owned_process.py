"""A process that ends with its owner, whatever state either is in."""

import os
import queue
import signal
import sys
import time

import psutil
import pytest

from dqlab.process.owned_process import REACT, OwnedProcess
from tests.cluster import gone, script, start
from tests.helpers import eventually

#: answers each line as `watch_owner` does, and says what it was told
OBEDIENT = """
import json, os, sys
from dqlab.process.owner import die_with_parent, read_settings, say, watch_owner
import threading
die_with_parent()
say(settings=read_settings())
end = threading.Event()
watch_owner(end.set, lambda command: say(told=command))
end.wait()
"""


@pytest.fixture
def said():
    return queue.Queue()


@pytest.fixture
def owned(said):
    process = OwnedProcess([sys.executable, "-c", OBEDIENT], {"n": 1}, lambda _, message: said.put(message))
    yield process
    process.kill()
    process.end()


def test_it_is_told_its_settings_then_orders_and_ends_with_its_input(owned, said):
    assert not owned.alive  # before it is started
    owned.start()
    assert said.get(timeout=20) == {"settings": {"n": 1}}
    owned.tell({"stop": "w1"})
    assert said.get(timeout=20) == {"told": {"stop": "w1"}}
    assert owned.alive and not owned.frozen
    owned.end()
    assert said.get(timeout=20) is None
    assert (owned.alive, owned.returncode, owned.words()) == (False, 0, "")


def test_its_last_words_have_no_colours(said, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a notebook's kernel does
    process = OwnedProcess([sys.executable, "-c", "1 / 0"], {}, lambda _, message: said.put(message))
    process.start()
    assert said.get(timeout=20) is None
    assert process.words().endswith("\nZeroDivisionError: division by zero")


def test_one_that_is_frozen_is_seen_and_killed_soon(owned, said):
    owned.start()
    said.get(timeout=20)
    os.kill(owned.pid, signal.SIGSTOP)
    began = time.monotonic()
    owned.tell({"stop": None})
    assert not owned.frozen
    # An answer to what it was told before may still have been on its way here: it is told again, as launchers do.
    eventually(lambda: owned.tell({"stop": None}) or owned.frozen, REACT + 3)
    owned.end(timeout=30)
    assert time.monotonic() - began < REACT + 4
    assert gone(owned.pid)


def test_one_that_was_never_started_ends_at_once(owned):
    owned.kill()
    owned.end()
    owned.start()  # an interrupted `start` may be late
    eventually(lambda: owned.ended)
    assert owned.pid == 0


def test_one_that_is_ended_while_it_starts_does_not_stay(owned):
    owned.start()
    owned.kill()
    eventually(lambda: owned.ended, 20)
    assert gone(owned.pid) or owned.pid == 0


def test_one_that_cannot_be_started_says_why(said):
    process = OwnedProcess(["/no/such/program"], {}, lambda _, message: said.put(message))
    process.start()
    assert said.get(timeout=20) is None
    assert process.begun and process.ended
    assert "No such file" in process.words()


def test_its_words_may_be_anything(said):
    program = r"import sys; sys.stderr.buffer.write(b'\xff broken \n' + b'x' * 50_000); print('no json')"
    process = OwnedProcess([sys.executable, "-c", program], {}, lambda _, message: said.put(message))
    process.start()
    assert said.get(timeout=20) is None
    assert "\ufffd broken" in process.words() and "no json" in process.words()


def test_a_forked_copy_of_the_owner_ends_nothing(owned, said):
    owned.start()
    said.get(timeout=20)
    pid = os.fork()
    if not pid:
        owned.kill()
        owned.end()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    owned.tell({"still": "there"})
    assert said.get(timeout=20) == {"told": {"still": "there"}}


OWNER = """
    import sys, time
    from dqlab.process.owned_process import OwnedProcess

    process = OwnedProcess([sys.executable, "-c", sys.argv[1]], {}, lambda process, _: print(process.pid, flush=True))
    process.start()
    time.sleep(60)
"""


def test_one_that_is_stopped_ends_with_a_killed_owner(tmp_path):
    owner = start(script(tmp_path, OWNER), OBEDIENT)
    try:
        pid = int(owner.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        owner.kill()
        eventually(lambda: gone(pid), 5, "the end of a stopped process")
    finally:
        owner.kill()
        owner.communicate()
