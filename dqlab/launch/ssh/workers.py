"""Workers on other machines, started and ended from here over ssh.

    remote = SSHWorkers(master, ["lab1", "pi@lab2:2222", {"host": "lab3", "n": 8}], n=2)
    remote.wait(); remote.kill("lab1"); remote.stop()

Every host has a `Link` of its own, which connects, starts workers, and connects again when the line drops. What is
wrong with one host is that host's error; the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dqlab.client.client import Client
from dqlab.errors import BadInput, LaunchFailed
from dqlab.launch.launcher import Launcher, check_count
from dqlab.launch.ssh.archive import archive
from dqlab.launch.ssh.hosts import Host, read_hosts
from dqlab.launch.ssh.link import Link, Plan
from dqlab.launch.worker_group import WorkerGroup
from dqlab.version import __version__

__all__ = ["Host", "SSHWorkers"]

#: seconds in which the workers of a host must have come up (ssh, and perhaps sending dqlab)
START_TIMEOUT = 60.0


class SSHWorkers(Launcher):
    """
    Workers on other machines.

    hosts       each as ssh knows it: "NAME", "USER@NAME:PORT", a `Host`, or a dict of a `Host`'s fields
    n           workers on each host that doesn't say how many
    queues      the queues they serve; None: all
    handler     "module:function", for the queue of plain tasks
    python      the interpreter there; None: python3
    ssh_config  an ssh configuration file instead of the user's own
    install     send dqlab there first (into ~/.cache/dqlab, unless it is there), instead of using what is installed

    Raises BadInput before anything starts; what is wrong with a host is told by `wait` and in `errors`.

    The workers end with this process, with `stop()`, and when the line is closed, within 5 s. On a line that has gone
    silent (a pulled cable) ssh gives up here after 12 s, and the workers there after two of the master's leases and
    10 s; their tasks go to others after one lease. A host that dropped is tried again until `stop()`.
    """

    def __init__(
        self,
        master: Client,
        hosts: Iterable[str | Mapping[str, Any] | Host],
        n: int = 1,
        *,
        queues: Any = None,
        handler: str | None = None,
        python: str | None = None,
        ssh_config: str | os.PathLike[str] | None = None,
        install: bool = False,
    ) -> None:
        self._hosts = read_hosts(hosts, python)
        self._config = Path(ssh_config).absolute() if ssh_config is not None else None
        if self._config is not None and not self._config.is_file():
            raise BadInput(f"there is no ssh configuration file {self._config}")
        self._master = reachable(master.connection.address)
        self._package = archive(__version__) if install else None
        self._links: list[Link] = []
        super().__init__(master, n, queues=queues, handler=handler)

    def groups(self, n: int) -> list[WorkerGroup]:
        """A link to each host, with its own number of workers or `n`."""
        plan = Plan(self._master, self._settings, __version__, self._package, self._config)
        self._links = [Link(host, host.n or n, plan) for host in self._hosts]
        return list(self._links)

    @property
    def errors(self) -> dict[str, LaunchFailed]:
        """Host -> what is wrong with it now; hosts that are well are not in it."""
        return {link.host.label: link.error for link in self._links if link.error is not None}

    def wait(self, timeout: float | None = START_TIMEOUT) -> SSHWorkers:
        """Wait until all workers of all hosts have joined, for `timeout` seconds at most.

        `LaunchFailed` names each host that has failed, or did not get there in time. Hosts not named are at work.
        """
        return super().wait(timeout)

    def add(self, n: int = 1) -> None:
        """Start `n` more workers, each on the host that has fewest, of those that are connected if there are any."""
        check_count(n)
        for _ in range(n):
            min(self._links, key=lambda link: (link.state != "up", link.wanted)).add()

    def __repr__(self) -> str:
        return f"<SSHWorkers, {', '.join(map(str, self._links))}>"


def reachable(address: tuple[str, int]) -> tuple[str, int]:
    """A master's address as this machine calls it: "every interface" is no place to connect to."""
    host, port = address
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host), port
