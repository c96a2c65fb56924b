"""Workers on other machines, started and ended from here over ssh.

    remote = SSHWorkers(master, ["lab1", "pi@lab2:2222", {"host": "lab3", "n": 8}], n=2)
    remote.wait(); remote.kill("lab1"); remote.stop()

Every host has a `Link` of its own, which connects, starts workers, and connects again when the line drops. What is
wrong with one host is that host's error; the others go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dqlab import __version__
from dqlab.client.client import Client
from dqlab.errors import BadInput, LaunchFailed
from dqlab.launch.launcher import worker_settings
from dqlab.launch.ssh.archive import archive
from dqlab.launch.ssh.hosts import Host, check_count, read_hosts
from dqlab.launch.ssh.link import END_S, Link, Plan
from dqlab.process.owned_process import STOP_TIMEOUT

__all__ = ["Host", "SSHWorkers"]

#: seconds in which the workers of a host must have come up (ssh, and perhaps sending dqlab)
START_TIMEOUT = 60.0
#: seconds between two looks of a wait
LOOK = 0.02


class SSHWorkers:
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
        chosen = read_hosts(hosts, python)
        check_count(n)
        config = Path(ssh_config).absolute() if ssh_config is not None else None
        if config is not None and not config.is_file():
            raise BadInput(f"there is no ssh configuration file {config}")
        settings = worker_settings(master.connection, queues, handler)
        package = archive(__version__) if install else None
        plan = Plan(reachable(master.connection.address), settings, __version__, package, config)
        self._links = [Link(host, host.n or n, plan) for host in chosen]
        master.launchers.append(self)

    @property
    def names(self) -> list[str]:
        """The names of the workers that are there now."""
        return [name for link in self._links for name in list(link.workers)]

    @property
    def errors(self) -> dict[str, LaunchFailed]:
        """Host -> what is wrong with it now; hosts that are well are not in it."""
        return {link.host.label: link.error for link in self._links if link.error is not None}

    def wait(self, timeout: float | None = START_TIMEOUT) -> SSHWorkers:
        """
        Wait until all workers of all hosts have joined; `timeout` in seconds.

        LaunchFailed names each host that has failed, or did not get there in time. Hosts not named are at work.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        for link in self._links:
            link.hurry()
        while any(link.hopeful(patient=deadline is not None) for link in self._links):
            if deadline is not None and time.monotonic() > deadline:
                break
            time.sleep(LOOK)  # an interrupt may come at any instant here: no lock is held
        if missing := [link.trouble() for link in self._links if not link.complete()]:
            raise LaunchFailed("\n".join(missing))
        return self

    def add(self, n: int = 1) -> None:
        """Start `n` more workers, each on the host that has fewest, of those that are connected if there are any."""
        check_count(n)
        for _ in range(n):
            min(self._links, key=lambda link: (link.state != "up", link.wanted)).add()

    def kill(self, which: str | None = None) -> str:
        """
        End with SIGKILL: a worker (by name), every worker of a host (by its name), or any one worker.

        Returns the name of what was ended. Nothing replaces it.
        """
        for link in self._links:
            if which == link.host.label:
                link.kill_all()
                return which
            if link.workers and (which is None or which in link.workers):
                name = which or next(iter(link.workers))
                link.kill(name)
                return name
        there = [*(link.host.label for link in self._links), *self.names]
        raise BadInput(
            f"no worker or host {which!r} here" if which else "no worker runs", f"there are {', '.join(there)}"
        )

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """End them all; each may finish the task in hand, if that takes less than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        for link in self._links:
            link.ask_to_stop()
        while self.names and time.monotonic() < deadline:
            time.sleep(LOOK)
        for link in self._links:
            link.stop()
        for link in self._links:
            link.join(END_S + 10)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __enter__(self) -> SSHWorkers:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<SSHWorkers, {', '.join(map(str, self._links))}>"


def reachable(address: tuple[str, int]) -> tuple[str, int]:
    """A master's address as this machine calls it: "every interface" is no place to connect to."""
    host, port = address
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host), port
