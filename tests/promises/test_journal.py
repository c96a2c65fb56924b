"""A master with a journal, killed at random instants and started again; an oracle knows what it had promised."""

from __future__ import annotations

import contextlib
import json
import queue
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import pytest

from dqlab import Client, LocalWorkers, as_completed
from dqlab.broker.revival import DIED
from dqlab.client.prospects import can_work
from dqlab.client.stuck import why_stuck
from dqlab.errors import Refused, TaskTimeout
from dqlab.wire.envelope import PYTHON
from dqlab.wire.greeting import WORKER
from dqlab.wire.messages import Lease
from dqlab.wire.request import open_broker, request
from tests.cluster import run, wait_for
from tests.helpers import eventually
from tests.journal import Command, end

#: seconds between two kills
LEAST, MOST = 0.02, 0.4


class QueueManager(BaseManager):
    pass


QueueManager.register("get_task_queue")
QueueManager.register("get_result_queue")


def work(folder: str, name: str, kind: str) -> str:
    """Say when it ran, and end as its kind ends."""
    import time
    from pathlib import Path

    runs = Path(folder) / name
    with runs.open("a") as file:
        file.write(f"{time.time()!r}\n")
    if kind == "raises once" and len(runs.read_text().splitlines()) == 1:
        raise OSError(name)
    if kind == "raises":
        raise ValueError(name)
    time.sleep(30 if kind == "too long" else 0.002)
    return name


class Story:
    """Threads that use the master, each until told to stop; what they saw, and what was not as promised."""

    def __init__(self, command: Command, folder: Path) -> None:
        self.command, self.folder = command, folder
        folder.mkdir()
        self.wrong: list[str] = []
        self.ended: dict[str, float] = {}
        self.put: set[str] = set()
        self.got: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.stop = threading.Event()
        self.client: Client = command.connect()
        tellers = (self._submit, self._map, self._pause, self._put, self._answer, self._take)
        self.threads = [threading.Thread(target=self._tell, args=(teller,), daemon=True) for teller in tellers]
        for thread in self.threads:
            thread.start()

    def _tell(self, teller: Callable[[], None]) -> None:
        try:
            teller()
        except Exception as error:
            self.wrong.append(f"{teller.__name__}: {error!r}, {self.client.stats()}")

    def _submit(self) -> None:
        """Tasks of each kind, some of which are cancelled: each ends as it must."""
        kinds = ["good", "good", "raises once", "raises", "too long", "cancelled"]
        patient = self.client.options(retries=2, max_attempts=1_000)
        turn = 0
        while not self.stop.is_set():
            turn += 1
            names = {f"{turn}-{i}": kinds[i % len(kinds)] for i in range(24 if turn % 8 == 0 else 4)}
            futures = {}
            for name, kind in names.items():
                how = self.client.options(timeout=0.05) if kind == "too long" else patient
                futures[how.submit(work, str(self.folder), name, kind)] = name
            self.client.flush(100)
            cancelled = {name for future, name in futures.items() if names[name] == "cancelled" and future.cancel()}
            for future in as_completed(futures, timeout=200):
                name = futures[future]
                self.ended[name] = time.time()
                self.counts[names[name]] += 1
                if name in cancelled:
                    if not future.cancelled():
                        self.wrong.append(f"{name} was cancelled, and ran")
                    continue
                error = future.exception()
                expected = {"raises": ValueError, "too long": TaskTimeout}.get(names[name])
                if type(error) is not (expected or type(None)) or (error is None and future.result() != name):
                    self.wrong.append(f"{name}, {names[name]}: {error!r}")

    def _map(self) -> None:
        while not self.stop.is_set():
            if list(self.client.map(abs, range(-500, 0))) != list(range(500, 0, -1)):
                self.wrong.append("map was out of order")
            self.counts["map"] += 1

    def _pause(self) -> None:
        """A paused queue gives out nothing, whoever dies."""
        queue_of_its_own = self.client.options(queue="paused")
        while not self.stop.is_set():
            self.client.pause("paused")
            future = queue_of_its_own.submit(abs, -1)
            self.client.flush(100)
            self.stop.wait(0.3)
            if future.done():
                self.wrong.append("a paused queue gave out a task")
            self.client.resume("paused")
            if future.result(200) != 1:
                self.wrong.append("a paused task had another result")
            self.counts["pause"] += 1

    # -- unchanged scripts: whoever loses its connection begins anew -----------------------------------------------

    def _again(self, step: Callable[[Any, Any], None]) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(EOFError, OSError):
                connection = self.client.connection
                manager = QueueManager(connection.address, connection.authkey)
                manager.connect()
                tasks, results = manager.get_task_queue(), manager.get_result_queue()
                while not self.stop.is_set():
                    step(tasks, results)

    def _put(self) -> None:
        def step(tasks: Any, results: Any) -> None:
            name = f"url {len(self.put)}"
            tasks.put(name)
            self.put.add(name)

        self._again(step)

    def _answer(self) -> None:
        def step(tasks: Any, results: Any) -> None:
            with contextlib.suppress(queue.Empty):
                results.put(tasks.get(timeout=0.1))

        self._again(step)

    def _take(self) -> None:
        def step(tasks: Any, results: Any) -> None:
            with contextlib.suppress(queue.Empty):
                self.got[results.get(timeout=0.1)] += 1

        self._again(step)

    def end(self) -> None:
        """Stop the threads; all that was accepted comes to its end."""
        self.stop.set()
        for thread in self.threads:
            thread.join(250)
            if thread.is_alive():
                self.wrong.append("somebody waits for ever")
        self.stop.clear()
        rest = [threading.Thread(target=self._tell, args=(teller,)) for teller in (self._answer, self._take)]
        for thread in rest:
            thread.start()
        eventually(lambda: not self.put - set(self.got), 30, "every value that was put comes back")
        self.stop.set()
        for thread in rest:
            thread.join(20)

    def steps(self) -> int:
        """How much has ended by now."""
        return self.counts.total() + self.got.total()

    def run_again(self) -> list[str]:
        """Tasks that ran after their client had been told how they ended."""
        found = []
        for name, ended in self.ended.items():
            file = self.folder / name
            runs = [float(line) for line in file.read_text().splitlines()] if file.exists() else []
            if any(began > ended for began in runs):
                found.append(name)
        return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.long)])
