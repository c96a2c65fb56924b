"""Lesson 09: a function that reads a plain master's requests, in such a master, attacked with ten messages."""

from __future__ import annotations

import multiprocessing.managers
import os
import pickle
import pickletools
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import connection
from pathlib import Path
from typing import Any, cast

from dqlab.errors import DqlabError
from dqlab.lessons.check.answer import Answer, spoken
from dqlab.lessons.check.verdict import NotYet, a_function, checker
from dqlab.lessons.guard import guard
from dqlab.wire.connection import PlainConnection, dial

__all__ = ["careful_load"]

#: the key of the plain scripts
KEY = b"abc"
#: seconds within which the master serves, answers a message, and ends
START, PATIENCE, LIFE = 20.0, 4.0, 90.0
#: seconds from the end of its connections to that of a process that ends
ENDING = 0.5
#: bytes of memory that its process may have in all, and more than reading one short message may take
LIMIT, MUCH = 2 << 30, 64 << 20
#: steps of a message that a verdict shows
STEPS = 7
#: the values of honest requests
HONEST = ("url_1", 7, -2.5, None, True, ["url_2", [3]], {"url": 4, "tags": ("a", "b")}, b"bytes", "x" * 300, 2**40)
#: what an attack's message calls, and with what: the checker sees the folder
CALL = "makedirs"


@checker
def careful_load(answer: Callable[[bytes], Any]) -> str:
    """Let a plain master read with `answer(data)`; talk to it honestly, and send it the ten messages."""
    a_function(answer)
    with tempfile.TemporaryDirectory(prefix="dqlab-check-") as folder:
        guard.note("/", folder)
        try:
            with Answer(_serve, answer, folder, seconds=LIFE, learner=answer, name="your master") as master:
                port = _port(master, Path(folder))
                _honest(master, port, "before any attack")
                messages = attacks(folder)
                for number, (what, message) in enumerate(messages, 1):
                    _attack(master, port, Path(folder), f"attack {number} of {len(messages)}, {what}", message)
        finally:
            guard.note("-", folder)
    return f"{len(messages)} attacks: nothing ran, little was set aside, and honest scripts were served after each."


def attacks(folder: str) -> list[tuple[str, bytes]]:
    """The messages: what each is, and its bytes. Whoever runs one makes a folder in `folder`."""
    made = os.path.join(folder, "ran")
    own = os.mkdir.__module__  # where `os` has its functions from
    text = f"V{made}\n".encode()
    return [
        ("a call of os.makedirs", _calls("os", CALL, made)),
        ("the same as the oldest pickles say it", b"cos\nmakedirs\n(" + text + b"tR."),
        (f"os under its other name, {own}", _calls(own, "mkdir", made)),
        ("a line of Python for builtins.exec", _calls("builtins", "exec", f"import os; os.mkdir({made!r})")),
        ("os by way of a harmless module, uuid", _calls("uuid", "os.mkdir", made)),
        ("a call that is no REDUCE but an INST", b"(" + text + b"ios\nmakedirs\n."),
        ("another that is an OBJ", b"(cos\nmakedirs\n" + text + b"o."),
        ("a pickle in a pickle, for _pickle.loads", _calls("_pickle", "loads", _calls("os", CALL, made))),
        ("ten bytes", b"\x80\x02K\x01r" + (2**24).to_bytes(4, "little") + b"."),
        ("a tuple of itself, twice, forty times over", b"\x80\x02}K\x01" + b"2\x86" * 40 + b"K\x01s."),
    ]


def _calls(module: str, name: str, argument: str | bytes) -> bytes:
    """A pickle that calls `module.name(argument)`."""
    return b"\x80\x04" + b"".join(map(_said, (module, name))) + b"\x93" + _said(argument) + b"\x85R."


def _said(value: str | bytes) -> bytes:
    """The steps of a pickle that put a text, or bytes, on its stack."""
    data = value.encode() if isinstance(value, str) else value
    return (b"X" if isinstance(value, str) else b"B") + len(data).to_bytes(4, "little") + data


def _steps(message: bytes) -> str:
    """The first steps of a pickle, a line each."""
    steps = list(pickletools.genops(message))
    lines = [f"{step.name} {'' if argument is None else repr(argument)}".rstrip() for step, argument, _ in steps]
    return "\n".join([*lines[:STEPS], *(["..."] if len(lines) > STEPS else [])])


# -- in the answer's process -------------------------------------------------------------------------------------------


