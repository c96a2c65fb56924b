"""The order in which a journal is written: cut off after any write, it holds whole transactions, and each told word."""

from __future__ import annotations

import random
import shutil
import threading
from pathlib import Path
from typing import Any

from dqlab.broker.broker import Broker
from dqlab.broker.changes import Changes
from dqlab.broker.revival import Remains, revive
from dqlab.master.journal_file import JournalFile
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
