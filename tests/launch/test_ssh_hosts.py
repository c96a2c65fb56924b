"""What may be written for a host; everything else is refused before anything starts."""

import subprocess
from pathlib import Path

import pytest

from dqlab.errors import BadInput
from dqlab.launch.ssh import SSHWorkers
from dqlab.launch.ssh.hosts import Host, read_hosts
from dqlab.wire.connection_file import Connection


class NoMaster:
    """As much of a master as `SSHWorkers` looks at before it starts anything."""

    connection = Connection("127.0.0.1", 9, b"a key")
    launchers: tuple[object, ...] = ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("lab1", Host("lab1")),
        ("pi@lab2", Host("lab2", user="pi")),
        ("pi@lab2:2222", Host("lab2", user="pi", port=2222)),
        ("10.0.0.7:22", Host("10.0.0.7", port=22)),
        ("[fe80::1%eth0]:2200", Host("[fe80::1%eth0]", port=2200)),
        ("rechner-3.uni-köln.de", Host("rechner-3.uni-köln.de")),
        ({"host": "lab3", "n": 8, "python": "python3.12"}, Host("lab3", n=8, python="python3.12")),
        (Host("lab4", name="big"), Host("lab4", name="big")),
    ],
)
def test_ways_to_write_a_host(written: object, meant: Host) -> None:
    assert read_hosts([written]) == [meant]


def test_a_python_for_all_hosts_is_that_of_hosts_that_name_none() -> None:
    first, second = read_hosts(["lab1", {"host": "lab2", "python": "python3.13"}], "~/venv/bin/python")
    assert (first.interpreter, second.interpreter) == ("~/venv/bin/python", "python3.13")


def test_what_ssh_is_told() -> None:
    (host,) = read_hosts(["pi@[::1]:2222"])
    assert host.where == ["-l", "pi", "-p", "2222", "--", "::1"]
    assert host.typed == ["-p", "2222", "pi@::1"] and read_hosts(["lab1"])[0].typed == ["lab1"]


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        ([], "the list of hosts is empty"),
        ("lab1", r"must be a list of hosts, not 'lab1' \(write \['lab1'\]"),
        (None, "must be a list of hosts"),
        (["lab1", "lab1"], "two hosts are called 'lab1'"),
        (["pi@lab1", "root@lab1:22"], "two hosts are called 'lab1'.*name="),
        (["-oProxyCommand=touch /tmp/x"], "'-oProxyCommand=touch /tmp/x' is not a host name"),
        (["--"], "is not a host name"),
        (["-lroot@lab1"], "'-lroot' is not a user name"),
        (["lab 1"], "'lab 1' is not a host name"),
        (["lab1;reboot"], "is not a host name"),
        (["$(reboot)"], "is not a host name"),
        (["`reboot`@lab1"], "is not a user name"),
        (["lab1\n"], "is no"),
        (["lab1|cat"], "is not a host name"),
        (["lab1/"], "is not a host name"),
        ([""], "'' is not a host name"),
        (["@lab1"], "no user before the @"),
        (["lab1:ssh"], "is no host"),
        (["lab1:0"], "a port is a number from 1 to 65535, not 0"),
        (["lab1:99999"], "a port is a number from 1 to 65535"),
        ([17], "17 is no host"),
        ([{"name": "x"}], "has no 'host'"),
        ([{"host": "lab1", "hots": 1}], "has no setting called 'hots'.*settings are host, name"),
        ([{"host": "lab1", "user": "-x"}], "is not a user name"),
        ([{"host": "lab1", "name": "a b"}], "'a b' is not a name"),
        ([{"host": "lab1", "python": "python3; reboot"}], "is not a Python"),
        ([{"host": "lab1", "python": "-c"}], "is not a Python"),
        ([{"host": "lab1", "n": 0}], "lab1: n, the number of workers, must be a whole number from 1 up, not 0"),
        ([{"host": "lab1", "port": "22"}], "a port is a number"),
    ],
)
def test_bad_hosts_are_refused(hosts: object, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)  # nothing is started
    with pytest.raises(BadInput, match=f"(?s){reason}"):
        SSHWorkers(NoMaster(), hosts)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True])
def test_bad_numbers_of_workers_are_refused(n: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(BadInput, match="number of workers"):
        SSHWorkers(NoMaster(), ["lab1"], n)  # type: ignore[arg-type]


def test_other_bad_input_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(BadInput, match="no ssh configuration file .*nowhere"):
        SSHWorkers(NoMaster(), ["lab1"], ssh_config=tmp_path / "nowhere")
    with pytest.raises(BadInput, match="is not a Python"):
        SSHWorkers(NoMaster(), ["lab1"], python="python3 -c 'x'")