def _serve(load: Callable[[bytes], Any], folder: str) -> None:
    """Serve a plain manager that reads with `load`; say at which port, and what reading has cost."""
    import queue
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    tasks: queue.Queue[Any] = queue.Queue()

    class Careful(connection.Connection):
        def recv(self) -> Any:
            before = _most_memory()
            try:
                return load(bytes(self.recv_bytes()))
            finally:
                if _most_memory() - before > MUCH:
                    Path(folder, "much").touch()

    class Listener(connection.Listener):
        def accept(self) -> Any:
            with super().accept() as accepted:
                return Careful(os.dup(accepted.fileno()))

    class QueueManager(multiprocessing.managers.BaseManager):
        pass

    multiprocessing.managers.listener_client["careful"] = (Listener, connection.Client)  # type: ignore[attr-defined]
    QueueManager.register("get_task_queue", callable=lambda: tasks)
    server = QueueManager(address=("127.0.0.1", 0), authkey=KEY, serializer="careful").get_server()
    new = Path(folder, "port.new")
    new.write_text(str(cast(tuple[str, int], server.address)[1]))
    new.replace(Path(folder, "port"))
    server.serve_forever()


def _most_memory() -> int:
    """The most bytes that this process has had at a time."""
    import resource

    try:  # what Linux says of a process's resources is never less than whoever has started it had
        status = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# -- here --------------------------------------------------------------------------------------------------------------


def _port(master: Answer, folder: Path) -> int:
    deadline = time.monotonic() + START
    while not (folder / "port").exists():
        if not master.running:
            master.result()
        if time.monotonic() > deadline:
            raise NotYet(f"your master didn't come up within {START:g} s.", master.details())
        time.sleep(0.01)
    return int((folder / "port").read_text())


def _attack(master: Answer, port: int, folder: Path, what: str, message: bytes) -> None:
    """Send one message; nothing may come of it, and honest scripts are served as before."""
    reply = _send(port, message)
    if (folder / "ran").exists():
        raise NotYet(
            f"{what}: it ran, in your master. Which names does an honest request need? A list of forbidden ones is "
            "always one too short. The message, as pickletools.dis shows it:",
            _steps(message),
        )
    if (folder / "much").exists() or "MemoryError" in reply:
        raise NotYet(
            f"{what}: your master set aside {MUCH >> 20} MiB or more for it. find_class was never asked, as nothing is "
            "named. Look at the opcodes (pickletools.genops) before you build anything. The message:",
            _steps(message),
        )
    if reply == "nothing" and master.running:
        raise NotYet(
            f"{what}: after {PATIENCE:g} s your master still reads it, and serves nobody else. What has a message to "
            "say that builds plain values, and what hasn't it? The message:",
            _steps(message),
        )
    _honest(master, port, f"after {what}")


def _send(port: int, message: bytes) -> str:
    """What a master answers to a message, as text; "nothing" if it says nothing in time."""
    try:
        with dial(("127.0.0.1", port), KEY, PATIENCE) as wire:
            wire.send_bytes(message)
            return bytes(wire.recv_bytes()).decode("utf8", "replace") if wire.poll(PATIENCE) else "nothing"
    except (EOFError, OSError):
        return "hung up"
    except DqlabError:
        return "nothing"


def _honest(master: Answer, port: int, when: str) -> None:
    """Put each honest value on the queue, and get it back, as a script does."""
    asked = "a connection"
    try:
        with dial(("127.0.0.1", port), KEY, PATIENCE) as wire:
            ident = _asked(wire, (None, "create", ("get_task_queue",), {}))[0]
        with dial(("127.0.0.1", port), KEY, PATIENCE) as wire:
            _asked(wire, (None, "accept_connection", ("MainProcess",), {}))
            for value in HONEST:
                asked = f"put({value!r:.40})"
                _asked(wire, (ident, "put", (value,), {}))
                got = _asked(wire, (ident, "get", (), {"timeout": 1}))
                if got != value or type(got) is not type(value):
                    raise NotYet(f"{when}, a script put {value!r:.60} and got {got!r:.60}.", master.details())
    except (EOFError, OSError, DqlabError, pickle.UnpicklingError, LookupError) as error:
        if master.wait(ENDING):
            raise NotYet(f"{when}, your master ended ({spoken(master.exit_code)}).", master.details()) from None
        heard = str(error) or "nothing"
        raise NotYet(f"{when}, an honest script asked for {asked} and heard: {heard}", master.details()) from None


def _asked(wire: PlainConnection, request: tuple[Any, ...]) -> Any:
    """The value that a master returns to a request; `LookupError` with its last line if it refuses."""
    wire.send(request)
    if not wire.poll(PATIENCE):
        raise EOFError
    kind, value = wire.recv()
    if kind != "#RETURN":
        raise LookupError(str(value).strip().splitlines()[-1])
    return value
