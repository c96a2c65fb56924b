"""The order in which a journal is written: cut off after any write, it holds whole transactions, and each told word."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import shutil
import signal
import sqlite3
import threading
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dqlab import Master
from dqlab.broker.broker import Broker
from dqlab.broker.changes import Changes
from dqlab.broker.revival import Remains, revive
from dqlab.broker.tasks import FINAL, State
from dqlab.master.journal_file import JournalFile, beside
from dqlab.master.process import RunningMaster
from dqlab.master.settings import MasterSettings
from dqlab.wire.messages import PLAIN
from tests.cluster import run
from tests.helpers import eventually
from tests.journal import Command

#: bytes of a page of the log, and of what stands before it
PAGE, BEFORE = 4096, 24


def log_of(file: Path) -> Path:
    """The write-ahead log."""
    return file.with_name(f"{file.name}-wal")


def told(remains: Remains) -> Any:
    """What a broker would be made of."""
    return remains.spans, remains.runs, remains.queues, remains.results, remains.taken


def live(broker: Broker, changes: Changes, step: int) -> None:
    """One of several things that happen to a broker."""
    if step % 3 == 0:
        broker.plain.put([f"url {step}", "x" * 5_000 * (step % 4)], step)
    elif step % 3 == 1:
        broker.plain.get("script", "address", step)
    else:
        broker.plain.answer("script", "address", [f"answer {step}"], step)
        if step % 2:
            broker.plain.take_result()


def test_a_log_that_ends_anywhere_holds_whole_transactions(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "jobs.db", "full")
    journal.begin(0.0)
    broker = Broker()
    changes = revive(broker, journal.remains(), 0.0)
    written = [(log_of(journal.path).stat().st_size, told(journal.remains()))]
    for step in range(12):
        live(broker, changes, step)
        journal.write([changes.take()])
        written.append((log_of(journal.path).stat().st_size, told(journal.remains())))
    log = log_of(journal.path).read_bytes()
    shutil.copy(journal.path, tmp_path / "tables.db")
    journal.close()
    ends = range(written[0][0], len(log) + 1, PAGE + BEFORE)
    for end in sorted({*ends, *(end - PAGE // 2 for end in ends[1:]), *(end - PAGE - 1 for end in ends[1:])}):
        found = tmp_path / f"{end}.db"
        shutil.copy(tmp_path / "tables.db", found)
        log_of(found).write_bytes(log[:end])
        copy = JournalFile(found, "full")
        expected = [state for size, state in written if size <= end][-1]
        assert told(copy.remains()) == expected, f"the log cut at {end}"
        copy.close()


def test_after_a_power_cut_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    """Files are copied at random instants, as a disk would be found; what had been acknowledged before is in them."""
    chance, rest, stop = random.Random(3), threading.Event(), threading.Event()
    accepted: list[int] = []
    copies: list[tuple[Path, list[int]]] = []
    with Command(tmp_path / "jobs.db", "--journal-sync", "full") as command, command.connect() as client:

        def submit() -> None:
            while not stop.is_set():
                future = client.submit(abs, -1)
                client.flush()
                accepted.append(future.task_id or 0)

        thread = threading.Thread(target=submit)
        thread.start()
        eventually(lambda: accepted, 20)
        for number in range(15):
            rest.wait(chance.uniform(0.0, 0.05))
            before, found = list(accepted), tmp_path / f"{number}.db"
            shutil.copy(command.file, found)
            shutil.copy(log_of(command.file), log_of(found))
            copies.append((found, before))
        stop.set()
        thread.join(60)
    for found, before in copies:
        journal = JournalFile(found, "full")
        there = {row.first + i for row in journal.remains().spans for i in range(row.count)}
        assert there.issuperset(before), "a task was acknowledged, and is not there"
        journal.close()
    assert copies[-1][1]


def killed_before(write: int, file: Path) -> tuple[int, dict[str, list[Any]]]:
    """Run `killed_writer`; return how it ended, and what its client had been told by then."""
    ended, told = run("-m", "tests.promises.killed_writer", file, str(write)), defaultdict(list)
    for kind, what in map(json.loads, ended.stdout.splitlines()):
        told[kind] += what if isinstance(what, list) else [what]
    return ended.returncode, told


@cache
def writes(folder: Path) -> int:
    """How many writes there are in all."""
    code, told = killed_before(10**9, folder / "whole.db")
    assert code == 0 and len(told["taken"]) == 2
    return int(told["writes"][0])


#: so many parts of all writes, of which one is tried in each run, and all in a long one
PARTS = 16


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, PARTS))])
def test_killed_between_any_two_writes_it_has_promised_nothing_that_is_not_there(tmp_path: Path, part: int) -> None:
    for write in range(1 + part, writes(tmp_path) + 1, PARTS):
        file = tmp_path / f"{write}.db"
        code, told = killed_before(write, file)
        if code == 0:
            continue  # how many writes there are is chance: the journal's thread takes along what has come
        assert code == -signal.SIGKILL, f"before write {write}: {code}"
        RunningMaster(MasterSettings(journal=file)).close()
        journal = JournalFile(file, "normal")
        remains = journal.remains()
        journal.close()
        check(remains, told, f"before write {write}: {dict(told)}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.long)])
def test_killed_while_it_takes_up_an_older_version_it_has_lost_nothing(tmp_path: Path, step: int) -> None:
    older = tmp_path / "older.db"
    with Master(journal=older) as master:
        old = [master.submit(abs, -number).task_id for number in range(3)]
        master.flush()
    with contextlib.closing(sqlite3.connect(older)) as db:  # as version 1 had it
        db.executescript("DROP TABLE answers; ALTER TABLE spans DROP COLUMN thread; PRAGMA user_version = 1;")
    for write in itertools.count(1, step):
        file = tmp_path / f"{write}.db"
        shutil.copy(older, file)
        code, told = killed_before(write, file)
        assert code == -signal.SIGKILL, f"before write {write}: {code}"
        RunningMaster(MasterSettings(journal=file)).close()
        with contextlib.closing(sqlite3.connect(beside(file, "v1"))) as copy:
            assert copy.execute("SELECT sum(count) FROM spans").fetchone() == (3,), f"before write {write}"
        journal = JournalFile(file, "normal")
        remains = journal.remains()
        journal.close()
        check(remains, told | {"accepted": told["accepted"] + old}, f"before write {write}: {dict(told)}")
        if told["accepted"]:
            break


def check(remains: Remains, told: dict[str, list[Any]], where: str) -> None:
    """What a journal holds is what a client was told."""
    runs = {row.first: row for row in remains.runs}
    states = {row.first + i: row.state for row in remains.spans for i in range(row.count)}
    assert states.keys() >= set(told["accepted"]), where
    assert {states[task] for task in told["done"]} <= {State.DONE}, where
    assert {states[task] for task in told["cancelled"]} <= {State.CANCELLED}, where
    assert {row.queue for row in remains.queues if row.paused} >= set(told["paused"]), where
    spans = [row for row in remains.spans if runs[row.run].header.queue == PLAIN and row.state not in FINAL]
    waiting = {value: row for row in spans for value in runs[row.run].payload[row.first - row.run :][: row.count]}
    held = {value for value, row in waiting.items() if row.state is State.LEASED and row.thread}
    assert waiting.keys() >= set(told["put"]) - set(told["got"]) - in_flight(remains, "tasks.get"), where
    assert not waiting.keys() & set(told["answered"]), where
    assert waiting.keys() & set(told["got"]) <= held, f"given out again, {where}"
    there = [*remains.results, *in_flight(remains, "results.get")]
    assert set(told["answered"]) - set(told["taken"]) <= set(there), where
    assert not set(told["taken"]) & set(remains.results), f"given out again, {where}"


def in_flight(remains: Remains, call: str) -> set[Any]:
    """What a thread was given, which it may not have heard."""
    return {value for row in remains.answers if row.call == call for value in row.answer}
