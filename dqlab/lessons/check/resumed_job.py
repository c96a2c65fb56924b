"""Lesson 06: a job that may be killed anywhere and run again: killed at set instants, its fetches counted.

The instants are made: the fetch that is the third, say, waits until the checker has killed what it wanted to.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dqlab.lessons.check.answer import Answer
from dqlab.lessons.check.verdict import NotYet, a_function, checker

__all__ = ["fetch", "resumed"]

#: pictures, and at the how many-eth fetch what is killed
PICTURES, KILLS = 10, {3: "everything", 6: "the master"}
#: seconds that the job may take from its start to a kill, and to its end
PATIENCE = 40.0
#: seconds in which whatever is done has been reported
REPORTED = 1.5
#: seconds for which a fetch waits to be killed
HELD = 60.0
#: where fetches are written down, and from which one on they wait
LOG, STOP = "fetched.txt", "stop-at"


def fetch(url: str, folder: str) -> str:
    """Bring one picture into `folder`; it is there once this returns. (What a task of the exercise calls.)"""
    here = Path(folder)
    with open(here / LOG, "a") as log:
        log.write(url + "\n")
    deadline = time.monotonic() + HELD
    while _is_held(here) and time.monotonic() < deadline:
        time.sleep(0.02)
    part = here / f"{url}.part-{os.getpid()}"
    part.write_text(f"the picture at {url}")
    os.replace(part, here / f"{url}.png")
    return url


def _is_held(folder: Path) -> bool:
    try:
        return len(_fetched(folder)) >= int((folder / STOP).read_text())
    except (FileNotFoundError, ValueError):
        return False


def _fetched(folder: Path) -> list[str]:
    try:
        return (folder / LOG).read_text().split()
    except FileNotFoundError:
        return []


def _there(folder: Path) -> set[str]:
    return {picture.stem for picture in folder.glob("*.png")}


@checker
def resumed(resume: Any) -> str:
    """Kill `resume(urls, folder)` at set instants and call it again, until every picture is there; count fetches."""
    if resume is ...:
        raise NotYet("write your resume(urls, folder).")
    answer = a_function(resume)
    urls = [f"url_{number}" for number in range(PICTURES)]
    with tempfile.TemporaryDirectory(prefix="dqlab-resumed-", ignore_cleanup_errors=True) as name:
        folder, excused = Path(name), Counter[str]()
        for number, what in KILLS.items():
            (folder / STOP).write_text(str(number))
            _run_until(answer, urls, folder, number, what)
            excused.update(set(_fetched(folder)) - _there(folder))  # what was under way may come twice
            _look(folder, excused)
        (folder / STOP).unlink()
        with Answer(answer, urls, name, seconds=PATIENCE, learner=answer, name="resume") as run:
            run.result()
        _look(folder, excused)
        missing = [url for url in urls if url not in _there(folder)]
        if missing:
            raise NotYet(
                f"resume has returned, and {len(missing)} of {PICTURES} pictures are missing: {missing[0]} ..."
            )
        again = sum(Counter(_fetched(folder)).values()) - PICTURES
    told = "none was fetched twice" if not again else f"{again} were under way at a kill and fetched again"
    return f"killed twice, all {PICTURES} pictures are there; {told}, and what was done never."


def _run_until(answer: Callable[..., Any], urls: list[str], folder: Path, number: int, what: str) -> None:
    with Answer(answer, urls, str(folder), seconds=PATIENCE, learner=answer, name="resume") as run:
        deadline = time.monotonic() + PATIENCE
        while len(_fetched(folder)) < number:
            if not run.running:
                run.result()  # says what it raised
                raise NotYet(f"resume has returned when {len(_fetched(folder))} of {PICTURES} pictures were asked for.")
            if time.monotonic() > deadline:
                raise NotYet(
                    f"after {PATIENCE:g} s there were {len(_fetched(folder))} fetches, and {number} are waited for. "
                    "Is there a worker?"
                )
            time.sleep(0.02)
        time.sleep(REPORTED)
        if what == "the master":
            _kill_master(run.pid)


def _kill_master(pid: int) -> None:
    import psutil

    masters = [p for p in psutil.Process(pid).children(recursive=True) if "master" in p.cmdline()]
    if not masters:
        raise NotYet("there is no master below your process. The job needs one of its own: Master(journal=...).")
    for master in masters:
        master.kill()


def _look(folder: Path, excused: Counter[str]) -> None:
    """Nothing was fetched more often than it was under way at a kill; which one is chance, so no verdict says it."""
    if any(times > 1 + excused[url] for url, times in Counter(_fetched(folder)).items()):
        raise NotYet(
            "what was done was fetched again. What waits in the journal comes by itself: who submits it again has it "
            "twice. And what is in the folder needs no fetch."
        )
