"""Threads of this process begin a crawl that starts its own workers: who runs what, and what if none of these comes."""

import os
import time
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from threading import Event

import pytest

from dqlab.crawl.engine import own_workers
from dqlab.crawl.relay import Relay
from dqlab.errors import LaunchFailed
from tests.helpers import eventually


def starting(master, workers):
    return nullcontext((master, workers))


class Workers:
    """Workers that have joined when they are `let`, or that have failed but for `alive` of them."""

    def __init__(self, alive=0, failed=False):
        self.let, self.alive, self.failed = Event(), alive, failed

    def wait(self):
        assert self.let.wait(30)
        if self.failed:
            raise LaunchFailed("it didn't start")

    def __len__(self):
        return self.alive


class Master:
    """Says what it was asked to run, instead of running it."""

    def options(self, **options):
        return self

    def submit(self, fn, *args):
        future = Future()
        future.set_result("a worker")
        return future

    def stats(self):
        return {"workers": {"one": 1}}


@pytest.mark.parametrize("failed", [False, True])
def test_threads_begin_and_the_workers_that_there_are_go_on(failed):
    workers = Workers(alive=1, failed=failed)
    relay = Relay(starting(Master(), workers), 3)
    images = relay.options(queue="images")

    assert images.submit(os.getpid).result(timeout=10) == os.getpid() == relay.submit(os.getpid).result(timeout=10)
    assert len(relay.stats()["workers"]) == 3
    workers.let.set()
    eventually(lambda: relay.there)

    assert images.submit(os.getpid).result(timeout=10) == "a worker"
    assert len(relay.stats()["workers"]) == 1


def test_it_is_said_if_no_worker_starts():
    workers = Workers(failed=True)
    relay = Relay(starting(Master(), workers), 1)
    workers.let.set()
    eventually(lambda: relay.failure)

    with pytest.raises(LaunchFailed, match="it didn't start"):
        relay.options(queue="pages").submit(os.getpid)


@pytest.mark.parametrize("late", [False, True])
def test_workers_that_are_not_needed_any_more_have_nothing_left_to_do(late):
    class Waiting(Master):
        def __init__(self):
            self.futures = []

        def submit(self, fn, *args):
            self.futures.append(Task())
            return self.futures[-1]

    class Task(Future):
        def cancel(self):
            return super().cancel() and not self.set_running_or_notify_cancel()  # as the master's do

    workers, master = Workers(alive=2), Waiting()
    with Relay(starting(master, workers), 2) as relay:
        if not late:
            workers.let.set()
            eventually(lambda: len(relay.preparing) == 2)
    workers.let.set()
    relay.starter.join(30)

    assert not relay.starter.is_alive() and not relay.there
    assert len(master.futures) == (0 if late else 2) and all(future.cancelled() for future in master.futures)


def test_threads_begin_before_there_is_a_master_and_what_starts_late_is_ended():
    let, ended, workers = Event(), [], Workers()
    workers.let.set()

    @contextmanager
    def slow():
        assert let.wait(30)
        try:
            yield Master(), workers
        finally:
            ended.append(True)

    with Relay(slow(), 1) as relay:
        assert relay.options(queue="pages").submit(os.getpid).result(timeout=10) == os.getpid()
        assert relay.master is None and not ended
        let.set()
    assert ended


def test_workers_that_still_load_something_at_the_end_end_without_a_word():
    began = time.monotonic()
    with own_workers(2) as (master, workers):
        workers.wait()
        preparing = [master.options(queue="images").submit(time.sleep, 60) for _ in range(3)]
        eventually(lambda: sum(future.running() for future in preparing) == 2)
    assert time.monotonic() - began < 30 and not len(workers)
    assert all(future.done() for future in preparing)


def test_a_master_that_does_not_start_is_told_to_who_needs_it():
    @contextmanager
    def broken():
        raise OSError(24, "Too many open files")
        yield

    with pytest.raises(OSError, match="Too many"), Relay(broken(), 1) as relay:
        eventually(lambda: relay.failure)
        relay.submit(os.getpid)
