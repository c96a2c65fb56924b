"""The keeper of one throwaway host: a small process that owns the host's sshd and whatever runs there.

    notebook ──stdin──> keeper ──child──> sshd ──child──> sshd session ──child──> what ssh was asked to run
             <─stdout──

Each line on standard input is a number and a command, each line on standard output [number, answer] (JSON). When the
notebook's process is gone, even by SIGKILL, standard input ends: the keeper then kills everything on its host, deletes
the host's directory and ends. On Linux orphans become the keeper's children (it is a subreaper), so nothing can escape.

Standard library only, POSIX only; run as a program: `python keeper.py ROOT NAME SSHD [ARGUMENT ...]`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: how long killed processes may take to vanish, in seconds
END_S = 5.0
#: how often the keeper looks whether its owner still lives, in seconds
LOOK_S = 0.5
#: prctl's number for "orphans below me become my children".
PR_SET_CHILD_SUBREAPER = 36


def process_table() -> dict[int, tuple[int, str]]:
    """Every process: its number -> its parent's number and its command line. Zombies are left out."""
    table: dict[int, tuple[int, str]] = {}
    if os.path.isdir("/proc/self"):
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it ended while we looked
                state, parent = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:2]
                words = Path("/proc", entry, "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
                if state != "Z":
                    table[int(entry)] = (int(parent), words.decode(errors="replace"))
    else:
        listing = ["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "args="]
        for line in subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines():
            number, owner, status, command = (line.split(None, 3) + [""])[:4]
            if not status.startswith("Z"):
                table[int(number)] = (int(owner), command)
    return table


def is_sshd(command: str) -> bool:
    """Whether a command line is sshd's own (listener or session), not something that it was asked to run."""
    return os.path.basename(command.split(" ")[0]).startswith("sshd")


class Keeper:
    """One host's processes: start, kill, freeze and list them."""

    def __init__(self, sshd: list[str]) -> None:
        self.sshd = sshd
        self.listener: subprocess.Popen[bytes] | None = None
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def below(self) -> dict[int, str]:
        """Process number -> command line of everything on this host."""
        table = process_table()
        found = {os.getpid()}
        while more := {pid for pid, (parent, _) in table.items() if parent in found} - found:
            found |= more
        return {pid: table[pid][1] for pid in sorted(found - {os.getpid()})}

    def signal(self, number: int, *, only_sshd: bool) -> bool:
        """Send a signal to everything on this host, or to sshd alone; tell whether there was anything to send it to."""
        chosen = [pid for pid, command in self.below().items() if is_sshd(command) or not only_sshd]
        for pid in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(chosen)

    def kill(self, *, only_sshd: bool) -> None:
        """SIGKILL until nothing is left: a process may have forked while we looked."""
        deadline = time.monotonic() + END_S
        while self.signal(signal.SIGKILL, only_sshd=only_sshd) and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.01)
        self.reap()

    def reap(self) -> None:
        """Bury what has ended, orphans included."""
        if self.listener is not None:
            self.listener.poll()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    # The commands, by name. Each returns what the owner is told.

    def do_cut(self) -> None:
        """Close every connection at once, as a machine does that reboots."""
        self.kill(only_sshd=True)

    def do_silence(self) -> None:
        """Answer nobody any more and close nothing, as a pulled cable does."""
        self.signal(signal.SIGSTOP, only_sshd=True)

    def do_mend(self) -> None:
        """Let a silent sshd go on; start a new one where there is none."""
        self.signal(signal.SIGCONT, only_sshd=True)
        if not self.do_alive():
            self.listener = subprocess.Popen(self.sshd, stdin=subprocess.DEVNULL, start_new_session=True)

    def do_alive(self) -> bool:
        """Whether the sshd that takes connections is there."""
        return self.listener is not None and self.listener.poll() is None

    def do_list(self) -> list[tuple[int, str]]:
        """What runs here besides sshd itself."""
        return [(pid, command) for pid, command in self.below().items() if command and not is_sshd(command)]


def lines_from_owner(keeper: Keeper) -> Iterator[bytes]:
    """The owner's commands, until it is gone. A fork of the owner may hold the pipe open: watch the parent as well."""
    owner, rest = os.getppid(), b""
    while os.getppid() == owner:
        keeper.reap()
        if select.select([0], [], [], LOOK_S)[0]:
            if not (data := os.read(0, 65536)):
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines


def main(root: Path, name: str, sshd: list[str]) -> None:
    """Serve a host's owner until it goes; then end what runs on the host, and remove its files below `root`."""
    keeper = Keeper(sshd)
    try:
        for line in lines_from_owner(keeper):
            number, command = line.decode().split()
            answer = getattr(keeper, f"do_{command}")()
            os.write(1, json.dumps([int(number), answer]).encode() + b"\n")
    except BrokenPipeError:
        pass  # the owner went while we answered
    finally:
        keeper.kill(only_sshd=False)
        for part in ("etc", "homes"):
            shutil.rmtree(root / part / name, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: another host still lives
            (root / "etc").rmdir()
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
