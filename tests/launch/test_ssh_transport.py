"""The way to another machine and back, with real sshds and a stand-in for the worker at the far side."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from dqlab.errors import LaunchFailed
from dqlab.launch.ssh import SSHWorkers
from dqlab.launch.ssh.link import GIVE_UP_S
from dqlab.launch.ssh.tunnel import ALIVE_COUNT, ALIVE_S, CONNECT_S, FORCED
from dqlab.sandbox.ssh import ThrowawayHost, ThrowawayHosts, ssh_hosts
from dqlab.version import __version__
from dqlab.wire.connection_file import Connection
from tests.helpers import eventually

KEY = b"a key that nobody guesses"

#: All that a user's configuration can say against us.
HOSTILE = """
Host *
    LogLevel QUIET
    ControlMaster auto
    ControlPath {folder}/%C
    ControlPersist 600
    ExitOnForwardFailure no
    BatchMode no
    ServerAliveInterval 0
    ServerAliveCountMax 99
    StrictHostKeyChecking no
    NoHostAuthenticationForLocalhost yes
    RequestTTY force
    RemoteCommand echo instead
    PermitLocalCommand yes
    LocalCommand touch {folder}/local_command_ran
    SessionType none
    StdinNull yes
    ForkAfterAuthentication yes
    ForwardAgent yes
    VisualHostKey yes
    ClearAllForwardings yes
    IgnoreUnknown UseKeychain
    UseKeychain yes
    RemoteForward 127.0.0.1:0 127.0.0.1:9
    RemoteForward {taken} 127.0.0.1:9
    LocalForward {taken} 127.0.0.1:9
    DynamicForward {taken}
"""


class Target:
    """As much of a master as the transport needs: an address and a key."""

    def __init__(self, port: int = 9, host: str = "127.0.0.1") -> None:
        self.connection = Connection(host, port, KEY)
        self.launchers: list[object] = []
        self.open_work = SimpleNamespace(wait=lambda launchers, goes_on: None)  # it has none


def furnish(host: ThrowawayHost, version: str = __version__) -> None:
    """Put the stand-in where the host's Python looks for dqlab."""
    packages = next(host.etc.glob("python/lib/python*/site-packages"))
    (packages / "dqlab").mkdir()
    (packages / "dqlab" / "__init__.py").write_text(f"__version__ = {version!r}\n")
    shutil.copy(Path(__file__).with_name("ssh_standin.py"), packages / "dqlab" / "__main__.py")
    (packages / "cloudpickle.py").write_text("")


@pytest.fixture
def hosts() -> Iterator[ThrowawayHosts]:
    with ssh_hosts(2, packages=False) as hosts:
        for host in hosts:
            furnish(host)
        yield hosts
        for host in hosts:
            eventually(lambda host=host: not host.processes(), 5, f"nothing is left on {host.name}")  # type: ignore[misc]


