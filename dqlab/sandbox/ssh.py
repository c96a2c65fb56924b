"""Throwaway ssh hosts: real OpenSSH servers on this machine, for lessons and tests of "other machines".

    with ssh_hosts(2) as hosts:
        remote = SSHWorkers(master, hosts.names, ssh_config=hosts.config)
        hosts["lab1"].cut()            # its cable is pulled
        hosts["lab1"].mend()           # and put back

Each host has its own port, host key, home directory, Python and processes; they share the kernel, the user and the disk
with this machine. Nothing of the user's own ssh setup is read or written. See `keeper` for how they end.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from dqlab.errors import BadInput, DqlabError, LaunchFailed
from dqlab.sandbox.ssh_files import furnish, make_key

__all__ = ["ThrowawayHost", "ThrowawayHosts", "ssh_hosts"]

#: how long an sshd may take to answer, in seconds
START_S = 10.0
#: how long a keeper may take to clean up, in seconds
END_S = 10.0
#: ports that no system hands out to outgoing connections, so that a host which was cut finds its port free again
PORTS = range(20_000, 32_000)

INSTALL = (
    "Debian and Ubuntu: sudo apt install openssh-server; conda, Binder too: conda install -c conda-forge openssh; "
    "Homebrew: brew install openssh; macOS has one in /usr/sbin; Windows: use WSL"
)


def ssh_hosts(
    n: int = 2, *, packages: bool = True, namespaces: Mapping[str, tuple[str, str]] | None = None
) -> ThrowawayHosts:
    """
    Start `n` throwaway ssh hosts, called lab1, lab2, ...; leaving the `with` block ends them.

    packages    their Python can import dqlab and what this Python can import; False: the standard library alone
    namespaces  host name -> name of a Linux network namespace and address in it: hosts there, instead of `n` here

    Raises LaunchFailed where there is no sshd (and says how to get one) or where it doesn't start (with its own words).
    """
    if not isinstance(n, int) or not 1 <= n <= 50:
        raise BadInput(f"ssh_hosts: n must be a whole number from 1 to 50, not {n!r}")
    places = dict(namespaces or {f"lab{i}": ("", "127.0.0.1") for i in range(1, n + 1)})
    return ThrowawayHosts(find_sshd(), places, packages=packages)


def find_sshd() -> str:
    """The path of an sshd (it insists on being called by its full path)."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), f"{sys.prefix}/bin", "/usr/sbin", "/usr/local/sbin"])
    if os.name == "nt" or not (found := shutil.which("sshd", path=folders)):
        raise LaunchFailed("throwaway ssh hosts need an ssh server, and there is no sshd here", INSTALL)
    return found


class ThrowawayHosts(Sequence["ThrowawayHost"]):
    """Several throwaway hosts, by number or by name: `names`, and `config`, the ssh config file that knows them."""

    def __init__(self, sshd: str, places: Mapping[str, tuple[str, str]], *, packages: bool) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="dqlab-hosts-"))
        self.names = list(places)
        self.config = self.root / "ssh_config"
        self._hosts: list[ThrowawayHost] = []
        try:
            make_key(self.root / "key")
            (self.root / "etc").mkdir()
            for name, (namespace, address) in places.items():
                prefix = ["ip", "netns", "exec", namespace] if namespace else []
                self._hosts.append(ThrowawayHost(self.root, name, address, [*prefix, sshd], packages=packages))
                self._hosts[-1].mend()  # before the next one looks for a free port
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End every host: its processes, its files."""
        for host in self._hosts:
            host.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def __getitem__(self, which: int | str) -> ThrowawayHost:  # type: ignore[override]
        """The host of that number (from 0) or name."""
        return self._hosts[self.names.index(which) if isinstance(which, str) else which]

    def __iter__(self) -> Iterator[ThrowawayHost]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    def __enter__(self) -> ThrowawayHosts:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ThrowawayHosts {', '.join(self.names)}>"


class ThrowawayHost:
    """One throwaway host: `name`, `address`, `port`, and `home`, the directory where a login there begins."""

    def __init__(self, root: Path, name: str, address: str, sshd: list[str], *, packages: bool) -> None:
        self.name, self.address, self.port = name, address, free_port(address if len(sshd) == 1 else "")
        self.home, self.etc = root / "homes" / name, root / "etc" / name
        self.sshd = sshd
        self._lock, self._asked = threading.Lock(), 0
        furnish(self, root, packages=packages)
        keeper = [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py")), str(root), name]
        server = [*sshd, "-D", "-f", str(self.etc / "sshd_config"), "-E", str(self.etc / "log")]
        self._keeper = subprocess.Popen(
            keeper + server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/"
        )

    def cut(self, *, silent: bool = False) -> None:
        """
        Pull the cable: no connection works any more and none can be made, until `mend()`. What runs here runs on.

        By default both ends notice at once, as connections are closed. `silent=True` answers nothing and closes
        nothing, as a real cable that is pulled: the other side finds out when its patience ends.
        """
        self._ask("silence" if silent else "cut")

    def mend(self) -> None:
        """Put the cable back; returns when ssh can connect again. Nothing happens if it can."""
        self._ask("mend")
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or not self._alive():
                raise LaunchFailed(f"{self.name}: its sshd does not start: {self.log() or 'no answer'}")
            time.sleep(0.02)

    def processes(self) -> list[tuple[int, str]]:
        """What runs on this host, sshd's own processes left out: process numbers and command lines."""
        return [(pid, command) for pid, command in self._ask("list")]

    def files(self) -> list[str]:
        """The names in its home directory."""
        return sorted(path.name for path in self.home.iterdir() if not path.name.startswith("."))

    def log(self) -> str:
        """What its sshd has to say."""
        try:
            return (self.etc / "log").read_text(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def close(self) -> None:
        """End it: its processes, its files. A second call does nothing."""
        with self._lock:
            assert self._keeper.stdin and self._keeper.stdout
            self._keeper.stdin.close()
            self._keeper.stdout.close()
            try:
                self._keeper.wait(END_S)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()

    def _ask(self, command: str) -> Any:
        """Give the keeper a command and return its answer. Those to commands that were interrupted are passed over."""
        with self._lock:
            if self._keeper.poll() is not None:
                raise DqlabError(f"{self.name} was closed")
            assert self._keeper.stdin and self._keeper.stdout
            self._asked = number = self._asked + 1
            self._keeper.stdin.write(f"{number} {command}\n".encode())
            self._keeper.stdin.flush()
            for line in self._keeper.stdout:
                with contextlib.suppress(ValueError):  # the rest of a line whose beginning an interrupt has taken
                    answered, answer = json.loads(line)
                    if answered == number:
                        return answer
            raise DqlabError(f"{self.name}: its keeper has ended")

    def _answers(self) -> bool:
        """Whether an sshd greets at its port."""
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    def _alive(self) -> bool:
        return bool(self._ask("alive"))

    def __repr__(self) -> str:
        return f"<ThrowawayHost {self.name}>"


def free_port(address: str) -> int:
    """A port of `PORTS` on which nothing listens at `address` ("": an address that isn't ours to try)."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                if address:
                    probe.bind((address, port))
            except OSError:
                continue
            return port
    raise LaunchFailed(f"no free port for an ssh server at {address}")
