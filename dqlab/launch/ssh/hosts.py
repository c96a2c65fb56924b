"""The machines that workers are started on: what may be written for one, checked before anything starts.

"lab1"      "pi@lab2:2222"      {"host": "lab3", "python": "python3.12", "n": 8}      Host("lab4", name="big")
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from dqlab.errors import BadInput
from dqlab.launch.launcher import check_count

__all__ = ["Host", "read_hosts"]

#: a host as USER@HOST:PORT; only HOST is needed: a name of ~/.ssh/config or the network, an IPv4 or [IPv6] address.
WRITTEN = re.compile(r"((?P<user>[^@]*)@)?(?P<host>\[[^]]*\]|[^:]*)(:(?P<port>\d+))?")
#: what such names consist of; nothing that ssh or a shell would read as something else.
HOST_NAME = re.compile(r"\w[\w.-]*|\[?[0-9a-fA-F:]+(%\w+)?\]?")
USER_NAME = re.compile(r"\w[\w.+-]*")
PYTHON = re.compile(r"[^-\s'\"\\`$&|;<>()*?!#{}\n][^'\"`$&|;<>()*?!#{}\n]*")


@dataclass(frozen=True)
class Host:
    """One machine. What is None is as the user's ssh configuration has it, or as for all hosts."""

    host: str  # as ssh knows it
    name: str | None = None  # what dqlab calls it, `host` without being told; unique
    user: str | None = None
    port: int | None = None
    python: str | None = None  # the interpreter there, python3 without being told
    n: int | None = None  # how many workers

    @property
    def label(self) -> str:
        """What dqlab calls it."""
        return self.name or self.host

    @property
    def where(self) -> list[str]:
        """The words that tell ssh where to go."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host.strip("[]")]

    @property
    def typed(self) -> list[str]:
        """The same for a person to type, to ssh and to ssh-copy-id (which has no -l)."""
        name = self.host.strip("[]")
        return [*(["-p", str(self.port)] if self.port else []), f"{self.user}@{name}" if self.user else name]

    @property
    def interpreter(self) -> str:
        """The interpreter as the far side's shell is to read it: a leading ~/ is still the home directory."""
        python = self.python or "python3"
        return "~/" + shlex.quote(python[2:]) if python.startswith("~/") else shlex.quote(python)


def read_hosts(hosts: Iterable[Any], python: str | None = None) -> list[Host]:
    """
    The hosts as `Host`s; `python` is the interpreter of those that name none.

    BadInput if there is no host, one twice, or one that can't be a host's name.
    """
    if isinstance(hosts, (str, Mapping, Host)) or not isinstance(hosts, Iterable):
        raise BadInput(f"hosts must be a list of hosts, not {hosts!r}", f"write [{hosts!r}] for a single one")
    found = [_read(host, python) for host in hosts]
    if not found:
        raise BadInput("the list of hosts is empty", 'name at least one, as in ["lab1"]')
    for name in (names := [host.label for host in found]):
        if names.count(name) > 1:
            raise BadInput(
                f"two hosts are called {name!r}", "leave one out, use n= for more workers, or give it a name="
            )
    return found


def _read(given: Any, python: str | None) -> Host:
    """One host, from any way to write it."""
    if isinstance(given, str):
        parts = WRITTEN.fullmatch(given)
        if parts is None:
            raise BadInput(f"{given!r} is no host", "write NAME or USER@NAME:PORT, and an IPv6 address in [ ]")
        if parts["user"] == "":
            raise BadInput(f"{given!r} has no user before the @")
        host = Host(parts["host"], user=parts["user"], port=int(parts["port"]) if parts["port"] else None)
    elif isinstance(given, Mapping):
        known = [field.name for field in fields(Host)]
        if "host" not in given or (unknown := set(given) - set(known)):
            wrong = (
                f"has no setting called {', '.join(map(repr, sorted(unknown)))}" if "host" in given else "has no 'host'"
            )
            raise BadInput(f"the host {dict(given)!r} {wrong}", f"a host's settings are {', '.join(known)}")
        host = Host(**given)
    elif isinstance(given, Host):
        host = given
    else:
        raise BadInput(f"{given!r} is no host", "write a string, a dict or a dqlab.launch.ssh.hosts.Host")
    if host.python is None:
        host = replace(host, python=python)
    _check(host)
    return host


def _check(host: Host) -> None:
    """Refuse what ssh or a shell could take for an option, a command or two words."""
    rules = (
        ("host name", host.host, HOST_NAME),
        ("name", host.label, HOST_NAME),
        ("user name", host.user or "nobody", USER_NAME),
        ("Python", host.python or "python3", PYTHON),
    )
    for what, value, rule in rules:
        if not isinstance(value, str) or not rule.fullmatch(value):
            raise BadInput(
                f"{value!r} is not a {what} (in {host.host!r})", "no spaces, no shell characters, no options"
            )
    if host.port is not None and (not isinstance(host.port, int) or not 1 <= host.port <= 65535):
        raise BadInput(f"{host.label}: a port is a number from 1 to 65535, not {host.port!r}")
    if host.n is not None:
        check_count(host.n, f"{host.label}: ")
