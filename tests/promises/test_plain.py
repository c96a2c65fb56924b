"""Plain BaseManager scripts, as somebody would type them from a tutorial, and dqlab: all three ways to mix them."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dqlab import Client, LocalWorkers, Master, connect
from tests.helpers import eventually, free_port
from tests.plain import KEY, PYTHONS, Lab

URLS = [f"url_{i}" for i in range(10)]

#: in every run the oldest Python, the newest and ours; in the long one all of them
VERSIONS = sorted(PYTHONS, key=lambda name: int(name.partition(".")[2]))
SOON = {VERSIONS[0], VERSIONS[-1], f"3.{sys.version_info.minor}"}
every_python = pytest.mark.parametrize(
    "python",
    [pytest.param(PYTHONS[name], id=name, marks=[] if name in SOON else pytest.mark.long) for name in VERSIONS],
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, free_port())
    yield lab
    lab.end()


@pytest.fixture
def master(lab: Lab) -> Iterator[Master]:
    """A master of dqlab where the scripts look for one."""
    with Master(port=lab.port, authkey=KEY) as master:
        yield master


def client_of(lab: Lab) -> Client:
    return connect(f"127.0.0.1:{lab.port}", authkey=KEY)


def all_results(client: Client, count: int, timeout: float = 30) -> list[Any]:
    """The first ``count`` plain results, sorted; there must not be more of them waiting."""
    found = sorted(client.results.get(timeout=timeout) for _ in range(count))
    assert client.results.empty()
    return found


# -- a plain worker at a master of dqlab -------------------------------------------------------------------------------


@every_python
def test_a_plain_worker_drains_the_master_and_a_client_of_dqlab_gets_its_results(lab: Lab, python: str) -> None:
    lab.master()
    with client_of(lab) as client:
        client.tasks.put_many(URLS)
        assert lab.script("worker.py", python).ends() == ""
        assert all_results(client, 10) == [f"{url} ------>success" for url in URLS]
        counts = client.stats()["queues"]["plain"]
        assert (counts["ready"], counts["leased"], counts["done"], counts["redelivered"]) == (0, 0, 10, 0)
        client.tasks.join()


def test_plain_scripts_at_both_ends(lab: Lab, master: Master) -> None:
    producer = lab.script("producer.py")
    worker = lab.script("task_worker.py")
    assert "worker exit." in worker.ends()
    assert sorted(producer.ends().split("\n")) == ["", *(f"{url} done" for url in URLS)]


@every_python
def test_plain_values_come_home_as_they_were_and_others_fail_the_put_by_name(
    lab: Lab, master: Master, python: str
) -> None:
    refusals = lab.script("values.py", python).ends().splitlines()
    for name in ("__main__.Thing", "decimal.Decimal itself", "a type itself", "print", "ValueError", "slice", "tzinfo"):
        assert sum(name in line for line in refusals) >= 2, (name, refusals)  # at either queue
    assert len(refusals) == 16


def test_a_plain_worker_killed_in_mid_task_loses_nothing(lab: Lab, master: Master) -> None:
    master.tasks.put_many(URLS)
    for i in range(5):
        victim = lab.script("task_worker.py", **{"time.sleep(0.1)": "time.sleep(1000)"})
        victim.says("run task")
        assert master.stats()["queues"]["plain"]["leased"] == 1
        victim.kill()
        eventually(lambda: master.stats()["queues"]["plain"]["ready"] == 10, 2, "the task is back")
        assert master.stats()["queues"]["plain"]["redelivered"] == i + 1
    lab.script("worker.py").ends()
    assert all_results(master, 10) == [f"{url} ------>success" for url in URLS]
    assert master.failures() == []


def test_a_plain_worker_killed_while_it_waits_in_get_loses_nothing(lab: Lab, master: Master) -> None:
    def waits(count: int) -> bool:
        return len([e for e in master.events() if e["kind"] == "submitted"]) == count

    victim = lab.script("task_worker.py", **{"timeout=1": "True, 1000"})
    victim.says("Connect to server")
    master.tasks.put("first")  # so that it is known to have come as far as the queue, where it then waits again
    victim.says("run task first")
    assert master.results.get(timeout=10) == "first done"
    victim.kill()
    master.tasks.put("second")
    assert master.tasks.get(timeout=5) == "second"
    assert waits(2)


# -- a worker of dqlab at a plain master -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_workers_of_dqlab_serve_a_plain_master(lab: Lab, n: int) -> None:
    master = lab.script("task_master.py")
    eventually(lab.answers)
    handler = lab.handler("def handle(url): return url.upper()")
    worker = lab.worker("--handler", handler, "-n", n, "--until-empty")
    said = master.ends()
    assert sorted(line for line in said.splitlines() if "Result" in line) == [f"Result: {u.upper()}" for u in URLS]
    assert said.endswith("master exit.\n")
    assert 1 <= worker.ends().count("joined") <= n  # the last may find that the master has ended already


@every_python
def test_a_worker_of_dqlab_serves_a_plain_master_of_any_python(lab: Lab, python: str) -> None:
    server = lab.script("server.py", python)
    eventually(lab.answers)
    producer = lab.script("producer.py", python)
    worker = lab.worker("--handler", lab.handler("def handle(url): return url.upper()"))
    assert sorted(producer.ends().split()) == [url.upper() for url in URLS]  # task.join() in it has returned
    worker.popen.terminate()
    worker.ends()
    assert server.popen.poll() is None


# -- both kinds of worker at one master --------------------------------------------------------------------------------


def test_both_kinds_of_worker_share_one_master(lab: Lab, master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = lab.handler(
        "import pathlib, time\n"
        "def handle(url):\n"
        f"    while not pathlib.Path({str(lab.folder)!r}, 'go').exists(): time.sleep(0.01)\n"
        "    return url + ' handled'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(lab.folder))
    with LocalWorkers(master, 1, handler=handler).wait(30):
        master.tasks.put_many(URLS)
        eventually(lambda: master.stats()["workers"][0]["state"] == "busy")
        lab.script("worker.py").ends()  # it takes all that the other has not begun
        by_plain = master.results.qsize()
        assert by_plain >= 1
        (lab.folder / "go").touch()
        results = all_results(master, 10)
    ends = Counter(result.partition(" ")[2] for result in results)
    assert ends == {"------>success": by_plain, "handled": 10 - by_plain} and by_plain < 10
    assert [result.partition(" ")[0] for result in results] == URLS
    workers = {event.get("worker") for event in master.events() if event["kind"] == "done"}
    assert workers == {None, "w1"} or workers == {"", "w1"}


# -- awkward scripts ---------------------------------------------------------------------------------------------------


def counts_of(master: Master) -> tuple[int, int, int]:
    """Plain tasks that are ready, held or owed, and done."""
    counts = master.stats()["queues"]["plain"]
    return counts["ready"], counts["leased"], counts["done"]


def test_tasks_taken_on_one_thread_and_answered_on_another(lab: Lab, master: Master) -> None:
    """The answers come on a connection that took nothing: they settle what the other one holds when that lets go."""
    master.tasks.put_many(URLS)
    lab.script("two_threads.py").ends()
    assert all_results(master, 10) == [f"{url} answered" for url in URLS]
    eventually(lambda: counts_of(master) == (0, 0, 10))
    assert master.stats()["unmatched"] == 0 and master.stats()["queues"]["plain"]["redelivered"] == 0


def test_a_thread_for_each_task_that_ends_before_the_answer(lab: Lab, master: Master) -> None:
    """Each task is owed by the address when its thread ends, and settled by the next answer: each is seen once."""
    master.tasks.put_many(URLS)
    lab.script("thread_each.py").ends()
    assert all_results(master, 10) == [f"{url} taken" for url in URLS]
    eventually(lambda: counts_of(master) == (0, 0, 10))
    assert master.stats()["unmatched"] == 0 and master.stats()["queues"]["plain"]["redelivered"] == 0


def test_proxies_made_anew_for_each_call(lab: Lab, master: Master) -> None:
    """Each proxy that is dropped takes its connection with it, and the answer comes on another: each is seen once."""
    master.tasks.put_many(URLS)
    lab.script("no_variables.py").ends()
    assert all_results(master, 10) == [f"{url} done" for url in URLS]
    eventually(lambda: counts_of(master) == (0, 0, 10))
    assert master.stats()["unmatched"] == 0 and master.stats()["queues"]["plain"]["redelivered"] == 0
