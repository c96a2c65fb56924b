"""The master process: from settings to a serving master, until it is told to end or its owner is gone."""

from __future__ import annotations

import ipaddress
import os
import secrets
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dqlab import __version__
from dqlab.broker.broker import Broker
from dqlab.errors import BadInput, LaunchFailed
from dqlab.master.manager import QueueManager
from dqlab.master.peer import ControlLines
from dqlab.master.waiting_calls import WaitingCalls
from dqlab.wire.address import place
from dqlab.wire.connection_file import Connection, runtime_dir

__all__ = ["MasterSettings", "RunningMaster", "is_guessable", "is_loopback", "run_master"]

#: seconds: a lease that is longer than a week is a mistake, and much longer ones are beyond what a wait can take
LONGEST_LEASE = 7 * 86400.0
#: bytes of a random key
KEY_BYTES = 32
#: a key shorter than this, or with fewer different bytes, can be guessed
STRONG_KEY, STRONG_KEY_VARIETY = 16, 8


@dataclass(frozen=True)
class MasterSettings:
    """What `dqlab master` takes. `lease` in seconds; `authkey` None means a random one."""

    host: str = "127.0.0.1"
    port: int = 0
    authkey: bytes | None = None
    connection_file: Path | None = None
    lease: float = 15.0
    max_attempts: int = 3
    backlog: int = 2_000_000
    insecure: bool = False

    def check(self) -> None:
        """Raise `BadInput` for what makes no sense, or is not safe."""
        if not isinstance(self.port, int) or not 0 <= self.port < 65536:
            raise BadInput(f"port {self.port!r}", "a number from 0 (any free one) to 65535")
        if not 0.1 <= self.lease <= LONGEST_LEASE:
            raise BadInput(f"lease {self.lease!r}", f"seconds, from 0.1 to {LONGEST_LEASE:g}")
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise BadInput(f"max_attempts {self.max_attempts!r}", "a whole number from 1")
        if not isinstance(self.backlog, int) or self.backlog < 1:
            raise BadInput(f"backlog {self.backlog!r}", "a whole number from 1")
        if self.authkey is not None and not self.authkey:
            raise BadInput("the key is empty")
        if self.authkey and is_guessable(self.authkey) and not is_loopback(self.host) and not self.insecure:
            raise BadInput(
                f"a guessable key on {self.host}, which other machines reach",
                f"leave the key out for a random one, use {STRONG_KEY} bytes or more, or say --insecure",
            )


def is_guessable(key: bytes) -> bool:
    """Whether a key is so short, or of so few different bytes, that others could try it out."""
    return len(key) < STRONG_KEY or len(set(key)) < STRONG_KEY_VARIETY


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class RunningMaster:
    """A master that serves in this process, with its connection file; `close()` ends both."""

    def __init__(self, settings: MasterSettings) -> None:
        settings.check()
        key = settings.authkey or secrets.token_hex(KEY_BYTES).encode()
        broker = Broker(
            lease=settings.lease, max_attempts=settings.max_attempts, backlog=settings.backlog, now=time.time()
        )
        controls = ControlLines()
        self.waiting = WaitingCalls(broker, controls.send)
        about: dict[str, Any] = {"version": __version__, "id": secrets.token_hex(8), "pid": os.getpid()}
        about |= {"backlog": settings.backlog, "max_attempts": settings.max_attempts}
        try:
            manager = QueueManager(self.waiting, controls, (settings.host, settings.port), key, about)
            self.server = manager.get_server()
        except OSError as exc:
            where = place(settings.host, settings.port)
            raise LaunchFailed(f"cannot serve at {where}: {exc.strerror or exc}", "another --host or --port?") from exc
        host, port = self.server.listener.address  # type: ignore[attr-defined]
        self.connection = Connection(host, port, key, os.getpid(), __version__)
        self.file = settings.connection_file or runtime_dir() / f"dqlab-{os.getpid()}.json"
        try:
            self.connection.write(self.file)
        except OSError as exc:
            raise LaunchFailed(f"cannot write the connection file {self.file}: {exc.strerror or exc}") from exc
        self.server.start()

    def close(self) -> None:
        """End the server and remove the connection file, if it is still ours."""
        self.server.close()
        if self.file.exists() and Connection.read(self.file) == self.connection:
            self.file.unlink(missing_ok=True)


def run_master(settings: MasterSettings, serving: Any, until: threading.Event) -> None:
    """Serve until `until` is set or SIGTERM or Ctrl-C comes; `serving(master)` is called once it does."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: until.set())
    master = RunningMaster(settings)
    try:
        serving(master)
        while not until.wait(1.0):
            pass
    finally:
        master.close()
