"""The command as a terminal sees it: what it prints, its exit codes, and never a traceback."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dqlab import Master, connect
from dqlab.cli import command, main
from tests.cluster import child_of, cluster, environment, gone, run, start
from tests.helpers import eventually, free_port


def double(x):
    return 2 * x


class Command:
    """A running ``dqlab ...``; ended by the end of its block."""

    def __init__(self, *words):
        self.process = start("-m", "dqlab", *map(str, words))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.communicate()

    def end(self, number=None, timeout=20):
        """(exit code, the rest of its output, its errors), after a signal."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


def dqlab(*words, **options):
    return run("-m", "dqlab", *map(str, words), **options)


def refused(ended, code, *words):
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("dqlab: ")
    assert len(lines) <= 2
    for word in words:
        assert word in ended.stderr
    return True


# -- master --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_master_announces_itself_in_one_line_and_ends_cleanly(tmp_path, number):
    file = tmp_path / "master.json"
    with Command("master", "--connection-file", file) as master:
        line = master.process.stdout.readline()
        assert re.fullmatch(r"dqlab master serving at 127\.0\.0\.1:\d+\n", line)
        assert file.stat().st_mode & 0o777 == 0o600
        fields = json.loads(file.read_text())
        assert set(fields) == {"host", "port", "key", "pid", "version"}
        assert fields["pid"] == master.process.pid
        assert fields["key"] not in " ".join(psutil.Process(master.process.pid).cmdline())
        with connect(file) as client:
            assert f"{client.address}\n" in line
        code, out, err = master.end(number)
        assert (code, out) == (0, "")
        assert "Traceback" not in err
        assert not file.exists()


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Command("master", "--connection-file", tmp_path / "master.json") as master:
            assert master.process.stdout.readline()
            master.process.send_signal(signal.SIGHUP)
            with connect(tmp_path / "master.json") as client:
                assert client.stats()["workers"] == []
            assert master.end(signal.SIGTERM)[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("rubbish", [b"", b"\xff\xfe", b"[]", b'{"host": 1}'])
def test_a_connection_file_that_holds_rubbish_by_now_does_not_spoil_the_end(tmp_path, rubbish):
    file = tmp_path / "master.json"
    with Command("master", "--connection-file", file) as master:
        assert master.process.stdout.readline()
        file.write_bytes(rubbish)
        code, _, err = master.end(signal.SIGTERM)
    assert (code, "Traceback" in err, file.read_bytes()) == (0, False, rubbish)


@pytest.mark.parametrize("home", ["/proc", "/no/such/home"])
def test_a_master_needs_no_home(tmp_path, home):
    """Neither of these can be written to, not even by root."""
    program = "from dqlab import *\nwith Master() as m: print(m.connection_file.exists(), LocalWorkers(m).wait().names)"
    unset = ("HOME", "JUPYTER_RUNTIME_DIR", "XDG_DATA_HOME")
    env = {name: value for name, value in environment().items() if name not in unset}
    if home == "/no/such/home":
        env["JUPYTER_RUNTIME_DIR"] = "/proc/nowhere"
    env |= {"HOME": home, "TMPDIR": str(tmp_path)}
    ended = run("-c", program, env=env)
    assert (ended.stdout, ended.returncode) == ("True ['w1']\n", 0), ended.stderr
    assert not list(tmp_path.iterdir())


def test_master_with_a_key_file_and_a_port(tmp_path):
    key, port = tmp_path / "key", free_port()
    key.write_bytes(b"a-long-enough-secret-1234\n")
    with Command("master", "--port", port, "--authkey-file", key) as master:
        assert master.process.stdout.readline() == f"dqlab master serving at 127.0.0.1:{port}\n"
        with connect(f"127.0.0.1:{port}", authkey=b"a-long-enough-secret-1234") as client:
            assert client.stats()["workers"] == []
        assert refused(dqlab("master", "--port", port), 1, f"cannot serve at 127.0.0.1:{port}", "in use")
        assert master.end(signal.SIGTERM)[0] == 0


def test_master_refuses_a_guessable_key_where_others_reach_it(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"abc\n")
    assert refused(dqlab("master", "--host", "0.0.0.0", "--authkey-file", key), 2, "guessable", "--insecure")
    with Command("master", "--host", "0.0.0.0", "--authkey-file", key, "--insecure") as master:
        assert master.process.stdout.readline().startswith("dqlab master serving at 0.0.0.0:")
        code, _, err = master.end(signal.SIGTERM)
        assert code == 0
        assert "warning" in err
        assert "guessed" in err
    with Command("master", "--authkey-file", key) as master:  # on this machine only, it is allowed
        assert master.process.stdout.readline().startswith("dqlab master serving at 127.0.0.1:")


@pytest.mark.parametrize(
    "words",
    [
        ["--port", "99999"], ["--port", "many"], ["--lease", "0"], ["--max-attempts", "0"], ["--backlog", "0"],
        ["--authkey-file", "/no/such/file"], ["--colour", "red"], ["extra"], ["--lease", "nan"], ["--lease", "inf"],
    ],
)  # fmt: skip
def test_wrong_use_of_master(words):
    assert refused(dqlab("master", *words), 2)


def test_no_command_at_all_and_an_unknown_one():
    assert refused(dqlab(), 2)
    assert refused(dqlab("fly"), 2, "fly")


@pytest.mark.parametrize("command", ["master", "worker", "status", "crawl"])
def test_help_explains_each_option(command):
    ended = dqlab(command, "--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"usage: dqlab {command}")
    options = re.findall(r"^  (-.*?)(?:  +(\S.*))?$", ended.stdout, re.M)
    assert options
    assert dqlab("--version").stdout.startswith("dqlab 0.")


# -- worker --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_worker_finishes_the_task_in_hand(number, tmp_path):
    def wait():
        (tmp_path / "begun").touch()
        while not (tmp_path / "gate").exists():
            time.sleep(0.01)

    with Master() as master, Command("worker", master.connection_file) as worker:
        future, more = master.submit(wait), master.submit(wait)
        eventually((tmp_path / "begun").exists, what="a task in hand")
        worker.process.send_signal(number)
        (tmp_path / "gate").touch()
        code, out, err = worker.end()
        assert (code, out) == (0, "")
        assert "Traceback" not in err
        assert future.result(5) is None
        assert master.stats()["queues"]["default"]["redelivered"] == 0
        assert more.cancel()


def test_idle_worker_ends_at_once():
    with Master() as master, Command("worker", master.connection_file) as worker:
        eventually(lambda: master.stats()["workers"], what="the worker")
        began = time.monotonic()
        assert worker.end(signal.SIGINT)[0] == 0
        assert time.monotonic() - began < 4


def test_two_workers_of_one_command():
    with Master() as master, Command("worker", master.connection_file, "-n", 2) as workers:
        eventually(lambda: len(master.stats()["workers"]) == 2, what="two workers")
        pids = [worker["pid"] for worker in master.stats()["workers"]]
        assert workers.process.pid not in pids
        assert list(master.map(double, range(100))) == [2 * x for x in range(100)]
        code, _, err = workers.end(signal.SIGTERM)
        assert code == 0, err
        eventually(lambda: all(map(gone, pids)), what="their end")


def test_two_workers_of_one_command_that_is_killed():
    with Master() as master, Command("worker", master.connection_file, "-n", 2) as workers:
        eventually(lambda: len(master.stats()["workers"]) == 2, what="two workers")
        pids = [worker["pid"] for worker in master.stats()["workers"]]
        children = [child_of(pid).pid for pid in pids]
        workers.end(signal.SIGKILL)
        eventually(lambda: all(map(gone, [*pids, *children])), timeout=5, what="their end")


def test_until_empty_ends_when_all_is_done():
    with Master() as master:
        futures = [master.options(queue="one", retries=2).submit(double, x) for x in range(20)]
        master.options(queue="two").submit(double, 1)
        master.flush(10)
        ended = dqlab("worker", master.connection_file, "--queues", "one", "--until-empty", "-n", 2)
        assert ended.returncode == 0, ended.stderr
        assert [future.result(5) for future in futures] == [2 * x for x in range(20)]
        assert master.stats()["queues"]["two"]["ready"] == 1
        assert dqlab("worker", master.connection_file, "--until-empty").returncode == 0
        assert master.stats()["queues"]["two"]["done"] == 1


def test_worker_with_a_handler_beside_the_terminal(tmp_path):
    (tmp_path / "mine.py").write_text("def shout(text):\n    return text.upper()\n")
    with Master() as master:
        master.tasks.put_many(["a", "b"])
        ended = dqlab("worker", master.connection_file, "--handler", "mine:shout", "--until-empty", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert sorted(master.results.get(timeout=5) for _ in range(2)) == ["A", "B"]


def connection_problems(tmp_path):
    text = tmp_path / "text"
    text.write_text("hello\n")
    other = tmp_path / "other.json"
    other.write_text('{"port": 1}')
    odd = [tmp_path / f"odd{n}.json" for n in range(5)]
    form = '{"host": "127.0.0.1", "port": %s, "key": "YWJjZGVmZ2hpamtsbW5v", "version": "1"}'
    for file, port in zip(odd, ["-5", "99999", "1e400"], strict=False):
        file.write_text(form % port)
    odd[3].write_text("[" * 100_000)
    odd[4].write_bytes(b"\xff" * 100)
    key = tmp_path / "key"
    key.write_bytes(b"some-key-or-other")
    return [
        *((2, [file], "not a connection file") for file in odd),
        (2, [tmp_path], "directory"),
        (2, ["..:5000", "--authkey-file", key], "host '..'"),
        (2, [f"{'a' * 70}:5000", "--authkey-file", key], "host 'aaa"),
        (2, [f"127.0.0.1:{free_port()}", "--authkey-file", tmp_path], "directory"),
        (2, ["/no/such/file"], "No such file"),
        (2, [text], "not a connection file"),
        (2, [other], "not a connection file"),
        (2, [f"127.0.0.1:{free_port()}"], "no key"),
        (2, [f"127.0.0.1:{free_port()}", "--authkey-file", "/no/such/key"], "key"),
        (2, ["127.0.0.1:99999", "--authkey-file", key], "99999"),
        (2, [], ""),
    ]


@pytest.mark.parametrize("command", ["worker", "status"])
def test_what_is_no_master(tmp_path, command):
    for code, words, text in connection_problems(tmp_path):
        assert refused(dqlab(command, *words), code, text)


def test_nobody_there_and_the_wrong_key(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"some-key-or-other")
    port = free_port()
    assert refused(dqlab("status", f"127.0.0.1:{port}", "--authkey-file", key), 1, f"127.0.0.1:{port}")
    with Master() as master:
        for command in ("status", "worker"):
            assert refused(dqlab(command, master.address, "--authkey-file", key), 1, "key")


def test_something_else_answers_there(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"some-key-or-other")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with Command("status", f"127.0.0.1:{port}", "--authkey-file", key) as status:
            conn, _ = server.accept()
            conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            conn.close()
            code, out, err = status.end()
    assert (code, out) == (1, "")
    assert "not a master" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words", [["-n", "0"], ["-n", "some"], ["--queues", "no blanks"], ["--handler", "nocolon"],
              ["--handler", "no.such:thing"], ["--give-up", "soon"], ["--give-up", "nan"],
              ["--give-up", "-1"], ["--handler", "..up:f"]],
)  # fmt: skip
def test_wrong_use_of_worker(words):
    with Master() as master:
        assert refused(dqlab("worker", master.connection_file, *words), 2)


@pytest.mark.parametrize("text", ["x = = 1", "1 / 0", "raise SystemExit(3)"])
def test_a_handler_whose_module_breaks_when_it_is_imported(tmp_path, text):
    (tmp_path / "broken.py").write_text(text)
    with Master() as master:
        assert refused(dqlab("worker", master.connection_file, "--handler", "broken:f", cwd=tmp_path), 2, "'broken:f'")


# -- status --------------------------------------------------------------------------------------


def test_status_as_json_has_the_stated_shape():
    with cluster(1) as (master, workers):
        assert master.submit(double, 1).result(20) == 2
        ended = dqlab("status", master.connection_file, "--json")
        assert (ended.returncode, ended.stderr) == (0, "")
        stats = json.loads(ended.stdout)
        assert {"queues", "workers", "throughput", "latency", "uptime", "version"} <= set(stats)
        counts = stats["queues"]["default"]
        assert {"ready", "delayed", "leased", "done", "failed", "redelivered", "cancelled", "paused"} <= set(counts)
        assert counts["done"] == 1
        assert set(stats["latency"]) == {"p50", "p95"}
        (worker,) = stats["workers"]
        assert {"name", "host", "pid", "state", "done", "utilisation"} <= set(worker)
        assert (worker["name"], worker["pid"], worker["state"], worker["done"]) == ("w1", workers.pids["w1"], "idle", 1)
        assert 0 <= worker["utilisation"] <= 1


def test_status_for_people():
    with pytest.warns(UserWarning, match="1 task was cancelled"), Master() as master:
        empty = dqlab("status", master.connection_file).stdout
        assert "no worker is connected" in empty
        master.submit(double, 1)
        master.flush(10)
        shown = dqlab("status", master.connection_file).stdout
        assert re.search(r"^default +1 ", shown, re.M)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_watch_goes_on_until_it_is_ended(number):
    with Master() as master, Command("status", master.connection_file, "--watch", "--json") as status:
        for _ in range(2):
            assert json.loads(status.process.stdout.readline())["workers"] == []
        code, _, err = status.end(number)
        assert code in (0, 130)
        assert err == ""


def test_watch_ends_with_its_master():
    with Master() as master, Command("status", master.connection_file, "--watch", "--json") as status:
        assert status.process.stdout.readline()
        os.kill(master.pid, signal.SIGKILL)
        code, _, err = status.end(timeout=30)
        assert code == 1
        assert "gone" in err or "no master" in err
        assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error():
    with Master() as master, Command("status", master.connection_file, "--watch", "--json") as status:
        assert status.process.stdout.readline()
        status.process.stdout.close()
        assert status.process.wait(20) == 0
        assert status.process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_an_output_that_takes_no_more_is_one_line():
    with Master() as master, open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "dqlab", "status", str(master.connection_file)]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=environment())
    assert (ended.returncode, ended.stderr) == (1, "dqlab: No space left on device\n")


