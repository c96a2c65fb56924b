"""The files of which a throwaway ssh host consists: its home, its Python, its keys, its sshd's configuration."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Protocol

__all__ = ["Host", "furnish", "make_key"]

#: seconds that a command which checks or makes a file may take
PATIENCE = 10.0

SSHD_CONFIG = """\
ListenAddress {address}:{port}
HostKey "{etc}/host_key"
AuthorizedKeysFile "{root}/key.pub"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin yes
AllowTcpForwarding yes
X11Forwarding no
PrintMotd no
PrintLastLog no
MaxStartups 100
SetEnv HOME="{home}" HOSTNAME={name}
ForceCommand "{etc}/login"
"""

#: newer servers shut out addresses that fail to log in, which is just what a lesson about failures does
NO_PENALTIES = "PerSourcePenalties no\n"

LOGIN = """\
#!/bin/sh
# Runs instead of what ssh asked for: makes the login a machine of its own, then does what ssh asked for.
PATH="{etc}/python/bin:/usr/local/bin:/usr/bin:/bin"
export PATH
cd "$HOME" || exit 1
[ -n "$SSH_ORIGINAL_COMMAND" ] && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
exec /bin/sh -i
"""

CLIENT_CONFIG = """\
Host {name}
    HostName {address}
    Port {port}
    User {user}
    IdentityFile "{root}/key"
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile "{root}/known_hosts"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes

"""


class Host(Protocol):
    """What is known of a host when its files are written."""

    name: str
    address: str
    port: int
    home: Path  #: where a login begins
    etc: Path  #: everything else
    sshd: list[str]  #: the command that starts its server


def furnish(host: Host, root: Path, *, packages: bool) -> None:
    """Write what a host below `root` consists of: home, Python, keys, its sshd's configuration, its entry in ours."""
    import pwd  # not on Windows

    etc = host.etc
    host.home.mkdir(parents=True)
    etc.mkdir()
    (host.home / f"this_is_{host.name}.txt").write_text(f"You are looking at a file of {host.name}.\n")
    venv.create(etc / "python", with_pip=False, symlinks=True)
    if packages:
        libraries = [str(Path(__file__).parents[2]), *(entry for entry in sys.path if entry.endswith("-packages"))]
        next(etc.glob("python/lib/python*/site-packages")).joinpath("here.pth").write_text("\n".join(libraries) + "\n")
    make_key(etc / "host_key")
    public = (etc / "host_key.pub").read_text()
    known = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
    words = {"etc": etc, "root": root, "home": host.home, "name": host.name, "address": host.address, "port": host.port}
    (etc / "login").write_text(LOGIN.format(**words))
    (etc / "login").chmod(0o700)
    _configure(host.sshd, etc / "sshd_config", SSHD_CONFIG.format(**words))
    with (root / "known_hosts").open("a") as file:
        file.write(f"{known} {public}")
    with (root / "ssh_config").open("a") as file:
        file.write(CLIENT_CONFIG.format(user=pwd.getpwuid(os.getuid()).pw_name, **words))


def _configure(sshd: list[str], path: Path, text: str) -> None:
    """Write an sshd's configuration, with the option that older ones don't know where it is known."""
    if os.getuid() == 0:
        with contextlib.suppress(OSError):  # root's sshd locks its helper in there; Debian makes it at boot
            Path("/run/sshd").mkdir(mode=0o755)
    path.write_text(text + NO_PENALTIES)
    if subprocess.run([*sshd, "-t", "-f", str(path)], capture_output=True, timeout=PATIENCE).returncode:
        path.write_text(text)


def make_key(path: Path) -> None:
    """Write a new key pair without a passphrase to `path` and `path`.pub."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "throwaway", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