def test_a_master_may_be_killed_at_any_instant(tmp_path: Path, kills: int) -> None:
    chance, rest = random.Random(kills), threading.Event()
    with Command(tmp_path / "jobs.db") as command:
        workers = [command.worker("--queues", "default,paused") for _ in range(2)]
        story = Story(command, tmp_path / "runs")
        try:
            for _ in range(kills):
                if chance.random() < 0.7:  # the others die before anybody has come back to them
                    steps = story.steps()
                    eventually(lambda: story.steps() > steps or story.wrong, 60, "something goes on")
                rest.wait(chance.uniform(LEAST, MOST))
                command.kill()
                if chance.random() < 0.2:  # a worker dies with it
                    end(workers.pop(0))
                    workers.append(command.worker("--queues", "default,paused"))
                command.type()
            story.end()
            assert story.wrong == [], (story.wrong, story.client.stats(), story.counts)
            assert story.run_again() == []
            twice = sum(count - 1 for count in story.got.values())
            assert twice <= 3 * kills, "one value for each connection and kill may come twice"
            stats = story.client.stats()["queues"]
            assert stats["default"]["ready"] == stats["default"]["leased"] == stats["default"]["delayed"] == 0
            assert all(story.counts[kind] for kind in ("good", "raises once", "raises", "map", "pause"))
        finally:
            story.stop.set()
            story.client.shutdown(cancel_futures=True)
            for worker in workers:
                end(worker)


def test_of_the_results_that_a_script_has_taken_one_at_most_comes_again(tmp_path: Path) -> None:
    got: list[list[int]] = []
    with Command(tmp_path / "jobs.db") as command, command.connect() as client:
        for number in range(300):
            client.results.put(number)
        for _ in range(3):
            manager = QueueManager(client.connection.address, client.connection.authkey)
            manager.connect()
            results = manager.get_result_queue()
            got.append([results.get(timeout=20) for _ in range(80)])
            command.kill()
            command.type()
    for before, after in zip(got, got[1:], strict=False):
        assert after[0] in (before[-1], before[-1] + 1)
        assert after == list(range(after[0], after[0] + len(after)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.long)])
def test_what_clients_put_and_get_comes_once_though_the_master_is_killed(tmp_path: Path, kills: int) -> None:
    """dqlab's own clients, on the plain queues: no value is lost, none comes twice, and none of them hears of it."""
    chance, rest, stop = random.Random(kills), threading.Event(), threading.Event()
    put, got = [], Counter[str]()
    with Command(tmp_path / "jobs.db") as command, command.connect() as client, command.connect() as other:

        def bring() -> None:
            while not stop.is_set():
                put.append(f"url {len(put)}")
                client.tasks.put(put[-1])

        def answer(worker: Client) -> None:
            while not stop.is_set() or got.total() < len(put):
                with contextlib.suppress(queue.Empty):
                    worker.results.put(worker.tasks.get(timeout=0.1))

        def take() -> None:
            while not stop.is_set() or got.total() < len(put):
                with contextlib.suppress(queue.Empty):
                    got[client.results.get(timeout=0.1)] += 1

        with ThreadPoolExecutor(5) as pool:
            ends = [pool.submit(bring), pool.submit(take), *(pool.submit(answer, w) for w in (client, client, other))]
            for _ in range(kills):
                values = got.total()
                eventually(lambda values=values: got.total() > values or any(end.done() for end in ends), 60)
                rest.wait(chance.uniform(LEAST, MOST))
                command.kill()
                command.type()
            stop.set()
            wait(ends, 60)
            assert [end.result(0) for end in ends] == [None] * 5
        assert got == Counter(put)
        counts = client.stats()["queues"]["plain"]
        assert counts["done"] == len(put) and counts["redelivered"] == 0


