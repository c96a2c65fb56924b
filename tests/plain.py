"""Plain BaseManager scripts as processes, and connections that speak the protocol by hand."""

import contextlib
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

from dqlab.wire.greeting import Greeting
from tests.helpers import eventually

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(__file__).parent / "plain_scripts"

#: what begins a message whose payloads follow it
FOLLOWED = "#FOLLOWED"
#: the key of every tutorial
KEY = b"abc"


def find_pythons() -> dict[str, str]:
    """Python interpreters of this machine by version, ours included: on the PATH, and installed beside ours."""
    names = [f"python3.{minor}" for minor in range(6, 16)]
    beside = Path(sys.base_prefix).parent
    candidates = [shutil.which(name) for name in names] + [
        str(path) for name in names for path in sorted(beside.glob(f"*/bin/{name}"))
    ]
    found = {f"3.{sys.version_info.minor}": sys.executable}
    for candidate in filter(None, candidates):
        asked = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=20)
        if asked.returncode == 0 and (version := re.match(r"Python (3\.\d+)", asked.stdout)):
            found.setdefault(version[1], candidate)
    return found


PYTHONS = find_pythons()


class Process:
    """A running command; ``output()`` is what it has said so far, both streams together."""

    def __init__(self, command: list[str], log: Path, cwd: Path) -> None:
        self._log = log
        path = os.pathsep.join([str(ROOT), str(cwd)])
        with log.open("wb") as out:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def says(self, text: str, timeout: float = 20) -> None:
        """Wait until it has said ``text``."""
        eventually(lambda: text in self.output() or self.popen.poll() is not None, timeout, f"{text!r} {self.output()}")
        assert text in self.output(), self.output()

    def ends(self, code: int = 0, timeout: float = 30) -> str:
        """Wait for its end with an exit code; return all that it said."""
        try:
            ended = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {timeout} s: {self.output()}") from None
        assert ended == code, f"exit code {ended}: {self.output()}"
        return self.output()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(10)


class Lab:
    """Starts processes in a folder, and ends them. ``port`` is where the scripts find a master."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.processes: list[Process] = []
        self.keyfile = folder / "key"
        self.keyfile.write_bytes(KEY + b"\n")

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def start(self, command: list[str]) -> Process:
        process = Process(command, self.folder / f"log{len(self.processes)}", self.folder)
        self.processes.append(process)
        return process

    def script(self, name: str, python: str = sys.executable, **replace: str) -> Process:
        """A script of `plain_scripts`, as it is but for the port (and, for some tests, words given as ``old=new``)."""
        text = (SCRIPTS / name).read_text().replace("5000", str(self.port))
        for old, new in replace.items():
            text = text.replace(old, new)
        file = self.folder / f"{len(self.processes)}_{name}"
        file.write_text(text)
        return self.start([python, str(file)])

    def dqlab(self, *args: object) -> Process:
        """The command `dqlab`."""
        return self.start([sys.executable, "-m", "dqlab", *map(str, args)])

    def master(self, *args: object) -> Process:
        """`dqlab master` at our port, with the key of every tutorial; returns when it serves."""
        process = self.dqlab("master", "--port", self.port, "--authkey-file", self.keyfile, *args)
        process.says("dqlab master serving at")
        return process

    def plain_master(self, **replace: str) -> Process:
        """A master that knows nothing of dqlab; returns when it serves."""
        process = self.script("server.py", **replace)
        eventually(self.answers, what="a plain master")
        return process

    def answers(self) -> bool:
        with contextlib.suppress(OSError, EOFError):
            Client(self.address, authkey=KEY).close()
            return True
        return False

    def worker(self, *args: object) -> Process:
        """`dqlab worker` for the master at our port."""
        return self.dqlab("worker", f"127.0.0.1:{self.port}", "--authkey-file", self.keyfile, *args)

    def handler(self, text: str) -> str:
        """Write a module with a function ``handle`` and return its name for ``--handler``."""
        name = f"handlers{len(list(self.folder.glob('handlers*.py')))}"
        (self.folder / f"{name}.py").write_text(text)
        return f"{name}:handle"

    def end(self) -> None:
        for process in self.processes:
            process.kill()


class Hand:
    """One connection of a plain client, as its proxies use it; each call returns ``(kind, value)``."""

    def __init__(self, address: tuple[str, int], authkey: bytes = KEY, accept: bool = True) -> None:
        self.conn = Client(address, authkey=authkey)
        if accept:
            assert self.ask(None, "accept_connection", "hand") == ("#RETURN", None)

    def ask(self, ident: Any, method: Any, *args: Any, **kwds: Any) -> tuple[str, Any]:
        self.conn.send((ident, method, args, kwds))
        return self.answer()

    def answer(self) -> tuple[str, Any]:
        assert self.conn.poll(20), "no answer"
        return self.recv()

    def recv(self) -> tuple[str, Any]:
        """The next message, with the payloads that follow it."""
        kind, *rest = self.conn.recv()
        if kind != FOLLOWED:
            return kind, *rest
        count, message = rest
        return pickle.loads(message, buffers=[self.conn.recv_bytes() for _ in range(count)])

    def close(self) -> None:
        self.conn.close()


@contextlib.contextmanager
def hand(address: tuple[str, int], authkey: bytes = KEY, accept: bool = True) -> Iterator[Hand]:
    """A `Hand` for the length of a block."""
    found = Hand(address, authkey, accept)
    try:
        yield found
    finally:
        found.close()


class OwnHand(Hand):
    """A connection of dqlab's own, by hand: it has proved to be a client or a worker, and goes on as it likes."""

    def __init__(
        self, address: tuple[str, int], role: str = "client", authkey: bytes = KEY, client: int | None = None,
        token: bytes | None = None,
    ) -> None:  # fmt: skip
        self._proof: bytes | None = None
        super().__init__(address, authkey, accept=False)
        greeting = Greeting(authkey, "by hand")
        answer = get(self.ask(None, "accept_connection", *greeting.hello(role, client, token)))
        self._proof = greeting.check_welcome(role, answer, "here")

    def ask(self, ident: Any, method: Any, *args: Any, **kwds: Any) -> tuple[str, Any]:
        """One request; the first one goes together with our proof."""
        proof, self._proof = self._proof, None
        call = (ident, method, args, kwds)
        self.conn.send(call if proof is None else (proof, call))
        return self.answer()


@contextlib.contextmanager
def own_hand(address: tuple[str, int], role: str = "client", **more: Any) -> Iterator[OwnHand]:
    """An `OwnHand` for the length of a block."""
    found = OwnHand(address, role, **more)
    try:
        yield found
    finally:
        found.close()


def get(kind_and_value: tuple[str, Any]) -> Any:
    """The value of an answer that has to be a good one."""
    kind, value = kind_and_value
    assert kind == "#RETURN", value
    return value
