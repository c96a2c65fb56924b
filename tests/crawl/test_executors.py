"""The crawl on executors that know no queues, no time limits and no hints: plain `concurrent.futures`."""

import hashlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from dqlab import sandbox
from dqlab.crawl import crawl, read_manifest
from dqlab.crawl.session import session
from dqlab.crawl.threads import Threads
from dqlab.crawl.web import rulebook
from dqlab.errors import DqlabError
from dqlab.sandbox.pages import FALSE, MISSING, PRIVATE


def processes():
    return ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))


@pytest.fixture
def site():
    with sandbox.site(images=64) as site:
        dict(site.images)  # drawn before the clocks tick
        yield site
        session().close()
        session.cache_clear()
        rulebook.clear()


@pytest.mark.parametrize(
    "executor", [lambda: ThreadPoolExecutor(2), processes, Threads], ids=["pool", "processes", "own"]
)
def test_every_picture_comes_home_on_any_executor(site, tmp_path, executor):
    with executor() as running:
        summary = crawl(running, site.url, tmp_path, workers=2)

    digests = {entry.sha256 for entry in read_manifest(tmp_path) if entry.error is None}
    assert digests == {hashlib.sha256(body).hexdigest() for body in site.images.values()}
    assert (summary.images, summary.failed) == (64, len((MISSING, FALSE, PRIVATE)))


def test_a_broken_executor_is_said_in_a_line(site, tmp_path):
    with processes() as executor:
        executor.submit(int).result()
        for process in multiprocessing.active_children():
            process.kill()
        with pytest.raises(DqlabError, match="the executor is broken"):
            crawl(executor, site.url, tmp_path)
