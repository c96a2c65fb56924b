"""The threads that fetch when a crawl has no workers: futures as everywhere, and nobody waits for them at the end."""

import subprocess
import sys
import time
from queue import SimpleQueue
from threading import Barrier, Event, Thread, current_thread

import pytest

from dqlab.crawl import crew
from dqlab.crawl.threads import Threads
from tests.helpers import eventually


def test_results_and_errors_come_as_futures_bring_them():
    threads = Threads()
    assert threads.submit(divmod, 7, 2).result(timeout=10) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 1, 0).result(timeout=10)


def test_a_process_ends_without_what_still_waits():
    program = "import threading; from dqlab.crawl.threads import Threads; Threads().submit(threading.Event().wait, 60)"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
    assert time.monotonic() - began < 50


def test_threads_are_kept_for_the_next_job_and_none_waits_for_another():
    ran, apart, together = SimpleQueue(), Event(), Barrier(20)
    crew.start(lambda: (ran.put(current_thread()), apart.wait(30)))
    first = ran.get(timeout=10)
    for _ in range(20):  # each needs a thread of its own
        crew.start(lambda: (together.wait(30), ran.put(current_thread())))
    assert first not in {ran.get(timeout=10) for _ in range(20)}
    apart.set()


def test_a_thread_that_is_idle_takes_the_next_job():
    def run():
        done = SimpleQueue()
        crew.start(lambda: done.put(current_thread()))
        return done.get(timeout=10)

    deadline, known = time.monotonic() + 10, {run()}
    while (thread := run()) not in known:  # it may not be back yet
        assert time.monotonic() < deadline
        known.add(thread)


def test_a_thread_that_gives_up_waiting_leaves_no_job_behind(monkeypatch):
    ran: SimpleQueue[Thread] = SimpleQueue()

    class Slow:
        """A queue to which a job comes late: by then whoever waits for it has had enough."""

        def __init__(self):
            self.jobs = SimpleQueue()
            self.get, self.empty = self.jobs.get, self.jobs.empty

        def put(self, job):
            waiting.join(10 * crew.PATIENCE)
            self.jobs.put(job)

    monkeypatch.setattr(crew, "PATIENCE", 0.1)
    monkeypatch.setattr(crew, "jobs", Slow())
    monkeypatch.setattr(crew, "idle", 0)
    crew.start(lambda: ran.put(current_thread()))
    waiting = ran.get(timeout=10)
    eventually(lambda: crew.idle or not waiting.is_alive(), what="a thread that waits, or has waited")
    crew.start(lambda: ran.put(current_thread()))
    assert ran.get(timeout=10)
    eventually(lambda: not crew.idle, what="the end of the thread, which no other test is to meet")
