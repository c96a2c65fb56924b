"""Three machines as real as one machine can make them: network namespaces with own addresses, a bridge between them.

        master 10.77.0.1 ──┬── bridge ──┬── lab1 10.77.0.2
        (and the web site) │            └── lab2 10.77.0.3

A cable is pulled with `ip link set ... down`: packets vanish, and nobody is told.
"""

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dqlab import Master, SSHWorkers, connect, sandbox
from dqlab.crawl import crawl, read_manifest
from dqlab.launch.ssh.tunnel import ALIVE_COUNT, ALIVE_S
from dqlab.sandbox.ssh import ThrowawayHosts, ssh_hosts
from tests.helpers import eventually

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.timeout(180),
]

CLONE_NEWNET = 0x40000000
MASTER, NET = "10.77.0.1", "10.77.0.{}/24"


def ip(*words: str) -> None:
    run = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20)
    assert run.returncode == 0, f"ip {' '.join(words)}: {run.stderr}"


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace: this thread, and the threads and processes that it starts meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{namespace}") as there:
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(outside.fileno(), CLONE_NEWNET) == 0


@pytest.fixture
def network() -> Iterator[SimpleNamespace]:
    """The three namespaces: `master`, which this test is in, `lab1` and `lab2`; the bridge is in the master's."""
    names = {machine: f"dqlab-{os.getpid()}-{machine}" for machine in ("master", "lab1", "lab2")}
    with contextlib.ExitStack() as stack:
        for name in names.values():
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", names["master"], "link", "add", "bridge", "type", "bridge")
        ip("-n", names["master"], "addr", "add", NET.format(1), "dev", "bridge")
        ip("-n", names["master"], "link", "set", "bridge", "up")
        for number, machine in enumerate(("lab1", "lab2"), 2):
            ip("-n", names["master"], "link", "add", machine, "type", "veth", "peer", "eth0", "netns", names[machine])
            ip("-n", names["master"], "link", "set", machine, "master", "bridge", "up")
            ip("-n", names[machine], "addr", "add", NET.format(number), "dev", "eth0")
            ip("-n", names[machine], "link", "set", "eth0", "up")
        with inside(names["master"]):
            yield SimpleNamespace(**names)


@pytest.fixture
def hosts(network: SimpleNamespace) -> Iterator[ThrowawayHosts]:
    places = {"lab1": (network.lab1, "10.77.0.2"), "lab2": (network.lab2, "10.77.0.3")}
    with ssh_hosts(packages=False, namespaces=places) as hosts:
        yield hosts


def cable(namespace: str, state: str) -> None:
    ip("-n", namespace, "link", "set", "eth0", state)


def who_works(master: Master) -> Counter[str]:
    return Counter(worker["host"] for worker in master.stats()["workers"])


def test_the_machines_are_apart(network: SimpleNamespace, hosts: ThrowawayHosts) -> None:
    seen = subprocess.run(
        ["ssh", "-F", hosts.config, "lab1", "cat /proc/net/tcp | wc -l; ip -brief addr show eth0"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert "10.77.0.2/24" in seen.stdout, seen.stderr


def test_a_crawl_survives_a_pulled_cable(network: SimpleNamespace, hosts: ThrowawayHosts, tmp_path: Path) -> None:
    with sandbox.site(delay=0.1, images=120, host=MASTER) as web, Master(lease=2.0) as master:
        remote = SSHWorkers(master, hosts.names, 2, ssh_config=hosts.config, install=True).wait()
        assert who_works(master) == {"lab1": 2, "lab2": 2}
        first = set(remote.names)

        def pull_the_cable() -> None:
            eventually(lambda: len(list((tmp_path / "pictures").rglob("*.*"))) > 20, 60, every=0.05)
            cable(network.lab1, "down")

        accident = threading.Thread(target=pull_the_cable)
        accident.start()
        summary = crawl(master, web.url, tmp_path / "pictures", progress=False)
        accident.join()

        folder = tmp_path / "pictures"
        lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        assert set(Counter(line["url"] for line in lines).values()) == {1}, f"each once: {summary}"
        brought = {line["url"]: (folder / line["path"]).read_bytes() for line in lines if line["path"]}
        assert {web.url.rstrip("/") + path: body for path, body in web.images.items()}.items() <= brought.items()
        lost = {event["worker"] for event in master.events() if event["kind"] == "redelivered"}
        assert lost and lost <= first, "the cable was pulled in mid-run"

        eventually(lambda: who_works(master) == {"lab2": 2}, 10)
        eventually(lambda: "lab1" in remote.errors, ALIVE_S * (ALIVE_COUNT + 1) + 2)
        cable(network.lab1, "up")
        remote.wait(60)
        eventually(lambda: who_works(master) == {"lab1": 2, "lab2": 2}, 10)
        again = crawl(master, web.url, tmp_path / "again", progress=False)
        workers = {entry.worker for entry in read_manifest(tmp_path / "again")}
        assert workers & {name for name in remote.names if name not in first}, f"lab1 works again: {again}"
    for host in hosts:
        eventually(lambda host=host: not host.processes(), 30, f"nothing is left on {host.name}")  # type: ignore[misc]


def test_a_worker_started_by_hand_with_the_line_that_the_master_prints(
    network: SimpleNamespace, tmp_path: Path
) -> None:
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    dqlab = [sys.executable, "-m", "dqlab"]
    file = tmp_path / "here" / "connection.json"
    command = [*dqlab, "master", "--host", MASTER, "--connection-file", str(file)]
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        )
        stack.callback(serving.terminate)
        assert serving.stdout and serving.stderr
        assert serving.stdout.readline().startswith(f"dqlab master serving at {MASTER}:")
        lines = [serving.stderr.readline() for _ in range(4)]
        assert "warning: tasks and results cross the network unencrypted" in lines[1]
        (there := tmp_path / "there").mkdir()
        shutil.copy(file, there)
        typed = lines[3].split()
        assert typed[:2] == ["dqlab", "worker"]
        by_hand = ["ip", "netns", "exec", network.lab1, *dqlab, *typed[1:]]
        worker = stack.enter_context(subprocess.Popen(by_hand, cwd=there, stderr=subprocess.PIPE, text=True, env=env))
        stack.callback(worker.terminate)
        with connect(file) as client:
            assert client.submit(abs, -3).result(20) == 3
            assert [peer["pid"] for peer in client.stats()["workers"]] == [worker.pid]
