"""Lesson 00: a worker that leaves too early, tried with a producer whose second page comes late, and with a rival."""

from __future__ import annotations

import queue
import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dqlab
from dqlab.lessons.check.answer import readable, spoken
from dqlab.lessons.check.verdict import NotYet, checker
from dqlab.lessons.process_group import LAST_WORDS
from dqlab.lessons.scripts import Script
from dqlab.lessons.tap import Tap

__all__ = ["worker_that_stays"]

#: the key of the plain scripts
KEY = b"abc"
#: urls of a page, at least and at most: a worker can't know how many, nor count to that number
FEWEST, MOST = 8, 11
#: urls that come one by one at the end, so that every worker looks at the queue once more
LAST = 3
#: seconds between the end of page 1's pictures and page 2
PAGE_PAUSE = 1.5
#: seconds that two workers may take for the pictures of a page, and to end after the last
PAGE_PATIENCE, LEAVE_PATIENCE = 15.0, 12.0
#: seconds within which a worker that looks whether the queue is empty sees that it isn't
RIVAL_PATIENCE = 3.0


@checker
def worker_that_stays(path: str = "my_worker.py", *, patience: float = PAGE_PATIENCE) -> str:
    """Run two workers from the script `path`; `patience` is how many seconds they may take for a page."""
    if not Path(path).exists():
        raise NotYet(f"there is no {path} here; run the cell above, which writes it")
    names = [f"url_{number}" for number in random.sample(range(100, 1000), random.randint(2 * FEWEST, 2 * MOST) + LAST)]
    pages, last = (names[:FEWEST], names[FEWEST:-LAST]), names[-LAST:]
    with dqlab.Master(authkey=KEY) as master, Rival(master) as rival, ExitStack() as stack:
        master.tasks.put_many(pages[0])
        workers = [stack.enter_context(Script(path, rival.port, name=f"worker {letter}")) for letter in "AB"]
        results = _page(master, workers, pages[0], rival, patience)
        _both_stay(workers, rival)
        master.tasks.put_many(pages[1])
        results += _page(master, workers, pages[1], rival, patience)
        urls = [*pages[0], *pages[1]]
        while last and not rival.taken:  # whoever waits in `get` for the one that was taken may not get another
            rival.wants(last[0])
            urls.append(last.pop(0))
            results += _last(master, workers, rival, patience)
        _each_once(results, [url for url in urls if url not in rival.taken])
        _all_leave(workers, rival)
    return f"{len(urls)} of {len(urls)} urls, each once, though page 2 came late; then both workers went home."


class Rival(Tap):
    """Another worker, on the wire between `master` and the learner's, that is quicker than they are.

    When one of them asks whether the queue is empty and hears that it isn't, the url has just been taken; `taken` says
    which. The learner's two may be as quick as that to each other: `found_nothing` says whether one of them heard that
    there is a url, and got none.
    """

    def __init__(self, master: dqlab.Master) -> None:
        super().__init__(master.connection.port)
        self.taken: list[str] = []
        self.found_nothing = False
        self._master = master
        self._armed = False
        self._promised: dict[int, bool] = {}

    def wants(self, url: str) -> None:
        """Put `url` on the queue, and take it away from whoever looks before it takes."""
        self._armed = True
        self._master.tasks.put(url)

    def before_reply(self, connection: int, request: Any, reply: Any) -> None:
        """Note what a worker hears that looks, and what it gets then; be quicker, if that is wanted."""
        if not isinstance(request, tuple) or request[:1] != ("tasks",):
            return
        if request[1] in ("empty", "qsize"):
            self._promised[connection] = there = reply[0] == "#RETURN" and bool(reply[1]) == (request[1] == "qsize")
            if there and self._armed:
                self._armed = False
                try:
                    self.taken.append(self._master.tasks.get_nowait())
                except queue.Empty:
                    pass  # the other worker has it
        elif self._promised.pop(connection, False) and b"Empty" in (reply if isinstance(reply, bytes) else b""):
            self.found_nothing = True

    def crossed(self, error: str = "") -> str:
        """The words before what became of a worker to which somebody was quicker; "" if `error` is of another kind."""
        if not (self.taken or self.found_nothing) or (error and "Empty" not in error):
            return ""
        return (
            "a worker asked whether the queue is empty, and it wasn't; before its task.get, another worker took that "
            "url. What is true of a shared queue is true for a moment: ask nothing, wait in task.get with a timeout=, "
            "and catch queue.Empty there. So it came that "
        )


