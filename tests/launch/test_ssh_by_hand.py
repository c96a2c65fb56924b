"""A master that other machines can reach: a strong key, a warning, and the line to type over there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from dqlab.wire.address import place
from dqlab.wire.connection_file import Connection, read_key

STRONG = b"0123456789abcdefghij"


def told(tmp_path: Path, *options: str, lines: int) -> tuple[str, list[str]]:
    """What `dqlab master` says on standard output and standard error, until it serves."""
    command = [sys.executable, "-m", "dqlab", "master", "--connection-file", str(tmp_path / "c.json"), *options]
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as master:
        assert master.stdout and master.stderr
        try:
            return master.stdout.readline(), [master.stderr.readline().strip() for _ in range(lines)]
        finally:
            master.terminate()


def test_a_random_key_is_in_the_connection_file(tmp_path: Path) -> None:
    serving, said = told(tmp_path, "--host", "0.0.0.0", lines=4)
    port = serving.rpartition(":")[2].strip()
    assert serving == f"dqlab master serving at 0.0.0.0:{port}\n"
    assert said[1].startswith("warning: tasks and results cross the network unencrypted;")
    assert said[2] == f"on the other machine, with a copy of {tmp_path / 'c.json'} that only you can read:"
    assert re.fullmatch(rf"dqlab worker \S+:{port} --authkey-file c.json", said[3]) and "0.0.0.0" not in said[3]


def test_a_key_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(STRONG + b"\n")
    _, said = told(tmp_path, "--host", "0.0.0.0", "--authkey-file", str(tmp_path / "key"), lines=4)
    assert said[3].endswith("--authkey-file key")
    assert STRONG.decode() not in "".join(said)


def test_a_guessable_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc")
    options = ["--host", "0.0.0.0", "--authkey-file", str(tmp_path / "key")]
    serving, said = told(tmp_path, *options, lines=2)
    assert not serving and said[0].startswith("dqlab: a guessable key on 0.0.0.0") and "--insecure" in said[1]
    serving, said = told(tmp_path, *options, "--insecure", lines=4)
    assert serving and "unencrypted and the key can be guessed" in said[1]


def test_this_machine_alone_needs_no_warning(tmp_path: Path) -> None:
    _, said = told(tmp_path, lines=2)
    assert said == [f"connection file {tmp_path / 'c.json'}", f"workers: dqlab worker {tmp_path / 'c.json'}"]


def test_a_connection_file_is_a_key_file_too(tmp_path: Path) -> None:
    Connection("10.0.0.1", 5000, STRONG).write(tmp_path / "c.json")
    assert read_key(tmp_path / "c.json") == STRONG
    (tmp_path / "key").write_bytes(b'{"key": "of my own"}\n')
    assert read_key(tmp_path / "key") == b'{"key": "of my own"}'


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert (place("fd00::2", 5000), place("10.0.0.1", 5000)) == ("[fd00::2]:5000", "10.0.0.1:5000")
