"""The journal's file: what it takes up, what it refuses, a disk that is full, and a second master."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dqlab import BacklogFull, Client, LocalWorkers, Master, connect
from dqlab.errors import BadInput, DqlabError, LaunchFailed
from dqlab.master.journal_file import JournalFile, beside
from dqlab.master.journal_tables import VERSION
from dqlab.master.process import RunningMaster
from dqlab.master.settings import MasterSettings
from dqlab.wire.connection_file import Connection
from tests.cluster import run
from tests.helpers import eventually, free_port
from tests.journal import Command
from tests.plain import Hand


def master_on(file: Path, **settings: object) -> RunningMaster:
    return RunningMaster(MasterSettings(journal=file, **settings))


def leave_some(file: Path) -> None:
    """A journal with three tasks in it."""
    with Master(journal=file) as master:
        for number in range(3):
            master.submit(abs, -number)
        master.flush()


def states(file: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(file)) as db:
        return dict(db.execute("SELECT state, count(*) FROM tasks GROUP BY state"))


# -- an identity -------------------------------------------------------------------------------------------------------


def test_the_same_command_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    with Command(file) as command, command.connect() as client:
        future = client.submit(abs, -5)
        client.flush()
        before, about = Connection.read(command.connection), client.address
        for _ in range(2):
            command.kill()
            command.type()
        assert (Connection.read(command.connection).authkey, client.address) == (before.authkey, about)
        assert states(file) == {"ready": 1}
        with LocalWorkers(client, 1):
            assert future.result(20) == 5
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(command.connection.stat().st_mode) == 0o600
    assert before.authkey not in b"".join(
        path.read_bytes() for path in tmp_path.glob("jobs.db*") if "conn" not in path.name
    )


def test_an_owned_master_leaves_its_work_to_the_next(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    leave_some(file)
    assert states(file) == {"ready": 3}
    with Master(journal=file) as master:
        LocalWorkers(master, 1)
        eventually(lambda: master.stats()["queues"]["default"]["done"] == 3, 20)


def test_a_port_that_is_taken_is_an_error_never_another_port(tmp_path: Path) -> None:
    file, port = tmp_path / "jobs.db", free_port()
    master_on(file, port=port).close()
    other = RunningMaster(MasterSettings(port=port))
    try:
        with pytest.raises(LaunchFailed, match=f"cannot serve at 127.0.0.1:{port}"):
            master_on(file)
    finally:
        other.close()
    master_on(file).close()  # nothing of it was touched


# -- files that are no journal -----------------------------------------------------------------------------------------


def no_journal(file: Path) -> None:
    file.write_text("a shopping list\n" * 100)


def empty(file: Path) -> None:
    file.touch()


def another_database(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE songs (name)")


def newer(file: Path) -> None:
    leave_some(file)
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")


def truncated(file: Path) -> None:
    leave_some(file)
    with file.open("r+b") as half:
        half.truncate(file.stat().st_size // 2)


def a_folder(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize("make", [no_journal, empty, another_database, newer, truncated, a_folder])
def test_a_file_that_makes_no_sense_is_refused_and_left_as_it_is(make: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    make(file)
    before = file.read_bytes() if file.is_file() else b""
    said = run("-m", "dqlab", "master", "--journal", file)
    assert said.returncode == 2, said
    assert len(said.stderr.strip().splitlines()) == 2 and str(file) in said.stderr, said.stderr
    assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    leave_some(file)
    file.chmod(0o400)
    # Root may write everything, unless it gives that up.
    humble = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    command = [*humble, sys.executable, "-m", "dqlab", "master", "--journal", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == 2 and "may not be written" in said.stderr


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is its folder there"):
        master_on(tmp_path / "none" / "jobs.db")


def test_a_second_master_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with Command(tmp_path / "jobs.db") as command, command.connect() as client:
        said = run("-m", "dqlab", "master", "--journal", command.file)
        assert said.returncode == 2 and "another master has the journal" in said.stderr
        client.submit(abs, -1)
        client.flush()
        command.kill(signal.SIGTERM)
        command.type()
        assert client.stats()["queues"]["default"]["ready"] == 1


def test_an_older_version_is_taken_up_and_a_copy_of_it_kept(tmp_path: Path) -> None:
    file, copy = tmp_path / "jobs.db", tmp_path / "jobs.db.v1"
    leave_some(file)
    with contextlib.closing(sqlite3.connect(file)) as db:  # as version 1 had it
        db.executescript("DROP TABLE answers; ALTER TABLE spans DROP COLUMN thread; PRAGMA user_version = 1;")
    said = run("-m", "dqlab", "journal", file)
    assert said.returncode == 0 and not copy.exists()  # to look changes nothing
    with Master(journal=file) as master, LocalWorkers(master, 1):
        assert eventually(lambda: master.stats()["queues"]["default"]["done"] == 3, 20)
        master.results.put("it has the new table")
        assert master.results.get(timeout=10) == "it has the new table"
    assert states(copy) == {"ready": 3} and stat.S_IMODE(copy.stat().st_mode) == 0o600
    versions = []
    for path in (file, copy):
        with contextlib.closing(sqlite3.connect(path)) as db:
            versions.append(db.execute("PRAGMA user_version").fetchone()[0])
    assert versions == [VERSION, 1]
    copy.rename(tmp_path / "again.db")
    with Master(journal=tmp_path / "again.db") as master:
        assert master.stats()["queues"]["default"]["ready"] == 3  # the copy is a journal too


# -- no room -----------------------------------------------------------------------------------------------------------


def test_what_a_full_disk_does_not_take_is_not_acknowledged(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        command = stack.enter_context(Command(tmp_path / "jobs.db"))
        client = stack.enter_context(command.connect())
        stack.enter_context(LocalWorkers(client, 1)).wait()
        other = stack.enter_context(command.connect())
        impatient = other.options(when_full="raise")
        assert impatient.submit(abs, -1).result(20) == 1
        assert client.submit(abs, -1).result(20) == 1
        process = psutil.Process(command.process.pid)
        write_no_more(command)
        late = client.submit(abs, -2)
        with pytest.raises(TimeoutError):
            client.flush(1.0)
        assert not late.done()
        with pytest.raises(BacklogFull, match="cannot write the journal"):
            impatient.submit(abs, -3)
        with connect(command.connection) as another:
            assert another.stats()["queues"]["default"]["done"] >= 1  # it serves on
        process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        assert late.result(20) == 2
        assert eventually(lambda: works(impatient), 20)


def test_a_plain_value_is_handed_out_before_it_is_written_that_it_was_so_that_none_is_lost(tmp_path: Path) -> None:
    with Command(tmp_path / "jobs.db") as command, command.connect() as client:
        client.results.put_many(["first", "second"])
        script = Hand(client.connection.address, client.connection.authkey)
        write_no_more(command)
        assert script.ask("results", "get", True, 10) == ("#RETURN", "first")
        script.close()
        command.kill()
        command.type()
        with command.connect() as another:
            assert [another.results.get(timeout=10) for _ in range(2)] == ["first", "second"]


def test_a_client_is_told_a_value_once_it_is_written_that_it_has_it_so_that_none_comes_twice(tmp_path: Path) -> None:
    with Command(tmp_path / "jobs.db") as command, command.connect() as client:
        client.results.put_many(["first", "second"])
        client.tasks.put("url")
        write_no_more(command)
        for plain_queue in (client.results, client.tasks):
            with pytest.raises(queue.Empty):
                plain_queue.get(timeout=0.1)
        command.kill()
        command.type()
        assert [client.results.get(timeout=10) for _ in range(2)] == ["first", "second"]
        assert client.tasks.get(timeout=10) == "url"
        for _ in range(2):
            command.kill()
            command.type()
            with pytest.raises(queue.Empty):
                client.tasks.get(timeout=0.1)  # the client has it, and lives
        client.results.put("done")
        assert client.stats()["queues"]["plain"]["done"] == 1 and client.stats()["unmatched"] == 0


def write_no_more(command: Command) -> None:
    """From now on the master finds no room on its disk."""
    psutil.Process(command.process.pid).rlimit(psutil.RLIMIT_FSIZE, (1, psutil.RLIM_INFINITY))


def works(client: Client) -> bool:
    with contextlib.suppress(BacklogFull):
        return client.submit(abs, -4).result(20) == 4
    return False


def test_a_journal_that_holds_too_much_takes_no_more(tmp_path: Path) -> None:
    with Master(journal=tmp_path / "jobs.db", journal_bytes=2_000_000) as master:
        impatient = master.options(when_full="raise")
        with pytest.raises(BacklogFull, match="of 2,000,000 at most"):
            for _ in range(1_000):
                impatient.submit(len, bytes(100_000))
        LocalWorkers(master, 1)
        assert eventually(lambda: works(impatient), 30)


# -- what is in it -----------------------------------------------------------------------------------------------------


def test_nothing_is_written_by_a_master_that_could_not_write_its_file(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    leave_some(file)
    shutil.copy(file, tmp_path / "copy.db")
    journal = JournalFile(file, "normal")
    try:
        assert sum(row.count for row in journal.remains().spans) == 3
    finally:
        journal.close()
    assert states(tmp_path / "copy.db") == states(file) == {"ready": 3}


def test_what_is_done_and_read_leaves_no_payload_behind(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    with Master(journal=file) as master:
        LocalWorkers(master, 1)
        assert list(master.map(len, [bytes(10_000)] * 500)) == [10_000] * 500
    with contextlib.closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT count(*) FROM runs WHERE payload IS NOT NULL").fetchone() == (0,)
    assert states(file) == {"done": 500}
    assert beside(file, "connection").exists()


def test_a_client_that_comes_too_late_is_told_so(tmp_path: Path) -> None:
    """Another journal is another master, whatever its address."""
    file = tmp_path / "jobs.db"
    with Command(file) as command, command.connect() as client:
        client.submit(abs, -1)
        client.flush()
        command.kill()
        file.unlink()
        command.type()
        with pytest.raises(DqlabError, match="there is no client|another master"):
            client.stats()