def _both_stay(workers: list[Script], rival: Rival) -> None:
    """Nobody goes home between the pages."""
    deadline = time.monotonic() + PAGE_PAUSE
    while time.monotonic() < deadline and all(worker.running for worker in workers):
        time.sleep(0.01)
    _nobody_crashed(workers, rival)
    # One that left is enough: the other may have been caught in `get` only because somebody was quicker than it.
    if not all(worker.running for worker in workers):
        raise NotYet(
            f"page 1 was done ({FEWEST} of {FEWEST} urls), a worker went home, and page 2 came 1.5 s later. What ended "
            "its loop? An empty queue is not the end of the work: wait a while in task.get, and leave when it raises "
            "queue.Empty."
        )


def _page(master: dqlab.Master, workers: list[Script], urls: list[str], rival: Rival, patience: float) -> list[str]:
    """The results of one page."""
    results: list[str] = []
    deadline = time.monotonic() + patience
    while len(results) < len(urls):
        ended = not any(worker.running for worker in workers)  # asked first: whoever has ended may have crashed
        if not _took(master, results):
            _nobody_crashed(workers, rival)
            if ended:
                raise NotYet(
                    f"both workers ended, and {len(results)} of {len(urls)} results of this page came. What ended "
                    "their loops? And does each url that is taken get a result?"
                )
        if time.monotonic() > deadline:
            raise NotYet(
                f"after {patience:g} s there are {len(results)} of {len(urls)} results of this page; the workers still "
                "run. Do they take tasks, and put a result for each?"
            )
    return results


def _took(master: dqlab.Master, results: list[str]) -> bool:
    """Add the next result to `results`; say whether there was one."""
    try:
        results.append(str(master.results.get(timeout=0.05)))
    except queue.Empty:
        return False
    return True


def _last(master: dqlab.Master, workers: list[Script], rival: Rival, patience: float) -> list[str]:
    """The result of one more url, if no rival was quicker."""
    results: list[str] = []
    before, deadline = len(rival.taken), time.monotonic() + min(patience, RIVAL_PATIENCE)
    while not results and len(rival.taken) == before and time.monotonic() < deadline:
        _took(master, results)
    return results if results or len(rival.taken) > before else _page(master, workers, [""], rival, patience)


def _nobody_crashed(workers: list[Script], rival: Rival) -> None:
    for worker in workers:
        if not worker.running and worker.wait(LAST_WORDS) and worker.exit_code:
            what = f"{worker.name} crashed ({spoken(worker.exit_code)}): {worker.error or 'it said nothing'}"
            raise NotYet(rival.crossed(worker.error) + what, "\n".join(readable(worker.traceback)))


def _each_once(results: list[str], urls: list[str]) -> None:
    count = Counter(result.split(" ")[0] for result in results)
    odd = [result for result in results if "success" not in result or result.split(" ")[0] not in urls]
    if odd:
        raise NotYet(f"a result should read 'url_0 ------> success'; one of yours reads {odd[0]!r}")
    for url in urls:
        if count[url] != 1:
            raise NotYet(f"{url} has {count[url]} results, and should have 1. All of them: {sorted(results)!r}")


def _all_leave(workers: list[Script], rival: Rival) -> None:
    deadline = time.monotonic() + LEAVE_PATIENCE
    for worker in workers:
        if not worker.wait(max(0.0, deadline - time.monotonic())):
            raise NotYet(
                f"{rival.crossed()}{worker.name} still runs {LEAVE_PATIENCE:g} s after the last url. When does it go "
                "home? A timeout= of about 5 s is patient enough."
            )
    _nobody_crashed(workers, rival)