def test_the_death_of_the_master_stands_in_the_history_and_uses_up_no_attempt(tmp_path: Path) -> None:
    with Command(tmp_path / "jobs.db") as command, command.connect() as client, LocalWorkers(client, 1):
        gate = tmp_path / "gate"
        future = client.options(max_attempts=2).submit(wait_for, str(gate))
        for deaths in range(4):
            # Until this life's lease is written the file tells of the last one's.
            eventually(lambda: told_of(command.file) == ("leased", [DIED] * deaths), 20)
            command.kill()
            command.type()
        gate.touch()
        assert future.result(30) == "it is there"
        assert eventually(lambda: written(command.file, "done"), 10) == 1
        assert told_of(command.file) == ("done", [DIED] * 4)
        with contextlib.closing(sqlite3.connect(command.file)) as db:
            assert db.execute("SELECT attempt FROM spans").fetchone() == (1,)


def told_of(file: Path) -> tuple[str, list[str]] | None:
    """The state of the journal's only task, and what stands in its history; None if it isn't there."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        row = db.execute("SELECT state, history FROM spans").fetchone()
    return row and (row[0], [reason for _, reason in json.loads(row[1] or "[]")])


def written(file: Path, state: str) -> int:
    """How many tasks the journal holds in a state."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        return int(db.execute("SELECT count(*) FROM tasks WHERE state = ?", (state,)).fetchone()[0])


def test_tasks_that_only_one_python_can_read_wait_for_a_worker_that_has_it(tmp_path: Path) -> None:
    """As after an upgrade of Python on the worker's machine, while the master was away."""
    with Command(tmp_path / "jobs.db") as command, command.connect() as client:
        bound = client.submit(lambda: "by value")
        client.flush()
        command.kill()
        command.type()
        worker = open_broker(client.connection.address, client.connection.authkey, WORKER)
        request(worker, "join", "here", 1, None, False, None, "3.0")
        assert request(worker, "exchange", [], 0.1) == ([], {})
        another = command.connect()
        another.submit(abs, -1)
        another.flush()
        (lease,), _ = request(worker, "exchange", [], 10.0)  # what any Python can read goes past it
        assert Lease.decode(lease).header.python == ""
        stats = client.stats()
        assert stats["pythons"] == {"default": [PYTHON]} and not can_work(stats | {"queues": waiting(stats)})
        assert f"only Python {PYTHON} can read" in why_stuck(stats, [], False)
        said = run("-m", "dqlab", "status", command.connection).stdout
        assert f"tasks in default wait for a worker with Python {PYTHON}" in said
        with LocalWorkers(client, 1):
            assert bound.result(60) == "by value"
            assert client.stats()["pythons"] == {}
            worker.close()
            another.shutdown()


def waiting(stats: dict[str, Any]) -> dict[str, Any]:
    """The queues of `stats`, as they are when nothing is leased."""
    return {name: counts | {"leased": 0} for name, counts in stats["queues"].items()}


def test_another_kernel_finds_what_is_open_and_waits_for_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Command(tmp_path / "jobs.db") as command:
        with command.connect() as client:
            ids = [client.submit(wait_for, str(gate)).task_id for _ in range(3)]
            client.flush()
        command.kill()
        command.type()
        with command.connect() as client:
            found = client.unfinished()
            assert [(task["task"], task["queue"], task["function"], task["state"]) for task in found] == [
                (task, "default", "wait_for", "ready") for task in ids
            ]
            assert 0 <= found[0]["age"] < 120
            futures = [client.future(task["task"]) for task in found]
            assert not any(future.done() for future in futures)
            gate.touch()
            with LocalWorkers(client, 1):
                assert [future.result(60) for future in futures] == ["it is there"] * 3
            assert client.unfinished() == [] and client.future(ids[0]).result(20) == "it is there"
            with pytest.raises(Refused, match="knows no task"):
                client.future(ids[-1] + 1)
