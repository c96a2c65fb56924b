"""`dqlab journal`: what is in a journal, with no master running."""

from __future__ import annotations

from pathlib import Path

import pytest

from dqlab import LocalWorkers, Master
from dqlab.client.recording import read
from tests.cluster import run
from tests.journal import Command


def broken() -> None:
    raise ValueError("no")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Ten tasks done, one failed, two that wait."""
    file = tmp_path / "jobs.db"
    with Master(journal=file) as master:
        with LocalWorkers(master, 1):
            assert list(master.map(abs, range(10))) == list(range(10))
            assert isinstance(master.submit(broken).exception(20), ValueError)
        for _ in range(2):
            master.options(queue="images").submit(abs, -1)
        master.flush()
    return file


def test_it_tells_counts_the_oldest_and_what_failed(journal: Path) -> None:
    said = run("-m", "dqlab", "journal", journal).stdout
    lines = [line.split() for line in said.splitlines()]
    assert ["default", "0", "0", "0", "10", "1", "0"] in lines
    assert ["images", "2", "0", "0", "0", "0", "0"] in lines
    assert "its master was started 1 times" in said
    assert "in images, ready, submitted 20" in said
    assert "in default: ValueError: no" in said


def test_its_room_is_given_back_and_it_becomes_a_record(journal: Path, tmp_path: Path) -> None:
    assert "bytes before" in run("-m", "dqlab", "journal", journal, "--vacuum").stdout
    record = tmp_path / "run.jsonl"
    assert "events" in run("-m", "dqlab", "journal", journal, "--export", record).stdout
    kinds = [event["kind"] for event in read(record)]
    assert {"submitted", "done", "failed", "worker_joined"} == set(kinds)
    assert sum(event.get("count", 1) for event in read(record) if event["kind"] == "done") == 10


def test_it_is_not_compacted_while_a_master_has_it(tmp_path: Path) -> None:
    with Command(tmp_path / "jobs.db") as command, command.connect() as client:
        said = run("-m", "dqlab", "journal", command.file, "--vacuum")
        assert said.returncode == 2 and "another master has the journal" in said.stderr
        assert run("-m", "dqlab", "journal", command.file).returncode == 0  # to look is no harm
        assert str(command.file) in run("-m", "dqlab", "status", command.connection).stdout
        assert client.stats()["journal"]["trouble"] == ""


def test_what_is_no_journal_is_told_in_a_line(tmp_path: Path) -> None:
    for file in (tmp_path / "none.db", Path(__file__)):
        said = run("-m", "dqlab", "journal", file)
        assert said.returncode == 2 and str(file) in said.stderr and len(said.stderr.splitlines()) <= 2
