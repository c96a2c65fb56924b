"""Shapes of public scripts: each works with a master of dqlab as it does with the standard one, which is the oracle."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dqlab import LocalWorkers, Master
from tests.helpers import eventually, free_port
from tests.plain import KEY, Lab, get, hand

both_masters = pytest.mark.parametrize("begin", [Lab.plain_master, Lab.master], ids=["standard", "dqlab"])
Begin = Callable[[Lab], object]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, free_port())
    yield lab
    lab.end()


def feed(lab: Lab, items: list[object], count: int | None = None):
    """A script that puts `items`, and shows `count` results."""
    return lab.script("feeder.py", ITEMS=repr(items), COUNT=str(len(items) if count is None else count))


def plain_counts(master: Master) -> dict[str, int]:
    return master.stats()["queues"]["plain"]


# -- scripts at both masters -------------------------------------------------------------------------------------------


@both_masters
@pytest.mark.parametrize("worker", ["batch_worker.py", "pool_worker.py", "own_proxy.py", "no_variables.py"])
def test_workers_of_every_shape(lab: Lab, begin: Begin, worker: str) -> None:
    begin(lab)
    feed(lab, list(range(10)), 0).ends()
    lab.script(worker, **{"'%s done' % url": "url * url"}).ends()
    assert feed(lab, [], 10).ends() == "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n"


def test_what_a_wrong_call_raises(tmp_path: Path) -> None:
    said = []
    for begin in (Lab.plain_master, Lab.master):
        lab = Lab(tmp_path, free_port())
        try:
            begin(lab)
            said.append(lab.script("wrong_calls.py").ends())
        finally:
            lab.end()
    assert said[0] == said[1] and len(said[0].splitlines()) == 16


@both_masters
@pytest.mark.parametrize("pill", [None, "STOP", -1])
def test_a_stop_sign_for_each_worker_in_three_rounds(lab: Lab, begin: Begin, pill: object) -> None:
    begin(lab) if pill is None or begin is Lab.plain_master else lab.master("--pill", pill)
    for _ in range(3):
        workers = [lab.script("pill_worker.py", **{"task.get, None": f"task.get, {pill!r}"}) for _ in range(2)]
        assert feed(lab, [*range(6), pill, pill], 6).ends() == "[0, 1, 4, 9, 16, 25]\n"
        for worker in workers:
            worker.ends()


@both_masters
def test_a_stop_sign_that_each_worker_puts_back(lab: Lab, begin: Begin) -> None:
    begin(lab)
    workers = [lab.script("peon.py") for _ in range(3)]
    assert feed(lab, [1, 2, 3, None], 3).ends() == "[1, 4, 9]\n"
    for worker in workers:
        worker.ends()


@both_masters
def test_a_worker_that_finds_new_tasks_and_a_join(lab: Lab, begin: Begin) -> None:
    begin(lab)
    worker = lab.script("finder.py")
    joins = lab.script("feeder.py", ITEMS="[1]", COUNT="15", **{"print(": "task.join(); print("})
    assert joins.ends() == f"{list(range(1, 16))}\n"
    worker.ends()


@pytest.mark.parametrize("begin", ["standard", "dqlab"])
def test_other_names_and_more_queues_and_an_event(lab: Lab, begin: str) -> None:
    names = ["--task-name", "get_job_q", "--result-name", "get_result_q", "--plain-event", "get_stop_event"]
    if begin == "dqlab":
        lab.master(*names, "--plain-queue", "get_found_q", "--plain-queue", "get_log_q")
    else:
        lab.script("more_names_master.py")
        eventually(lab.answers, what="a plain master")
    worker = lab.script("event_worker.py")
    renamed = {"get_task_queue": "get_job_q", "get_result_queue": "get_result_q"}
    feeder = lab.script("feeder.py", ITEMS="[1, 2, 3]", COUNT="3", **renamed)
    assert feeder.ends() == "[1, 4, 9]\n"
    with hand(lab.address, accept=False) as manager:
        ident = get(manager.ask(None, "create", "get_stop_event"))[0]
    with hand(lab.address) as by_hand:
        assert get(by_hand.ask(ident, "wait", 0.01)) is False
        get(by_hand.ask(ident, "set"))
    assert worker.ends() == "stopped True 3 did 1\n"


# -- kills, and what the standard master loses -------------------------------------------------------------------------


@pytest.fixture
def master(lab: Lab) -> Iterator[Master]:
    with Master(port=lab.port, authkey=KEY) as master:
        yield master


@pytest.mark.parametrize(("answered", "again"), [(0, [0, 1, 2, 3, 4]), (2, [2, 3, 4])])
def test_a_worker_that_took_five_and_is_killed(lab: Lab, master: Master, answered: int, again: list[int]) -> None:
    master.tasks.put_many(range(5))
    stuck = {
        "batch[:len(batch)]": f"batch[:{answered}]",
        "batch.clear()": "print('stuck', flush=True); time.sleep(999)",
    }
    worker = lab.script("batch_worker.py", **stuck)
    worker.says("stuck")
    assert (plain_counts(master)["leased"], plain_counts(master)["done"]) == (5 - answered, answered)
    assert master.stats()["plain"]["held"] == {"127.0.0.1": 5 - answered}
    worker.kill()
    eventually(lambda: plain_counts(master)["ready"] == 5 - answered)
    assert [master.tasks.get(timeout=5) for _ in again] == again


def test_a_consumer_that_never_answers(lab: Lab, master: Master) -> None:
    """Who takes several values, answers none and ends in order has done what it wanted with them."""
    master.tasks.put_many(range(5))
    lab.script("batch_worker.py", **{"batch[:len(batch)]": "[]", "batch.clear()": "pass"}).ends()
    eventually(lambda: plain_counts(master)["done"] == 5)
    assert master.stats()["plain"] == {"held": {}, "owed": {}, "refused": 0}


def test_a_worker_without_proxies_that_goes_owes_its_answer(lab: Lab, master: Master) -> None:
    master.tasks.put("a")
    script = lab.script("no_variables.py", **{"m.get_result_queue().put": "print('took', flush=True); input"})
    script.says("took")
    eventually(lambda: master.stats()["plain"]["owed"] == {"127.0.0.1": 1})
    assert plain_counts(master)["ready"] == 0


def test_a_named_stop_sign_is_done_when_it_is_given_out(lab: Lab) -> None:
    with Master(port=lab.port, authkey=KEY, pills=["STOP", ("end", 1)]) as master:
        master.tasks.put_many(["STOP", ("end", 1), 1])
        with hand(lab.address) as script:
            assert get(script.ask("tasks", "get")) == "STOP" and get(script.ask("tasks", "get")) == ("end", 1)
        assert plain_counts(master)["done"] == 2 and plain_counts(master)["redelivered"] == 0


def test_system_exit_in_a_handler_ends_its_worker_and_the_third_time_its_task_has_failed(
    lab: Lab, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = lab.handler("import sys\ndef handle(x):\n    if x == 'bad': sys.exit()\n    return x + ' done'")
    monkeypatch.setenv("PYTHONPATH", str(lab.folder))
    master.tasks.put_many(["bad", "good"])
    with LocalWorkers(master, 4, handler=handler):
        eventually(lambda: master.failures(), 60)
        assert "SystemExit" in master.failures()[0]["reason"]
        assert master.results.get(timeout=30) == "good done"
        eventually(lambda: len(master.stats()["workers"]) == 1, 30, "the one that never had it")
