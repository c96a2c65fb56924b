"""Whoever waits at the inbox is woken by words and by its stream, by each once, and by nothing else."""

import os
import threading
import time

import pytest

from dqlab.worker.inbox import Inbox, readable


@pytest.fixture
def inbox():
    inbox = Inbox()
    yield inbox
    inbox.close()


def test_words_come_in_order_and_once(inbox):
    assert inbox.wait(0) == ([], False)
    for word in range(5):
        inbox.put(word)
    assert inbox.wait(20) == ([0, 1, 2, 3, 4], False)
    assert inbox.wait(0) == ([], False)


def test_a_word_wakes_whoever_waits(inbox):
    waits = threading.Event()
    heard: list[object] = []

    def wait() -> None:
        waits.set()
        heard.append(inbox.wait(20))

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(10)
    inbox.put("stop")
    thread.join(10)
    assert heard == [(["stop"], False)]


def test_no_number_of_words_is_too_many_and_none_is_lost(inbox):
    threads = [threading.Thread(target=lambda: [inbox.put(word) for word in range(5_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    heard: list[int] = []
    deadline = time.monotonic() + 20
    while len(heard) < 20_000 and time.monotonic() < deadline:
        heard += inbox.wait(10)[0]
    for thread in threads:
        thread.join(10)
    assert sorted(heard) == sorted(4 * list(range(5_000)))
    assert inbox.wait(0) == inbox.wait(0) == ([], False)


def test_a_stream_is_told_until_it_is_read_or_ignored(inbox):
    out, into = os.pipe()
    with os.fdopen(out, "rb") as pipe, os.fdopen(into, "wb", buffering=0) as far_end:
        stream = readable(pipe)
        inbox.listen(stream)
        assert inbox.wait(0) == ([], False)
        far_end.write(b"abc")
        inbox.put("word")
        assert inbox.wait(20) == (["word"], True)
        assert stream.read(100) == b"abc" and stream.read(100) is None
        assert inbox.wait(0) == ([], False)
        far_end.close()
        assert inbox.wait(20) == ([], True) == inbox.wait(20)
        inbox.ignore()
        inbox.ignore()
        assert inbox.wait(0) == ([], False)


def test_a_word_after_the_end_is_no_error(inbox):
    inbox.close()
    inbox.put("too late")