@pytest.fixture
def start(hosts: ThrowawayHosts) -> Iterator[Callable[..., SSHWorkers]]:
    """SSHWorkers on the throwaway hosts, stopped in the end."""
    started: list[SSHWorkers] = []

    def start(names: object = None, n: int = 1, **options: object) -> SSHWorkers:
        options.setdefault("ssh_config", hosts.config)
        master = options.pop("master", Target())
        started.append(SSHWorkers(master, names or hosts.names, n, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for remote in started:
        remote.stop()


def worker_processes(host: ThrowawayHost) -> list[str]:
    return [command for _, command in host.processes() if command.endswith("-m dqlab worker --owned")]


def refused(remote: SSHWorkers) -> str:
    with pytest.raises(LaunchFailed) as error:
        remote.wait(20)
    return str(error.value)


def test_workers_come_up_and_go(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    remote = start(n=2)
    remote.wait(20)
    assert sorted(remote.names) == ["lab1-0", "lab1-1", "lab2-0", "lab2-1"]
    assert len(remote) == 4 and not remote.errors
    assert repr(remote) == "<SSHWorkers, lab1: 2 of 2 running, lab2: 2 of 2 running>"
    assert [len(worker_processes(host)) for host in hosts] == [1, 1]
    remote.stop()
    assert not remote.names
    eventually(lambda: not any(host.processes() for host in hosts), 2)


def test_the_key_goes_through_standard_input_only(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    start(["lab1"], queues=["images"], handler="m:f").wait(20)
    host = hosts["lab1"]
    told = json.loads((host.home / "settings.json").read_text())
    port = told.pop("port")
    encoded = base64.b64encode(KEY).decode()
    assert told == {
        "authkey": encoded, "host": "127.0.0.1", "n": 1, "host_name": "lab1", "queues": ["images"], "handler": "m:f",
        "supervise": True, "give_up": GIVE_UP_S,
    }  # fmt: skip
    assert port > 1024
    here = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one of them
            here += process.cmdline()
    seen = " ".join([*here, str(host.processes()), host.log(), (host.home / "environment.txt").read_text()])
    assert "ssh" in seen
    assert KEY.decode() not in seen and encoded not in seen


def test_the_tunnel_leads_back_to_the_master(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        start(["lab1"], master=Target(master.getsockname()[1])).wait(20)
        port = json.loads((hosts["lab1"].home / "settings.json").read_text())["port"]
        with socket.create_connection(("127.0.0.1", port), 5) as far:
            far.sendall(b"hello")
            near, _ = master.accept()
            with near:
                assert near.recv(5) == b"hello"


def test_a_master_may_have_an_ipv6_address(start: Callable[..., SSHWorkers]) -> None:
    assert start(["lab1"], master=Target(host="::1")).wait(20).names == ["lab1-0"]


def test_hosts_may_differ(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    remote = start([{"host": "lab1", "n": 3, "name": "big"}, "lab2"])
    remote.wait(20)
    assert sorted(remote.names) == ["big-0", "big-1", "big-2", "lab2-0"]


def test_add_and_kill(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    remote = start(n=1)
    remote.wait(20)
    remote.add()
    eventually(lambda: "lab1-more" in remote.names)
    assert remote.kill("lab1-0") == "lab1-0"
    eventually(lambda: "lab1-0" not in remote.names)
    remote.wait(5)  # who was killed is not waited for
    assert remote.kill("lab2") == "lab2"
    eventually(lambda: remote.names == ["lab1-more"])
    eventually(lambda: not hosts["lab2"].processes())
    assert remote.kill() == "lab1-more"
    eventually(lambda: not remote.names)


def test_a_host_that_was_killed_can_be_added_to_at_once(start: Callable[..., SSHWorkers]) -> None:
    remote = start(["lab1"])
    remote.wait(20)
    assert remote.kill("lab1") == "lab1"
    remote.add()
    assert remote.wait(20).names == ["lab1-0"]


def test_a_hostile_configuration_changes_nothing(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        (config := tmp_path / "config").write_text(
            hosts.config.read_text() + HOSTILE.format(folder=tmp_path, taken=port)
        )
        remote = start(n=2, ssh_config=config)
        remote.wait(20)
        processes = [p for p in psutil.Process().children() if p.name() == "ssh"]
        assert len(processes) == 2, "one connection a host, and nothing that was to stay behind"
        assert os.listdir(tmp_path) == ["config"], "no control socket, no local command"
        remote.stop()
        psutil.wait_procs(processes, 5)
        assert not any(process.is_running() for process in processes)
    (config := tmp_path / "config").write_text(hosts.config.read_text() + HOSTILE.format(folder=tmp_path, taken=port))
    (hosts.root / "known_hosts").write_text("")
    assert "Host key verification failed" in refused(start(ssh_config=config))


def test_a_jump_host_of_the_users_configuration_is_used(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts, tmp_path: Path
) -> None:
    text = hosts.config.read_text().replace("Host lab2\n", "Host lab2\n    ProxyJump lab1\n")
    (config := tmp_path / "config").write_text(text)
    remote = start(["lab2"], ssh_config=config)
    remote.wait(20)
    assert "-W" in " ".join(word for p in psutil.Process().children(recursive=True) for word in p.cmdline())
    hosts["lab1"].cut()
    eventually(lambda: not remote.names, 5, "the way to lab2 leads over lab1")
    hosts["lab1"].mend()
    remote.wait(20)


def test_a_key_that_the_jump_host_refuses_is_not_tried_again(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts, tmp_path: Path
) -> None:
    config = hosts["lab1"].etc / "sshd_config"
    config.write_text(config.read_text().replace("key.pub", "nobody.pub"))
    hosts["lab1"].cut()
    hosts["lab1"].mend()
    (config := tmp_path / "config").write_text(
        hosts.config.read_text().replace("Host lab2\n", "Host lab2\n    ProxyJump lab1\n")
    )
    remote = start(["lab2"], ssh_config=config)
    message = refused(remote)
    assert "Permission denied" in message and "Connection closed by" in message
    eventually(lambda: str(remote) == "<SSHWorkers, lab2: failed>")


def test_what_is_forced_is_an_option_of_every_connection(start: Callable[..., SSHWorkers]) -> None:
    start(["lab1"]).wait(20)
    (ssh,) = [p.cmdline() for p in psutil.Process().children() if p.name() == "ssh"]
    for name, value in dict(FORCED, ExitOnForwardFailure="yes").items():
        assert f"{name}={value}" in ssh
    assert ssh[-3:-1] == ["--", "lab1"]


def test_chatty_login_scripts_do_no_harm(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    login = hosts["lab1"].etc / "login"
    login.write_text(login.read_text().replace("cd ", 'echo welcome; echo "{}"; echo 17; printf "no newline"\ncd ', 1))
    start(["lab1"]).wait(20)


# What is wrong with one host is that host's error.


def test_an_unknown_host_key_is_refused_with_the_line_that_accepts_it(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts
) -> None:
    hosts.config.write_text(hosts.config.read_text() + "Host *\n    RemoteCommand echo instead\n")
    (hosts.root / "known_hosts").write_text("")
    message = refused(start(["lab1"]))
    assert "No ED25519 host key is known for [127.0.0.1]" in message
    line = message.partition("(to accept its key, type: ")[2].rstrip(")")
    subprocess.run(line, shell=True, check=True, timeout=20, stdin=subprocess.DEVNULL, capture_output=True)
    start(["lab1"]).wait(20)


def test_a_configuration_that_throws_host_keys_away_is_named(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts, tmp_path: Path
) -> None:
    (config := tmp_path / "config").write_text(
        "Host *\n    StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n" + hosts.config.read_text()
    )
    message = refused(start(["lab1"], ssh_config=config))
    assert "throws host keys away: name a UserKnownHostsFile in it; then, to accept its key, type: " in message


def test_a_changed_host_key_is_refused(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    kind, other = (hosts["lab2"].etc / "host_key.pub").read_text().split()[:2]
    (hosts.root / "known_hosts").write_text(f"[127.0.0.1]:{hosts['lab1'].port} {kind} {other}\n")
    message = refused(start(["lab1"]))
    assert "Host key for [127.0.0.1]" in message and "has changed" in message
    assert "another machine answers there" in message


def test_a_wrong_key_is_that_hosts_error_and_the_others_go_on(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts
) -> None:
    config = hosts["lab2"].etc / "sshd_config"
    config.write_text(config.read_text().replace("key.pub", "nobody.pub"))
    hosts["lab2"].cut()
    hosts["lab2"].mend()
    remote = start()
    message = refused(remote)
    assert message.startswith("lab2: ") and "Permission denied (publickey)" in message
    assert f"ssh-copy-id -F {hosts.config} lab2)" in message
    assert list(remote.errors) == ["lab2"] and remote.names == ["lab1-0"]


def test_a_refused_connection_is_told_and_tried_again(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    hosts["lab2"].cut()
    remote = start()
    message = refused(remote)
    assert message.startswith("lab2: ssh: connect to host 127.0.0.1") and "Connection refused" in message
    assert remote.names == ["lab1-0"]
    hosts["lab2"].mend()
    remote.wait(20)
    assert not remote.errors


#: The way to a host that fails when it is first tried, fails slowly the second time, and then leads there.
GATE = """
echo another >> tries
[ $(wc -l < tries) -eq 1 ] && exit 1
[ $(wc -l < tries) -eq 2 ] && while [ ! -e enough ]; do sleep 0.05; done && exit 1
exec ssh -F {config} -W $1:$2 lab2
"""


def test_a_wait_doesnt_end_with_the_error_of_an_earlier_attempt(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts, tmp_path: Path
) -> None:
    (tmp_path / "gate").write_text(f"cd {tmp_path}" + GATE.format(config=hosts.config))
    text = hosts.config.read_text().replace("Host lab1\n", f"Host lab1\n    ProxyCommand sh {tmp_path}/gate %h %p\n")
    (config := tmp_path / "config").write_text(text)
    remote = start(["lab1"], ssh_config=config)
    assert "closed by" in refused(remote)
    eventually(lambda: len((tmp_path / "tries").read_text().split()) == 2, what="it is tried again by itself")
    opened = threading.Timer(0.3, (tmp_path / "enough").touch)
    opened.start()
    assert remote.wait(20).names == ["lab1-0"]
    opened.join()


def test_a_name_that_nobody_knows(start: Callable[..., SSHWorkers]) -> None:
    message = refused(start(["nowhere.invalid"]))
    assert message.startswith("nowhere.invalid: ssh: Could not resolve hostname")


def test_forwarding_disabled(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    config = hosts["lab1"].etc / "sshd_config"
    config.write_text(config.read_text().replace("AllowTcpForwarding yes", "AllowTcpForwarding no"))
    hosts["lab1"].cut()
    hosts["lab1"].mend()
    message = refused(start(["lab1"]))
    assert "remote port forwarding failed" in message and "AllowTcpForwarding yes" in message


def test_no_python(start: Callable[..., SSHWorkers]) -> None:
    message = refused(start(["lab1"], python="python9"))
    assert "lab1: can't run python9 there" in message and "not found" in message and "'python': " in message


def test_no_python_but_something_else(start: Callable[..., SSHWorkers]) -> None:
    assert "lab1: /bin/echo there did not answer as Python does" in refused(start(["lab1"], python="/bin/echo"))


def test_another_python_is_refused_by_name(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    site = next(hosts["lab1"].etc.glob("python/lib/python*/site-packages"))
    (site / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 2, 6)")
    ours = "{}.{}".format(*sys.version_info)
    message = refused(start(["lab1"]))
    assert f"is Python 3.2, and here is {ours}" in message and f"'python': 'python{ours}'" in message


def test_no_dqlab(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    shutil.rmtree(next(hosts["lab1"].etc.glob("python/lib/python*/site-packages/dqlab")))
    message = refused(start(["lab1"]))
    assert "lab1: no dqlab there (ModuleNotFoundError: No module named 'dqlab')" in message
    assert f"-m pip install dqlab=={__version__}" in message and "install=True" in message


def test_another_dqlab() -> None:
    with ssh_hosts(1, packages=False) as hosts:
        furnish(hosts["lab1"], "0.0.7")
        with SSHWorkers(Target(), ["lab1"], ssh_config=hosts.config) as remote:
            assert f"dqlab 0.0.7 is there, and {__version__} here" in refused(remote)


def test_no_ssh_here(start: Callable[..., SSHWorkers], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "lab1: ssh does not start" in refused(start(["lab1"]))


# The line drops.


def test_a_closed_connection_ends_the_far_side_and_is_tried_again(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts
) -> None:
    remote = start(n=2)
    remote.wait(20)
    hosts["lab1"].cut()
    eventually(lambda: sorted(remote.names) == ["lab2-0", "lab2-1"], 5)
    eventually(lambda: not hosts["lab1"].processes(), 5, "what ran there has ended by itself")
    eventually(lambda: "Connection refused" in str(remote.errors.get("lab1")), 5)
    hosts["lab1"].mend()
    eventually(lambda: len(remote) == 4, 20, "nobody asked for it: it came back by itself")
    assert not remote.errors


def test_a_silent_line_is_noticed_within_the_keepalive_time(
    start: Callable[..., SSHWorkers], hosts: ThrowawayHosts
) -> None:
    remote = start(["lab1"])
    remote.wait(20)
    hosts["lab1"].cut(silent=True)
    began = time.monotonic()
    eventually(lambda: "not responding" in str(remote.errors.get("lab1")), 20)
    assert ALIVE_S * ALIVE_COUNT - 1 < time.monotonic() - began < ALIVE_S * (ALIVE_COUNT + 1) + 2
    hosts["lab1"].mend()
    remote.wait(20)


def test_a_worker_process_that_dies_is_started_again(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    remote = start(["lab1"])
    remote.wait(20)
    (pid,) = [pid for pid, command in hosts["lab1"].processes() if command.endswith("--owned")]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: worker_processes(hosts["lab1"]) and pid not in dict(hosts["lab1"].processes()), 10)
    remote.wait(20)


@pytest.mark.parametrize("fork", [False, True])
def test_when_the_owner_is_killed_nothing_is_left(hosts: ThrowawayHosts, fork: bool) -> None:
    program = (
        "import os, sys, time\n"
        "from dqlab.launch.ssh import SSHWorkers\n"
        "from tests.launch.test_ssh_transport import Target\n"
        "remote = SSHWorkers(Target(), ['lab1', 'lab2'], 2, ssh_config=sys.argv[1])\n"
        "remote.wait(20)\n"
        f"child = os.fork() if {fork} else 1\n"
        "if child: print('up', child, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(hosts.config)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    with owner:
        assert owner.stdout
        said, child = owner.stdout.readline().split()
        assert all(worker_processes(host) for host in hosts)
        ssh = [process for process in psutil.Process(owner.pid).children() if process.name() == "ssh"]
        owner.send_signal(signal.SIGKILL)
        owner.stdout.close()
        eventually(lambda: not any(host.processes() for host in hosts), 5)
        eventually(lambda: not any(process.is_running() for process in ssh), 5)
    if fork:
        os.kill(int(child), signal.SIGKILL)


def test_an_interrupted_wait_leaves_everything_usable(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    hosts["lab1"].cut(silent=True)
    remote = start()
    eventually(lambda: "lab2-0" in remote.names)
    for _ in range(20):
        interrupt = threading.Timer(0.03, signal.raise_signal, [signal.SIGINT])
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            remote.wait(20)
        interrupt.join()
    hosts["lab1"].mend()
    remote.wait(20)
    assert len(remote) == 2


def test_stop_ends_a_host_that_is_not_even_connected(start: Callable[..., SSHWorkers], hosts: ThrowawayHosts) -> None:
    hosts["lab1"].cut(silent=True)
    remote = start(["lab1"])
    eventually(lambda: [p for p in psutil.Process().children() if p.name() == "ssh"])
    began = time.monotonic()
    remote.stop()
    assert time.monotonic() - began < CONNECT_S / 2, "it did not wait until ssh gave up"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dqlab-link")]
