"""Workers on other machines: real masters, real workers, real sshds."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dqlab import LocalWorkers, Master, SSHWorkers
from dqlab.errors import LaunchFailed
from dqlab.launch.ssh.link import GIVE_UP_S
from dqlab.launch.ssh.tunnel import ALIVE_COUNT, ALIVE_S
from dqlab.process.owned_process import REACT
from dqlab.sandbox.ssh import ThrowawayHosts, ssh_hosts
from tests.helpers import eventually


def nothing_runs(hosts: ThrowawayHosts, timeout: float = 5.0) -> None:
    for host in hosts:
        eventually(lambda host=host: not host.processes(), timeout, f"nothing is left on {host.name}")  # type: ignore[misc]


@pytest.fixture
def hosts() -> Iterator[ThrowawayHosts]:
    with ssh_hosts(2) as hosts:
        yield hosts
        nothing_runs(hosts)


@pytest.fixture
def master(hosts: ThrowawayHosts) -> Iterator[Master]:
    with Master(lease=2.0) as master:
        yield master


@pytest.fixture
def remote(master: Master, hosts: ThrowawayHosts) -> SSHWorkers:
    return SSHWorkers(master, hosts.names, 2, ssh_config=hosts.config).wait()


def home_after(seconds: float) -> str:
    """Where this ran: the name of the home directory there."""
    time.sleep(seconds)
    return Path.home().name


def append_line(path: str, line: int) -> int:
    time.sleep(0.02)
    with open(path, "a") as file:
        file.write(f"{line}\n")
    return line


def hosts_of(master: Master) -> Counter[str]:
    return Counter(worker["host"] for worker in master.stats()["workers"])


def test_tasks_run_on_both_hosts(master: Master, remote: SSHWorkers) -> None:
    assert len(remote) == 4 and sorted(remote) == sorted(remote.names)
    where = Counter(master.map(home_after, [0.02] * 100))
    assert set(where) == {"lab1", "lab2"} and sum(where.values()) == 100


def test_stats_and_events_show_the_host(master: Master, remote: SSHWorkers) -> None:
    assert hosts_of(master) == {"lab1": 2, "lab2": 2}
    joined = [event for event in master.events() if event["kind"] == "worker_joined"]
    assert Counter(event["host"] for event in joined) == {"lab1": 2, "lab2": 2}
    assert {event["worker"] for event in joined} == set(remote.names)


def test_workers_here_and_there_serve_one_master(master: Master, remote: SSHWorkers) -> None:
    with LocalWorkers(master, 1) as local:
        local.wait()
        where = Counter(master.map(home_after, [0.02] * 100))
        assert set(where) == {"lab1", "lab2", Path.home().name}
        assert len(hosts_of(master)) == 3


def test_queues_and_handlers_are_passed_on(master: Master, hosts: ThrowawayHosts) -> None:
    SSHWorkers(master, ["lab1"], queues="images", ssh_config=hosts.config).wait()
    SSHWorkers(master, ["lab2"], queues=["plain"], handler="posixpath:basename", ssh_config=hosts.config).wait()
    future = master.options(queue="images").submit(home_after, 0.0)
    assert future.result(20) == "lab1"
    master.tasks.put("a/b/c.png")
    assert master.results.get(timeout=20) == "c.png"


def test_a_worker_killed_there_loses_nothing(master: Master, remote: SSHWorkers, tmp_path: Path) -> None:
    futures = [master.submit(append_line, str(tmp_path / "lines"), i) for i in range(200)]
    eventually(lambda: sum(future.done() for future in futures) > 20)
    name = remote.kill()
    assert [future.result(30) for future in futures] == list(range(200))
    eventually(lambda: name not in remote.names)
    assert len(remote) == 3
    remote.add(1)
    remote.wait()
    assert len(remote) == 4


def test_two_kills_in_a_row_end_two_workers(master: Master, remote: SSHWorkers) -> None:
    killed = {remote.kill(), remote.kill()}
    assert len(killed) == 2 and len(remote) == 2
    eventually(lambda: killed.isdisjoint(worker["name"] for worker in master.stats()["workers"]))
    remote.wait(5)


def test_a_cut_cable_loses_nothing_and_the_host_comes_back(
    master: Master, remote: SSHWorkers, hosts: ThrowawayHosts, tmp_path: Path
) -> None:
    before = set(remote.names)
    futures = [master.submit(append_line, str(tmp_path / "lines"), i) for i in range(300)]
    eventually(lambda: sum(future.done() for future in futures) > 50)
    hosts["lab1"].cut()
    eventually(lambda: hosts_of(master) == {"lab2": 2}, 5)
    eventually(lambda: not hosts["lab1"].processes(), 5, "its workers have ended by themselves")
    assert [future.result(30) for future in futures] == list(range(300))
    hosts["lab1"].mend()
    eventually(lambda: len(remote) == 4, 20)
    assert len(set(remote.names) - before) == 2, "they are new workers"
    assert set(master.map(home_after, [0.02] * 100)) == {"lab1", "lab2"}


def test_a_silent_cable_loses_nothing_either(
    master: Master, remote: SSHWorkers, hosts: ThrowawayHosts, tmp_path: Path
) -> None:
    futures = [master.submit(append_line, str(tmp_path / "lines"), i) for i in range(200)]
    eventually(lambda: sum(future.done() for future in futures) > 20)
    hosts["lab1"].cut(silent=True)
    began = time.monotonic()
    assert [future.result(30) for future in futures] == list(range(200))
    assert time.monotonic() - began < 10, "one lease of 2 s and the work, not the keepalive time"
    eventually(lambda: hosts_of(master) == {"lab2": 2}, 10)
    eventually(lambda: "lab1" in remote.errors, ALIVE_S * (ALIVE_COUNT + 1) + 2)
    far_side = 2 * 2.0 + GIVE_UP_S  # two leases without an answer, then looking for the master in vain
    eventually(lambda: not hosts["lab1"].processes(), far_side + 5, "its workers have ended by themselves")
    hosts["lab1"].mend()
    remote.wait(30)


def test_the_master_ends_its_workers_everywhere(hosts: ThrowawayHosts) -> None:
    with Master() as master:
        remote = SSHWorkers(master, hosts.names, 2, ssh_config=hosts.config).wait()
    assert not remote.names
    nothing_runs(hosts)


def begin_and_finish(begun: str, seconds: float) -> str:
    Path(begun).touch()
    return home_after(seconds)


def test_stop_lets_the_task_in_hand_finish(master: Master, hosts: ThrowawayHosts, tmp_path: Path) -> None:
    remote = SSHWorkers(master, ["lab1"], ssh_config=hosts.config).wait()
    future = master.submit(begin_and_finish, str(tmp_path / "begun"), 1.0)
    eventually((tmp_path / "begun").exists)
    remote.stop()
    assert future.result(1) == "lab1"
    nothing_runs(hosts)


def test_stop_doesnt_wait_for_ever(master: Master, hosts: ThrowawayHosts, tmp_path: Path) -> None:
    remote = SSHWorkers(master, ["lab1"], ssh_config=hosts.config).wait()
    future = master.submit(begin_and_finish, str(tmp_path / "begun"), 60.0)
    eventually((tmp_path / "begun").exists)
    remote.stop(timeout=0.5)
    nothing_runs(hosts)
    future.cancel()


def test_stop_does_not_wait_for_a_frozen_worker(master: Master, hosts: ThrowawayHosts) -> None:
    remote = SSHWorkers(master, ["lab1"], 2, ssh_config=hosts.config).wait()
    os.kill(remote.pids[remote.names[0]], signal.SIGSTOP)
    began = time.monotonic()
    remote.stop(timeout=30)
    assert time.monotonic() - began < REACT + 8
    nothing_runs(hosts)


def test_when_the_owner_is_killed_everything_ends(hosts: ThrowawayHosts) -> None:
    program = (
        "import sys, time\n"
        "from dqlab import Master, SSHWorkers\n"
        "master = Master()\n"
        "remote = SSHWorkers(master, ['lab1', 'lab2'], 2, ssh_config=sys.argv[1]).wait()\n"
        "futures = [master.submit(time.sleep, 60) for _ in range(4)]\n"
        "while not all(f.running() for f in futures): time.sleep(0.01)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(hosts.config)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout and owner.stdout.readline() == b"up\n"
        below = psutil.Process(owner.pid).children(recursive=True)
        assert all(host.processes() for host in hosts)
        owner.send_signal(signal.SIGKILL)
        nothing_runs(hosts)
        eventually(lambda: not any(process.is_running() for process in below), 5)


def test_a_killed_supervisor_takes_its_workers_along_and_is_replaced(
    master: Master, remote: SSHWorkers, hosts: ThrowawayHosts
) -> None:
    before = set(remote.names)
    supervisor = min(pid for pid, command in hosts["lab1"].processes() if command.endswith("--owned"))
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: len(set(remote.names) - before) == 2, 20)
    assert hosts_of(master) == {"lab1": 2, "lab2": 2}


def use_what_came_along(_: int) -> tuple[str, str, str]:
    import requests

    import dqlab.crawl

    return Path.home().name, requests.__name__, dqlab.crawl.__file__


def search_path_of_others(_: int) -> str | None:
    return os.environ.get("PYTHONPATH")


def test_install_brings_dqlab_to_a_bare_host() -> None:
    with ssh_hosts(2, packages=False) as hosts, Master() as master:
        with pytest.raises(LaunchFailed, match="lab1: no dqlab there") as error:
            SSHWorkers(master, ["lab1"], ssh_config=hosts.config).wait()
        assert "install=True" in str(error.value)
        SSHWorkers(master, hosts.names, ssh_config=hosts.config, install=True).wait()
        found = set(master.map(use_what_came_along, range(40)))
        assert {(home, text) for home, text, _ in found} <= {("lab1", "requests"), ("lab2", "requests")}
        assert set(master.map(search_path_of_others, range(8))) == {None}  # what tasks start finds what it always does
        for home, _, path in found:
            assert Path(path).is_relative_to(hosts[home].home / ".cache" / "dqlab")
        for host in hosts:
            assert [path.name.partition("-")[0] for path in (host.home / ".cache/dqlab").iterdir()] == ["0.1.0"]


def test_what_is_there_is_not_sent_again(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    from dqlab.launch.ssh.tunnel import Tunnel

    send = Tunnel.send
    monkeypatch.setattr(Tunnel, "send", lambda self, data: sent.append(len(data)) or send(self, data))  # type: ignore[func-returns-value]
    with ssh_hosts(1, packages=False) as hosts:
        for _ in range(2):
            with SSHWorkers(master, ["lab1"], ssh_config=hosts.config, install=True) as remote:
                remote.wait()
        nothing_runs(hosts)
    assert [size > 100_000 for size in sent].count(True) == 1


def test_what_is_no_longer_complete_is_sent_again(master: Master) -> None:
    from dqlab.launch.ssh.archive import archive

    with ssh_hosts(1, packages=False) as hosts:
        (hosts["lab1"].home / ".cache" / "dqlab" / archive("0.1.0")[0]).mkdir(parents=True)
        with SSHWorkers(master, ["lab1"], ssh_config=hosts.config, install=True) as remote:
            remote.wait()
        nothing_runs(hosts)


def test_a_cache_that_cannot_be_written_is_told(master: Master) -> None:
    with ssh_hosts(1, packages=False) as hosts:
        (hosts["lab1"].home / ".cache").write_text("in the way")
        with pytest.raises(LaunchFailed, match="lab1: dqlab could not be put there: .*Error"):
            SSHWorkers(master, ["lab1"], ssh_config=hosts.config, install=True).wait()


def test_why_workers_end_is_told_in_their_words(master: Master, hosts: ThrowawayHosts) -> None:
    remote = SSHWorkers(master, ["lab1"], queues=["plain"], handler="nowhere:f", ssh_config=hosts.config)
    with pytest.raises(LaunchFailed, match="lab1: .*No module named 'nowhere'"):
        remote.wait(20)
    (banner := hosts["lab2"].etc / "banner").write_text("for members only\n" * 9)
    config = hosts["lab2"].etc / "sshd_config"
    config.write_text(f'{config.read_text()}Banner "{banner}"\n')
    hosts["lab2"].cut()
    hosts["lab2"].mend()
    remote = SSHWorkers(master, ["lab2"], queues=["plain"], handler="nowhere:f", ssh_config=hosts.config)
    with pytest.raises(LaunchFailed, match="lab2: .*No module named 'nowhere'") as error:
        remote.wait(20)
    assert "members" not in str(error.value)


def test_a_worker_that_nobody_asked_to_end_is_missed_and_replaced(master: Master, hosts: ThrowawayHosts) -> None:
    remote = SSHWorkers(master, ["lab1"], ssh_config=hosts.config).wait()
    (worker,) = master.stats()["workers"]
    os.kill(worker["pid"], signal.SIGKILL)  # as the kernel does when memory runs out
    eventually(lambda: "its workers ended: exit code -9" in str(remote.errors.get("lab1")))
    remote.wait(20)
    assert len(remote) == 1 and worker["name"] not in remote.names


def complain() -> None:
    os.write(2, b"a library has something to say\n")


def test_a_worker_that_was_asked_to_stop_is_not_missed_whatever_it_printed(
    master: Master, hosts: ThrowawayHosts
) -> None:
    remote = SSHWorkers(master, ["lab1"], 2, ssh_config=hosts.config).wait()
    master.submit(complain).result(20)
    (printed,) = [event["worker"] for event in master.events() if event["kind"] == "done"]
    master.stop_worker(printed)
    eventually(lambda: printed not in remote.names)
    assert len(remote.wait(20)) == 1


def test_it_speaks_the_launchers_protocol(master: Master, hosts: ThrowawayHosts) -> None:
    from dqlab.launch.launcher import Launcher

    launchers: list[Any] = [LocalWorkers(master, 1), SSHWorkers(master, ["lab1"], ssh_config=hosts.config)]
    for launcher in launchers:
        assert launcher in master.launchers
        for name in [name for name in vars(Launcher) if not name.startswith("_")]:
            assert hasattr(launcher, name)
        assert launcher.wait(30) is launcher
        launcher.add(1)
        launcher.wait(30)
        assert len(launcher) == 2
        killed = launcher.kill()
        eventually(lambda launcher=launcher, killed=killed: killed not in launcher.names)  # type: ignore[misc]
        launcher.stop()
        assert launcher.names == []
