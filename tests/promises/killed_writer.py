"""A master with a journal that kills itself before the Nth time anything is written: `FILE N`, as a process of its own.

SQLite lets its system calls be replaced, for tests like this one; what Python itself writes, renames and removes, audit
hooks hear of. A client in the same process says on standard output, a line each, what it was told. It ends with the
count of all that was written if N is larger than that.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import itertools
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dqlab import connect
from dqlab.client.client import Client
from dqlab.master.process import RunningMaster
from dqlab.master.settings import MasterSettings
from dqlab.wire.greeting import WORKER
from dqlab.wire.messages import Lease, Report
from dqlab.wire.request import open_broker, request

#: what SQLite writes with, as far as this system has it: the result, and the arguments
WRITES: dict[bytes, tuple[Any, ...]] = {
    b"write": (ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t),
    b"pwrite": (ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long),
    b"pwrite64": (ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64),
    b"ftruncate": (ctypes.c_int, ctypes.c_int, ctypes.c_int64),
    b"unlink": (ctypes.c_int, ctypes.c_char_p),
}
#: what Python says of its own ("open" also of files that are read)
AUDITED = {"os.rename", "os.remove", "os.chmod", "tempfile.mkstemp", "os.truncate"}


class Vfs(ctypes.Structure):
    """`sqlite3_vfs`, as SQLite documents it."""

    _fields_ = (
        ("version", ctypes.c_int), ("size", ctypes.c_int), ("longest", ctypes.c_int), ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("methods", ctypes.c_void_p * 13),
        ("set", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
        ("get", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)),
    )  # fmt: skip


class Count:
    """Counts what is written, and ends this process before number `last`."""

    def __init__(self, last: int) -> None:
        self.last, self.number = last, itertools.count(1)
        self._kept: list[Any] = []
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
        find.restype = ctypes.POINTER(Vfs)
        vfs = find(None).contents
        for name, types in WRITES.items():
            kind = ctypes.CFUNCTYPE(*types, use_errno=True)
            if address := vfs.get(ctypes.addressof(vfs), name):
                counted = kind(self._counted(kind(address)))
                vfs.set(ctypes.addressof(vfs), name, ctypes.cast(counted, ctypes.c_void_p))
                self._kept.append(counted)
        assert len(self._kept) >= 4, "SQLite writes in another way here"
        sys.addaudithook(lambda event, args: self.one() if event in AUDITED else None)

    def _counted(self, call: Callable[..., int]) -> Callable[..., int]:
        def counted(*args: Any) -> int:
            self.one()
            return call(*args)

        return counted

    def one(self) -> None:
        """Something is about to be written."""
        if next(self.number) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def say(kind: str, what: Any) -> None:
    """Say what the client was told."""
    os.write(1, json.dumps([kind, what]).encode() + b"\n")


def one_life(client: Client, life: int) -> Iterator[tuple[str, Any]]:
    """What a client does, and is told, in one life of the master."""
    futures = [client.submit(abs, -n) for n in range(3)]
    client.flush()
    yield "accepted", [future.task_id for future in futures]
    if futures[2].cancel():
        yield "cancelled", futures[2].task_id
    worker = open_broker(client.connection.address, client.connection.authkey, WORKER)
    request(worker, "join", "here", os.getpid(), None, False)
    leases, _ = request(worker, "exchange", [], 5.0)
    lease = Lease.decode(leases[0])
    done = Report(kind="done", token=lease.token, lo=lease.lo, hi=lease.lo + 1, value=pickle.dumps(7)).encode()
    request(worker, "exchange", [done], 0.0)
    if client.result(lease.first + lease.lo, 10) == 7:
        yield "done", lease.first + lease.lo
    worker.close()
    client.pause("images" if life else "sounds")
    yield "paused", "images" if life else "sounds"
    for name in (f"{life} a", f"{life} b"):
        client.tasks.put(name)
        yield "put", name
    for _ in range(2):
        yield "got", (name := client.tasks.get(timeout=10))
        client.results.put(name)
        yield "answered", name
    yield "taken", client.results.get(timeout=10)


def main(file: Path, last: int) -> None:
    """Two lives of a master, and a client in each."""
    count = Count(last)
    for life in range(2):
        master = RunningMaster(MasterSettings(journal=file))
        with connect(master.file) as client:
            for kind, what in one_life(client, life):
                say(kind, what)
        master.close()
    say("writes", next(count.number) - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
