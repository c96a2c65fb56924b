"""Throwaway ssh hosts: each is a machine of its own, its cable can be pulled, and nothing of it stays."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dqlab.errors import BadInput, DqlabError, LaunchFailed
from dqlab.sandbox.ssh import PORTS, ThrowawayHost, ThrowawayHosts, ssh_hosts
from tests.helpers import eventually


@pytest.fixture
def hosts() -> Iterator[ThrowawayHosts]:
    with ssh_hosts(2) as hosts:
        yield hosts


def ssh(hosts: ThrowawayHosts, name: str, command: str, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
    """Run a command there and return how it went."""
    return subprocess.run(
        ["ssh", "-F", str(hosts.config), "-o", "BatchMode=yes", name, command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


def runs(host: ThrowawayHost, word: str) -> bool:
    return any(word in command for _, command in host.processes())


def test_each_host_has_its_own_home_and_files(hosts: ThrowawayHosts) -> None:
    for host in hosts:
        home, here, *files = ssh(hosts, host.name, "echo $HOME; pwd; ls").stdout.split()
        assert home == here == str(host.home)
        assert files == host.files() == [f"this_is_{host.name}.txt"]


def test_its_python_has_what_ours_has(hosts: ThrowawayHosts) -> None:
    seen = ssh(hosts, "lab1", "python3 -c 'import dqlab, cloudpickle; print(dqlab.__file__)'")
    assert Path(seen.stdout.strip()).parent == Path(__file__).parents[2] / "dqlab", seen.stderr


def test_a_host_without_packages_has_the_standard_library_alone() -> None:
    with ssh_hosts(1, packages=False) as hosts:
        seen = ssh(hosts, "lab1", "python3 -c 'import sys; print(sys.version_info[:2]); import cloudpickle'")
    assert seen.stdout.strip() == str(sys.version_info[:2])
    assert "No module named 'cloudpickle'" in seen.stderr


def test_a_stranger_without_the_key_is_refused(hosts: ThrowawayHosts) -> None:
    (hosts.root / "key").write_text("not a key\n")
    assert "Permission denied" in ssh(hosts, "lab1", "true").stderr


def test_a_cut_closes_connections_and_leaves_the_work_running(hosts: ThrowawayHosts) -> None:
    command = ["ssh", "-F", hosts.config, "lab1", "sleep 77"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as link:
        eventually(lambda: runs(hosts["lab1"], "sleep 77"))
        hosts["lab1"].cut()
        assert link.wait(5) == 255
    assert runs(hosts["lab1"], "sleep 77"), "a pulled cable doesn't end programs"
    assert "refused" in ssh(hosts, "lab1", "true").stderr
    assert ssh(hosts, "lab2", "true").returncode == 0, "the other host is not concerned"


def test_a_silent_cut_closes_nothing_and_answers_nothing(hosts: ThrowawayHosts) -> None:
    link = subprocess.Popen(["ssh", "-F", hosts.config, "lab1", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with link:
        assert link.stdin and link.stdout
        link.stdin.write(b"hello\n")
        link.stdin.flush()
        assert link.stdout.readline() == b"hello\n"
        hosts["lab1"].cut(silent=True)
        with pytest.raises(subprocess.TimeoutExpired):
            ssh(hosts, "lab1", "true", timeout=1)
        assert link.poll() is None
        hosts["lab1"].mend()
        link.stdin.write(b"again\n")
        link.stdin.close()
        assert link.stdout.readline() == b"again\n", "the old connection lives on, as nobody gave up on it"


@pytest.mark.parametrize("silent", [False, True])
def test_a_mended_host_is_reached_at_the_same_place(hosts: ThrowawayHosts, silent: bool) -> None:
    hosts["lab1"].cut(silent=silent)
    hosts["lab1"].mend()
    assert ssh(hosts, "lab1", "true").returncode == 0


def test_mending_a_whole_host_does_nothing(hosts: ThrowawayHosts) -> None:
    hosts["lab1"].mend()
    assert ssh(hosts, "lab1", "true").returncode == 0


def test_an_interrupt_doesnt_mix_up_answers(hosts: ThrowawayHosts) -> None:
    os.kill(keeper := hosts["lab1"]._keeper.pid, signal.SIGSTOP)
    interrupt = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        interrupt.start()
        hosts["lab1"].mend()
    interrupt.join()
    os.kill(keeper, signal.SIGCONT)
    assert hosts["lab1"].processes() == []


def test_no_two_hosts_have_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.sample(PORTS, 100)
    monkeypatch.setattr(random, "sample", lambda *_: drawn)
    with ssh_hosts(2) as hosts:
        assert hosts["lab1"].port != hosts["lab2"].port
        assert ssh(hosts, "lab2", "basename $HOME").stdout == "lab2\n"


def test_the_end_takes_everything_with_it() -> None:
    with ssh_hosts(1) as hosts:
        ssh(hosts, "lab1", "setsid sleep 78 >/dev/null 2>&1 </dev/null &")
        (pid,) = [pid for pid, command in hosts["lab1"].processes() if "sleep 78" in command]
        hosts["lab1"].cut(silent=True)
    assert not psutil.pid_exists(pid)
    assert not hosts.root.exists()
    with pytest.raises(DqlabError, match="lab1 was closed"):
        hosts["lab1"].processes()


def test_a_killed_owner_leaves_nothing() -> None:
    program = (
        "from dqlab.sandbox.ssh import ssh_hosts; import subprocess, time\n"
        "hosts = ssh_hosts(1)\n"
        "subprocess.Popen(['ssh', '-F', hosts.config, 'lab1', 'setsid sleep 79'], stdin=subprocess.DEVNULL)\n"
        "while not hosts['lab1'].processes(): time.sleep(0.01)\n"
        "print(hosts.root, hosts['lab1'].processes()[0][0], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        root, pid = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(int(pid)) and not Path(root).exists(), timeout=5)


def test_paths_with_spaces_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "my folder").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with ssh_hosts(1) as hosts:
        assert ssh(hosts, "lab1", "pwd").stdout.strip() == str(hosts["lab1"].home)


def test_without_an_sshd_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(LaunchFailed, match="no sshd here.*apt install openssh-server.*conda-forge openssh"):
        ssh_hosts(1)


def test_an_sshd_that_fails_is_quoted_and_cleared_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dqlab.sandbox.ssh_files.SSHD_CONFIG", "NoSuchOption yes\n")
    with pytest.raises(LaunchFailed, match="lab1: its sshd does not start: .*NoSuchOption"):
        ssh_hosts(1)
    assert not os.listdir(tempfile.gettempdir())


@pytest.mark.parametrize("n", [0, -1, 51, 2.0, "2", None])
def test_bad_numbers_are_refused(n: object) -> None:
    with pytest.raises(BadInput, match="from 1 to 50"):
        ssh_hosts(n)  # type: ignore[arg-type]
