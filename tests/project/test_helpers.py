"""The tests' own watchman sees what a test leaves behind, and nbval compares what must not change."""

import configparser
import re
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import psutil
import pytest

from tests.helpers import MARK, eventually, free_port, marked_processes, nothing_left

SANITIZE = Path(__file__).parents[1] / "sanitize.cfg"

SLEEPER = "import time; print('here', flush=True); time.sleep(600)"


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A mark of its own, so that what is left on purpose is not this test's."""
    monkeypatch.setenv(MARK, mark := uuid.uuid4().hex)
    return mark


def test_a_process_left_behind_is_named_and_ended(mark: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="left behind.*time.sleep"), nothing_left(mark, tmp_path, timeout=0.1):
        process = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE)
        assert process.stdout and process.stdout.readline()
    assert process.wait(10) != 0
    process.stdout.close()


def test_an_orphan_is_found_too(mark: str, tmp_path: Path) -> None:
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])"
    with pytest.raises(AssertionError, match="left behind"), nothing_left(mark, tmp_path, timeout=0.1):
        subprocess.run([sys.executable, "-c", parent], stdout=subprocess.DEVNULL, check=True)
        (orphan,) = eventually(lambda: marked_processes(mark), what="the orphan")
    assert orphan.pid not in [child.pid for child in psutil.Process().children(recursive=True)]
    eventually(lambda: not marked_processes(mark), what="the end of the orphan")


def test_threads_ports_and_files_are_found(mark: str, tmp_path: Path) -> None:
    go_on = threading.Event()
    waiting = threading.Thread(target=go_on.wait, name="waiting-for-ever")
    with pytest.raises(AssertionError) as told, nothing_left(mark, tmp_path, timeout=0.1):
        waiting.start()
        listening = socket.create_server(("127.0.0.1", port := free_port()))
        (tmp_path / "forgotten.txt").touch()
    go_on.set()
    waiting.join()
    listening.close()
    assert all(word in str(told.value) for word in ("waiting-for-ever", str(port), "forgotten.txt"))


def test_what_ends_in_time_is_not_held_against_a_test(mark: str, tmp_path: Path) -> None:
    with nothing_left(mark, tmp_path):
        ending = threading.Timer(0.2, (tmp_path / "passing").touch)
        ending.start()
        eventually((tmp_path / "passing").exists)
        (tmp_path / "passing").unlink()
    ending.join()


def test_eventually_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: rain; last seen: 0"):
        eventually(lambda: 0, timeout=0.05, what="rain")


def sanitized(text: str) -> str:
    """What nbval compares in place of `text`."""
    rules = configparser.RawConfigParser()
    rules.read(SANITIZE)
    for name in rules.sections():
        text = re.sub(rules[name]["regex"], rules[name]["replace"], text)
    return text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("master serving at 127.0.0.1:40123", "master serving at 127.0.0.1:5000"),
        ("w1 joined, pid 1234", "w1 joined, pid 99"),
        ("200 results in 2.53 s", "200 results in 2.6 s"),
        ("took 12 ms each", "took 9.1 ms each"),
        ("1,234 tasks/s", "987.5 tasks/s"),
        ("<function f at 0x7f5f14d8ed40>", "<function f at 0x10f>"),
        ("written to /tmp/dqlab-x1/a.png", "written to /tmp/dqlab-y2/b/a.png"),
        ("2026-01-02 10:11:12 w1 left", "2025-12-31 23:59:59.123 w1 left"),
        ("100%|██████████| 208/208 [00:01<00:00, 120.33it/s]", "100%|██████████| 208/208 [00:02<00:00, 99.1it/s]"),
    ],
)
def test_what_differs_from_run_to_run_is_not_compared(one: str, other: str) -> None:
    assert sanitized(one) == sanitized(other)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("10 of 10 results", "9 of 10 results"),
        ("done: 200, redelivered: 1", "done: 200, redelivered: 0"),
        ("w1 took task 3", "w2 took task 3"),
        ("[0, 1, 4, 9]", "[0, 1, 9, 4]"),
        ("ValueError: 17 is too large", "ValueError"),
        ("100%|██████████| 208/208 [00:01<00:00]", "100%|██████████| 207/208 [00:01<00:00]"),
        ("attempt 2 of 3", "attempt 3 of 3"),
    ],
)
def test_what_a_lesson_claims_is_compared(right: str, wrong: str) -> None:
    assert sanitized(right) != sanitized(wrong)
