"""One machine's link: brings workers up there, keeps them, and brings them up again when the line drops.

    here                                                 the other machine
    master 127.0.0.1:5000 <──── ssh <═ encrypted ═> sshd <──── 127.0.0.1:N   (the tunnel; N is chosen there)
    link ──── settings, commands, end-of-file ────> standard input of   `dqlab worker --owned`
         <─── joined, left ─────────────────────── its standard output

The link's life is one thread. The key travels through the standard input, and end-of-file there is what ends the
workers: it comes when the link stops, when the line drops, and when this process dies, even by SIGKILL.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dqlab.launch.ssh.hosts import Host
from dqlab.launch.ssh.tunnel import HostFailed, Tunnel, essence
from dqlab.launch.worker_group import WorkerGroup
from dqlab.process.owned_process import REACT

__all__ = ["Link", "Plan"]

#: how long it may take until workers can be started there (connecting, and sending an archive), in seconds.
READY_S = 120.0
#: the pause before a dropped host is tried again: doubled each time from the first to the longest, in seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
#: how long the far side may take to end once its input has ended, in seconds.
END_S = 4.0
#: how long its thread may take to end after that, in seconds.
JOIN_S = 10.0
#: how long workers look for the master once the tunnel is silent: it leads nowhere else, and they are started anew.
GIVE_UP_S = 10.0
#: what Python is told to do over there: forget the folder that it runs in (a queue.py there is not the standard
#: library's), and go on with `bootstrap`.
FIRST = "import sys; sys.path = list(filter(None, sys.path)); exec(sys.stdin.readline())"


@dataclass(frozen=True)
class Plan:
    """What the links of one master are to bring about."""

    master: tuple[str, int]  #: where the master is, as seen from here
    settings: dict[str, Any]  #: of the workers: authkey (base64), queues, handler
    version: str  #: of dqlab; both sides must have the same
    archive: tuple[str, bytes] | None  #: its name and content, to be sent; None: what is installed there is used
    ssh_config: Path | None  #: if not the user's own


class Link(WorkerGroup):
    """One host. `state`: connecting, up, waiting (to try again), failed, ended. `workers` there: name -> pid."""

    def __init__(self, host: Host, n: int, plan: Plan) -> None:
        self.host, self.wanted, self._plan = host, n, plan
        self.label = host.label
        self.workers: dict[str, int] = {}
        self.been_up = False
        self._tunnel: Tunnel | None = None
        self._last_words = ""  # of the worker that last left without being asked to, on this connection
        self._exact = True  # every forward must work, those of the user's configuration too
        self._asked = 0  # workers asked for on this connection
        self._asking = threading.Lock()
        self._unanswered = 0.0  # since when an order has no answer; 0: none
        self._prepare_life()

    def _prepare_life(self) -> None:
        self.state: str = "connecting"
        self.error: HostFailed | None = None
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"dqlab-link-{self.host.label}", daemon=True)

    # What others ask of it.

    def begin(self) -> None:
        """Connect, and start its workers."""
        self._thread.start()

    @property
    def frozen(self) -> bool:
        """Whether it has an order and says nothing, neither itself nor through its end."""
        since = self._unanswered
        return bool(since) and time.monotonic() - since > REACT

    def complete(self) -> bool:
        """Whether all its workers are there."""
        return self.state in ("up", "ended") and len(self.workers) >= self.wanted

    def hopeful(self, patient: bool) -> bool:
        """Whether waiting makes sense; `patient`: also for a host that was there and can't be reached now."""
        lost = self.error is not None and not self._wake.is_set() and not (patient and self.been_up)
        return not self.complete() and self.state not in ("failed", "ended") and not lost

    def trouble(self) -> str:
        """What is wrong, for somebody who waited."""
        return str(self.error) if self.error else str(self)

    def hurry(self) -> None:
        """Try again now, if it waits to; if it is just trying again, once more should that fail."""
        if self.error is not None and self.state in ("waiting", "connecting"):
            self.error = None
            self._wake.set()

    def add(self) -> None:
        """Start one more worker, now or when there is a connection again."""
        if self._stopping.is_set():
            self.join()  # it was told to end, and begins anew after that
        self.wanted += 1
        if self.state in ("failed", "ended"):
            self._prepare_life()
            self.begin()
        else:
            self._catch_up()

    def kill(self, name: str) -> None:
        """SIGKILL one worker; nothing replaces it."""
        if self.workers.pop(name, None) is not None:
            self._fewer()
            self._order(kill=name)

    def kill_all(self) -> None:
        """SIGKILL every worker, and end the connection."""
        for name in list(self.workers):
            self.kill(name)
        self.wanted = 0
        self.stop()

    def ask_to_stop(self) -> None:
        """Ask every worker to end after the task in hand."""
        for name in list(self.workers):
            self._order(stop=name)

    def stop(self) -> None:
        """Begin to end it, for good. `join` waits for the end."""
        self._stopping.set()
        self._wake.set()
        if tunnel := self._tunnel:
            if self.state == "up" and not self.frozen:
                tunnel.end_input()
            else:  # no worker is there to be told; a host that doesn't answer would keep ssh waiting
                tunnel.kill()

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.is_alive():
            self._thread.join(END_S + JOIN_S)

    def __str__(self) -> str:
        running = f"{len(self.workers)} of {self.wanted} running"
        return f"{self.host.label}: {running if self.state == 'up' else self.state}"

    def _order(self, **order: Any) -> None:
        """Tell the far side: kill=NAME, stop=NAME or add=NUMBER. Without a connection nobody hears it."""
        if tunnel := self._tunnel:
            self._unanswered = self._unanswered or time.monotonic()
            tunnel.send(json.dumps(order).encode() + b"\n")

    def _fewer(self) -> None:
        with self._asking:
            self.wanted -= 1
            self._asked -= 1

    def _catch_up(self) -> None:
        """Ask for the workers that were wanted since this connection began."""
        with self._asking:
            if self.state == "up" and self.wanted > self._asked:
                self._order(add=self.wanted - self._asked)
                self._asked = self.wanted

    # Its life.

    def _live(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self.state = "connecting"
            try:
                self._connect_and_serve()
                break  # the workers were told to go home
            except HostFailed as error:
                if self._exact and self._tunnel and self._tunnel.foreign_forward_failed():
                    self._exact = False  # again at once, without insisting on them
                    continue
                if self._stopping.is_set():
                    break
                self.error = error
                if not (error.passing or self.been_up):
                    break
                # A line that drops is tried again soon; workers that come up and die would die again soon.
                soon = self.state == "up" and error.passing
                pause = FIRST_PAUSE_S if soon else min(2 * pause, LONGEST_PAUSE_S)
                self.state = "waiting"
                if self._wake.wait(pause):
                    self.error = None  # somebody waits to see how this attempt ends
                self._wake.clear()
        self._tunnel = None
        self.state = "failed" if self.error and not self._stopping.is_set() else "ended"

    def _connect_and_serve(self) -> None:
        """One connection, from its beginning to its end. HostFailed tells why it ended, unless it was meant to."""
        name = self._plan.archive[0] if self._plan.archive else None
        command = f'{self.host.interpreter} -c "{FIRST}"'
        tunnel = Tunnel(self.host, self._plan.master, command, self._plan.ssh_config, self._exact)
        self._tunnel, self._last_words, self._unanswered = tunnel, "", 0.0
        patience = threading.Timer(READY_S, tunnel.close)
        patience.daemon = True
        patience.start()
        try:
            if self._stopping.is_set():
                return
            messages = tunnel.messages()
            tunnel.send(bootstrap(name))
            self._prepare(tunnel, messages)
            patience.cancel()
            self._asked = self.wanted
            place = {"host": "127.0.0.1", "port": tunnel.port(), "host_name": self.host.label}
            settings = {**self._plan.settings, **place, "n": self._asked, "supervise": True, "give_up": GIVE_UP_S}
            tunnel.send(json.dumps(settings).encode() + b"\n")
            for message in messages:
                self._hear(message)
            tunnel.close(END_S)
            ended_well = tunnel.process.returncode == 0 and self.state == "up" and self.wanted <= 0
            if not self._stopping.is_set() and not ended_well:
                raise tunnel.failure(because=f"its workers ended: {self._last_words}" if self._last_words else "")
        finally:
            patience.cancel()
            self.workers.clear()
            self._unanswered = 0.0
            tunnel.close(END_S if self.state == "up" else 0)

    def _prepare(self, tunnel: Tunnel, messages: Iterator[dict[str, Any]]) -> None:
        """See that the far side can run workers; send dqlab there if that was asked for."""
        hello = self._expect("hello", tunnel, messages)
        self._check(hello)
        name, data = self._plan.archive or ("", b"")
        if hello["have"]:
            data = b""
        tunnel.send(json.dumps({"size": len(data)}).encode() + b"\n" + data)
        self._expect("ready", tunnel, messages)

    def _expect(self, event: str, tunnel: Tunnel, messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
        """The far side's next message, which must be this one."""
        for message in messages:
            if message["event"] == event:
                return message
            if message["event"] == "failed":
                raise HostFailed(self.host, f"dqlab could not be put there: {message['text']}")
        raise tunnel.failure(otherwise=f"{self.host.python or 'python3'} there did not answer as Python does")

    def _check(self, hello: dict[str, Any]) -> None:
        """Refuse a far side that has another Python or another dqlab, or none."""
        ours = "{}.{}".format(*sys.version_info)
        if hello["python"] != ours:
            raise HostFailed(
                self.host, f"{hello['path']} there is Python {hello['python']}, and here is {ours}: "
                "functions can't travel between them",
                f"name an interpreter: {{'host': {self.host.host!r}, 'python': 'python{ours}'}}",
            )  # fmt: skip
        if self._plan.archive:
            return
        version, remedy = self._plan.version, "or pass install=True, which brings it along"
        if hello["dqlab"] is None:
            command = f"{hello['path']} -m pip install dqlab=={version}"
            raise HostFailed(self.host, f"no dqlab there ({hello['missing']})", f"type there: {command}, {remedy}")
        if hello["dqlab"] != version:
            raise HostFailed(
                self.host, f"dqlab {hello['dqlab']} is there, and {version} here", f"install {version} there, {remedy}"
            )

    def _hear(self, message: dict[str, Any]) -> None:
        """A worker has come or gone, or an order has arrived."""
        self._unanswered = 0.0
        if message["event"] == "joined":
            self.workers[message["name"]] = message["pid"]
            self.state, self.been_up, self.error = "up", True, None
            self._wake.clear()
            self._catch_up()
        elif message["event"] == "left":
            self.workers.pop(message["name"], None)
            if message.get("code") == 0:
                self._fewer()  # somebody asked it to stop
            else:
                self._last_words = essence(str(message.get("reason") or "").splitlines())


def bootstrap(archive: str | None) -> bytes:
    """The line of Python with which the far side begins (see the module `bootstrap`)."""
    program = base64.b64encode(Path(__file__).with_name("bootstrap.py").read_bytes()).decode()
    return f"import base64; ARCHIVE = {archive!r}; exec(base64.b64decode('{program}'))\n".encode()
