"""Connection files, key files and addresses."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from dqlab.errors import BadInput
from dqlab.wire.connection_file import Connection, find_connection, read_key, runtime_dir, runtime_dirs, write_private

HERE = Connection("127.0.0.1", 5000, b"\x00key\xff", 17, "0.1.0")


def test_a_connection_file_holds_all_of_it(tmp_path):
    path = tmp_path / "deep" / "master.json"
    HERE.write(path)
    assert Connection.read(path) == HERE
    assert set(json.loads(path.read_text())) == {"host", "port", "key", "pid", "version"}


def test_the_key_is_not_shown():
    assert repr(HERE) == "<Connection 127.0.0.1:5000>" and HERE.address == ("127.0.0.1", 5000)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_file_is_private_from_its_first_instant_whatever_the_umask(tmp_path, umask, monkeypatch):
    modes = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (modes.append(os.stat(a).st_mode & 0o777), replace(a, b)))
    old = os.umask(umask)
    try:
        HERE.write(tmp_path / "master.json")
    finally:
        os.umask(old)
    modes.append((tmp_path / "master.json").stat().st_mode & 0o777)
    assert modes == [0o600, 0o600]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "master.json"
    HERE.write(path)
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert Connection.read(path) == HERE
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json", '{"host": "h", "port": "x", "key": "", "version": ""}',
                                  '{"host": "h", "port": 1, "key": "!", "version": ""}'])  # fmt: skip
def test_another_file_is_refused_by_its_name(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(BadInput, match="other.json is not a connection file"):
        Connection.read(path)


def test_a_file_that_is_not_there_asks_whether_the_master_runs(tmp_path):
    with pytest.raises(BadInput, match="is the master running"):
        Connection.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "key"),
    [(b"abc", b"abc"), (b"abc\n", b"abc"), (b"abc\r\n", b"abc"), (b"abc\n\n", b"abc\n"), (b" a b \n", b" a b ")],
)
def test_one_newline_at_the_end_of_a_key_file_is_not_part_of_the_key(tmp_path, content, key):
    (tmp_path / "key").write_bytes(content)
    assert read_key(tmp_path / "key") == key


def test_a_connection_file_serves_as_key_file(tmp_path):
    HERE.write(tmp_path / "master.json")
    assert read_key(tmp_path / "master.json") == HERE.authkey


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BadInput, match="is empty"):
        read_key(tmp_path / "key")
    with pytest.raises(BadInput, match="No such file"):
        read_key(tmp_path / "none")


def test_a_connection_is_found_by_file_or_by_address_and_key(tmp_path, monkeypatch):
    path = tmp_path / "master.json"
    HERE.write(path)
    assert find_connection(path) == find_connection(str(path)) == HERE
    assert find_connection(path, b"other").authkey == b"other"
    assert find_connection("lab1:5000", b"k") == Connection("lab1", 5000, b"k")
    with pytest.raises(BadInput, match="no key for lab1:5000"):
        find_connection("lab1:5000")
    monkeypatch.chdir(tmp_path)
    HERE.write(Path("name:7"))
    assert find_connection("name:7") == HERE  # a file of that name wins


def test_the_runtime_directory_is_jupyters_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "given"))
    assert runtime_dir() == tmp_path / "given"
    monkeypatch.delenv("JUPYTER_RUNTIME_DIR")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert runtime_dir() == tmp_path / ".dqlab"
    (tmp_path / "data/jupyter/runtime").mkdir(parents=True)
    assert runtime_dir() == tmp_path / "data/jupyter/runtime"


def test_without_any_home_the_temporary_directory_has_to_do(tmp_path, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("JUPYTER_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert runtime_dirs()[0] == runtime_dir()
    monkeypatch.setattr(Path, "home", no_home)
    assert [str(folder) for folder in runtime_dirs()] == [tempfile.gettempdir()]