def test_the_key_is_in_no_command_line(tmp_path):
    file = tmp_path / "master.json"
    with contextlib.ExitStack() as commands:
        master = commands.enter_context(Command("master", "--connection-file", file))
        assert master.process.stdout.readline()
        worker = commands.enter_context(Command("worker", file, "-n", 2))
        key = json.loads(file.read_text())["key"]
        with connect(file) as client:
            eventually(lambda: len(client.stats()["workers"]) == 2, what="two workers")
            secrets = {key, client.connection.authkey.decode()}
        lines = [Path(f"/proc/{pid}/cmdline") for pid in psutil.pids()]
        shown = b"\n".join(path.read_bytes() for path in lines if path.exists()).decode(errors="replace")
        assert not any(secret in shown for secret in secrets)
        assert worker.end(signal.SIGTERM)[0] == 0


def test_the_console_script_is_the_same():
    ended = subprocess.run(
        ["python", "-c", "import dqlab.cli, sys; sys.exit(dqlab.cli.main(['--version']))"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.stdout.startswith("dqlab ")


def test_ctrl_c_while_a_class_is_made_is_no_traceback_either(monkeypatch):
    def interrupted(argv):
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr(command, "main", interrupted)
    assert main([]) == 130

    monkeypatch.setattr(command, "main", lambda argv: (_ for _ in ()).throw(RuntimeError("a fault of ours")))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        main([])
