"""An ssh process with a tunnel back through it: the machine's own `ssh`, told firmly what dqlab relies on.

The user's configuration, agent, jump hosts and hardware keys work as in a terminal; what would break the tunnel or
leave it behind is overruled (`FORCED`). What ssh says when it fails becomes the host's error, with what to do about it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dqlab.errors import LaunchFailed
from dqlab.launch.ssh.hosts import Host
from dqlab.wire.address import place

__all__ = ["ALIVE_COUNT", "ALIVE_S", "HostFailed", "Tunnel"]

#: ssh asks a silent far side every so many seconds, and gives the connection up after so many unanswered questions.
ALIVE_S, ALIVE_COUNT = 3, 3
#: how long connecting may take, in seconds.
CONNECT_S = 10
#: how long ssh may take to tell the tunnel's port once the far side speaks, and to end once it was killed, in seconds.
TELL_S = 5.0

#: what must be so, whatever the user's configuration says (of several values ssh takes the first that it meets).
FORCED = {
    "IgnoreUnknown": "*",  # some of these are younger than some ssh in use; the user's own IgnoreUnknown is overruled
    "LogLevel": "INFO",  # else the tunnel's port is not told
    "ControlMaster": "no",  # a shared connection would outlive us, and the tunnel with it
    "ControlPath": "none",
    "BatchMode": "yes",  # ask nothing: nobody is there to answer
    "StrictHostKeyChecking": "yes",
    "NoHostAuthenticationForLocalhost": "no",
    "VisualHostKey": "no",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "SessionType": "default",
    "StdinNull": "no",
    "ForkAfterAuthentication": "no",
    "EscapeChar": "none",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "ClearAllForwardings": "no",  # it would clear ours as well
    "ConnectTimeout": str(CONNECT_S),
    "ConnectionAttempts": "1",
    "TCPKeepAlive": "yes",
    "ServerAliveInterval": str(ALIVE_S),
    "ServerAliveCountMax": str(ALIVE_COUNT),
}

#: lines of ssh and Python that don't say what went wrong.
CHATTER = re.compile(r"Allocated port|Warning: Permanently added|\*\* |@|Traceback|\s|$")
#: failures of the network, which may pass; others stay until somebody does something about them.
PASSING = re.compile(
    "refused|timed out|No route|unreachable|resolve hostname|reset by|closed by|Connection closed|Broken pipe|"
    "not responding|exchange_identification|lost connection"
)
#: a forward of the user's own configuration that can't be had, when ours (listen port 0) can.
FOREIGN_FORWARD = re.compile(r"Could not request local|failed for listen (port [1-9]|path)|cannot listen to")
#: the error of our own forward.
NO_TUNNEL = "remote port forwarding failed for listen port 0"
#: the error of a host whose key is not known, or known to be another.
UNKNOWN_KEY = "Host key verification failed"
#: the error of a user whom a host doesn't know; in brackets follows what it would have accepted.
REFUSED_KEY = "Permission denied ("
#: failures that stay until somebody does something, though what follows from them reads as one of the network.
STAYING = (UNKNOWN_KEY, REFUSED_KEY, NO_TUNNEL)
#: what a shell answers with when it can't run a program.
NOT_RUNNABLE = (126, 127, 9009)
#: what ssh ends with when it has failed itself; else it is what the far side has ended with.
SSH_FAILED = 255

#: what is said -> what to do about it; the first that fits.
HINTS = {
    "IDENTIFICATION HAS CHANGED": "another machine answers there, or it was set up anew: ask who runs it",
    UNKNOWN_KEY: "to accept its key, type: ssh {config}-o StrictHostKeyChecking=accept-new -o RemoteCommand=none "
    "{where} exit",
    REFUSED_KEY: "your public key must be in ~/.ssh/authorized_keys there: ssh-copy-id {config}{where}",
    NO_TUNNEL: "its ssh server doesn't allow the tunnel: AllowTcpForwarding yes, in sshd_config there",
    "resolve hostname": "the name is neither in your ssh configuration nor known to the network",
    "Connection refused": "no ssh server listens there: does it run, and is the port right?",
}


class HostFailed(LaunchFailed):
    """One host could not be reached, or could not run workers. `passing`: it may be better when tried again."""

    def __init__(self, host: Host, message: str, hint: str = "", *, passing: bool = False) -> None:
        super().__init__(f"{host.label}: {message}", hint)
        self.passing = passing


class Tunnel:
    """One ssh process: runs `command` on a host, and forwards a port there to `target`, (host, port) as seen here."""

    def __init__(self, host: Host, target: tuple[str, int], command: str, ssh_config: Path | None, exact: bool) -> None:
        self.host, self.ssh_config = host, ssh_config
        self.words: deque[str] = deque(maxlen=50)
        self._target = target
        self._port: int | None = None
        self._told = threading.Event()
        self._lock = threading.Lock()
        options = dict(FORCED, ExitOnForwardFailure="yes" if exact else "no")
        forced = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        line = [*self._ssh(), "-T", *forced, "-R", f"127.0.0.1:0:{place(*target)}", *host.where, command]
        try:
            self.process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise HostFailed(
                host, f"ssh does not start: {error}", "is OpenSSH installed, and is ssh on the PATH?"
            ) from None
        _inputs.add(self.process.stdin)
        self._reader = threading.Thread(target=self._listen, name=f"dqlab-ssh-{host.label}", daemon=True)
        self._reader.start()

    def send(self, data: bytes) -> bool:
        """Write to the far side's standard input; False if it is gone."""
        assert self.process.stdin
        with self._lock, contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(data)
            self.process.stdin.flush()
            return True
        return False

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the far side says, until it ends. Whatever else appears there (login scripts talk) is passed over."""
        assert self.process.stdout
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict) and "event" in message:
                    yield message

    def port(self) -> int:
        """The tunnel's port at the far side. HostFailed if there is no tunnel."""
        self._told.wait(TELL_S)
        if self._port is None:
            raise self.failure()
        return self._port

    def end_input(self) -> None:
        """Tell the far side that this was all: its workers end. Never waits for a line that is dead."""
        assert self.process.stdin
        if not self._lock.acquire(timeout=1.0):  # somebody is stuck in `send`
            return self.kill()
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.close()
        self._lock.release()

    def close(self, timeout: float = 0.0) -> None:
        """End ssh, by force if it is there after `timeout` seconds."""
        self.end_input()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait(TELL_S)
        self._reader.join(TELL_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream and not self._reader.is_alive():
                stream.close()

    def kill(self) -> None:
        """End ssh at once, and the processes that it reaches through (ProxyJump, ProxyCommand)."""
        if self.process.poll() is not None:
            return  # its number may be another's by now
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()

    def failure(self, *, because: str = "", otherwise: str = "the connection ended") -> HostFailed:
        """Why there is no connection (any more), in ssh's words; `because` is why if ssh itself has not failed."""
        self.close(timeout=1.0)
        everything, code = "\n".join(self.words), self.process.returncode
        said = because if because and 0 <= code < SSH_FAILED else essence(self.words)
        config = f"{shlex.join(self._ssh()[1:])} " if self.ssh_config else ""
        hint = next((hint for words, hint in HINTS.items() if words in everything), "")
        if hint == HINTS[UNKNOWN_KEY] and self._keeps_no_keys():
            hint = f"your ssh configuration throws host keys away: name a UserKnownHostsFile in it; then, {hint}"
        hint = hint.format(config=config, where=shlex.join(self.host.typed))
        if code in NOT_RUNNABLE:
            said = f"can't run {self.host.python or 'python3'} there: {said}"
            hint = f"name an interpreter: {{'host': {self.host.host!r}, 'python': '/usr/bin/python3'}}"
        stays = any(words in everything for words in STAYING)
        passing = code < 0 or (code == SSH_FAILED and bool(PASSING.search(everything)) and not stays)
        return HostFailed(self.host, said or otherwise, hint, passing=passing)

    def foreign_forward_failed(self) -> bool:
        """Whether ssh gave up for a forward that the user's configuration asks for."""
        return any(FOREIGN_FORWARD.search(line) for line in self.words)

    def _keeps_no_keys(self) -> bool:
        """Whether the user's configuration has no file for the keys of hosts, so that accepting one is in vain."""
        command = [*self._ssh(), "-G", *self.host.where]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TELL_S).stdout
            return re.search(rb"^userknownhostsfile (/dev/null|none)\s*$", said, re.MULTILINE) is not None
        return False

    def _ssh(self) -> list[str]:
        return ["ssh", "-F", str(self.ssh_config)] if self.ssh_config else ["ssh"]

    def _listen(self) -> None:
        """Read what ssh says: the tunnel's port, and whatever goes wrong."""
        assert self.process.stderr
        target = re.escape(":".join(map(str, self._target)))  # an IPv6 address stands there without its brackets
        allocated = re.compile(rf"Allocated port (\d+) for remote forward to {target}\b")
        for line in self.process.stderr:
            text = line.decode(errors="replace").rstrip()
            self.words.append(text)
            if found := allocated.match(text):
                self._port = int(found[1])
            if found or NO_TUNNEL in text:
                self._told.set()
        self._told.set()


def essence(lines: Iterable[str]) -> str:
    """What of somebody's last words says what went wrong."""
    return " / ".join([line for line in lines if not CHATTER.match(line)][-3:])


#: what a forked child of this process must not keep open, or the far side would not notice that this process ended.
_inputs: weakref.WeakSet[Any] = weakref.WeakSet()


def _let_go_of_inputs() -> None:
    with open(os.devnull, "wb") as nothing:
        for stream in list(_inputs):
            if not stream.closed:
                os.dup2(nothing.fileno(), stream.fileno())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_inputs)
