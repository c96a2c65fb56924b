"""Lesson 00: what the checker says to a dozen workers."""

import itertools
import time
from pathlib import Path

import pytest

from dqlab.lessons import check
from dqlab.lessons.check import patient_worker
from tests.lessons.answers import rows, solution, verdict

BEGIN = """
import logging, os, queue, subprocess, sys, time
from multiprocessing.managers import BaseManager
class QueueManager(BaseManager): pass
if __name__ == "__main__":
    QueueManager.register("get_task_queue")
    QueueManager.register("get_result_queue")
    manager = QueueManager(address=("127.0.0.1", int(sys.argv[1])), authkey=b"abc")
    manager.connect()
    task, result = manager.get_task_queue(), manager.get_result_queue()
"""
RIGHT = """
    while True:
        try:
            url = task.get(timeout=2.5)
        except queue.Empty:
            break
        result.put(f"{url} ------> success")
"""
EARLY = """
    while not task.empty():
        result.put(task.get(timeout=5) + ' ------> success')
"""
COUNTING = """
    for _ in range(4):
        result.put(task.get(timeout=5) + ' ------> success')
"""
#: patient, and with the race of the lesson: it asks, and takes what may be gone by then
ASKING = """
    looked = 0
    while looked < 30:
        if task.empty():
            looked += 1
            time.sleep(0.1)
        else:
            looked = 0
            result.put(task.get(TAKE) + ' ------> success')
"""
#: the same among the two workers themselves: while one hesitates, the other takes the last url of a page
HESITATING = ASKING.replace("result.put(task.get(TAKE)", "time.sleep(0.3); result.put(task.get(timeout=0.1)")
#: it asks as well, and is ready for what it hears to be no longer true
CATCHING = """
    looked = 0
    while looked < 30:
        try:
            url = None if task.empty() else task.get(timeout=0.1)
        except queue.Empty:
            url = None
        looked = 0 if url else looked + 1
        time.sleep(0.1)
        if url: result.put(f"{url} ------> success")
"""
LEAVES_A_CHILD = """
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(77)"])
"""
FLOOD = """
    while True:
        print("x" * 1000)
"""
NOT_WAITING = RIGHT.replace("timeout=2.5", "").replace("            break", "            pass")
NOW_AND_THEN = """
    quiet = 0
    while quiet < 40:
        try:
            url = task.get_nowait()
        except queue.Empty:
            quiet += 1
            time.sleep(0.1)
            continue
        quiet = 0
        result.put(f"{url} ------> success")
"""

TABLE = {
    "blank": ("", "both workers ended, and 0 of 8 results of this page came. What ended their loops? And does each"),
    "early": (
        BEGIN + EARLY,
        "page 1 was done (8 of 8 urls), a worker went home, and page 2 came 1.5 s later. What ended its loop? An empty "
        "queue is not the end of the work: wait a while in task.get, and leave when it raises queue.Empty.",
    ),
    "the race": (
        BEGIN + ASKING.replace("TAKE", "timeout=1"),
        "a worker asked whether the queue is empty, and it wasn't; before its task.get, another worker took that url. "
        "What is true of a shared queue is true for a moment: ask nothing, wait in task.get with a timeout=, and catch "
        "queue.Empty there. So it came that worker ",
    ),
    "the race, among themselves": (BEGIN + HESITATING, "before its task.get, another worker took that url."),
    "logging": (
        BEGIN + "    logging.basicConfig(level=10)\n" + RIGHT.replace("result.put", "logging.info(url); result.put"),
        "Yes: 20 of 20 urls",
    ),
    "too patient": (BEGIN + NOT_WAITING, "still runs 4 s after the last url. When does it go home?"),
    "counting": (BEGIN + COUNTING, "a worker went home, and page 2 came 1.5 s later. What ended its loop?"),
    "the race, without a timeout": (BEGIN + ASKING.replace("TAKE", ""), "before its task.get, another worker took"),
    "twice": (BEGIN + RIGHT.replace("result.put", "for _ in 1, 2: result.put"), "has 2 results, and should have 1"),
    "a pair": (
        BEGIN + RIGHT.replace('f"{url} ------> success"', '(url, "success")'),
        "a result should read 'url_0 ------> success'; one of yours reads \"('url_",
    ),
    "ten of them": (BEGIN + RIGHT.replace("while True", "for _ in range(9)"), "0 of 1 results of this page came. What"),
    "asking now and then": (BEGIN + NOW_AND_THEN, "Yes: 20 of 20 urls"),
    "other words": (BEGIN + RIGHT.replace("success", "done"), "------> success'; one of yours reads 'url_"),
    "lazy": (BEGIN + "    time.sleep(60)", "after 2 s there are 0 of 8 results of this page; the workers still run."),
    "crashing": (
        "import nothing_at_all",
        " crashed (exit code 1): ModuleNotFoundError: No module named 'nothing_at_all' Traceback (most recent call",
    ),
    "ending badly": (BEGIN + RIGHT + "    os._exit(3)", " crashed (exit code 3): it said nothing"),
    "endless": ("while True: pass", "after 2 s there are 0 of 8 results of this page"),
    "a flood": (BEGIN + FLOOD, "after 2 s there are 0 of 8 results of this page"),
    "leaves a child": (BEGIN + LEAVES_A_CHILD + RIGHT, "Yes: 20 of 20 urls, each once, though page 2 came late;"),
    "asks and catches": (BEGIN + CATCHING, "Yes: 18 of 18 urls"),
    "asks, catches, ends badly": (BEGIN + CATCHING + "    1 / 0", "Not yet: worker A crashed (exit code 1): ZeroDiv"),
    "sys.exit(0)": (BEGIN + RIGHT + "    sys.exit(0)", "Yes: 20 of 20 urls"),
    "slow but right": (BEGIN + RIGHT.replace("result.put", "time.sleep(0.2); result.put"), "Yes: 20 of 20 urls"),
    "solution": (solution("00_two_scripts"), "Yes: 20 of 20 urls, each once, though page 2 came late; then both"),
}  # fmt: skip


@pytest.mark.parametrize(("script", "says"), rows(TABLE))
def test_answers_to_00(
    script: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my_worker.py"
    path.write_text(script)
    monkeypatch.setattr(patient_worker.random, "randint", lambda least, most: 17)  # urls, and the last three
    monkeypatch.setattr(patient_worker, "LEAVE_PATIENCE", 4.0 if "4 s" in says or "worker took" in says else 15.0)
    patience = 2.0 if "after 2 s" in says else 20.0
    began = time.monotonic()
    assert says in verdict(check.worker_that_stays, str(path), patience=patience, capsys=capsys)
    assert time.monotonic() - began < 60


def test_no_answer_to_00(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no" in verdict(check.worker_that_stays, str(tmp_path / "my_worker.py"), capsys=capsys)


def test_nobody_can_know_how_many_urls_there_will_be() -> None:
    seen = {patient_worker.random.randint(2 * patient_worker.FEWEST, 2 * patient_worker.MOST) for _ in range(200)}
    assert len(seen) > 3 and not any(a == b for a, b in itertools.combinations(seen, 2))
