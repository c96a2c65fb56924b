"""A Dask scheduler and its workers as processes of their own, as they run on a cluster."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import environment
from tests.helpers import eventually, free_port


def dask(folder: Path, *words: str | int | Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start a `dask` command, whose files lie in `folder`; what it logs is nobody's."""
    command = [sys.executable, "-m", "dask", *map(str, words)]
    variables |= {"DASK_TEMPORARY_DIRECTORY": str(folder)}
    nobody = subprocess.DEVNULL
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        command, cwd=folder, env=environment() | variables, stdin=nobody, stdout=nobody, stderr=nobody
    )


@contextlib.contextmanager
def scheduler(folder: Path, port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler's address, and its process; it has written `scheduler.json` into `folder`."""
    port, file = port or free_port(), folder / "scheduler.json"
    process = dask(
        folder, "scheduler", "--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0", "--no-show",
        "--scheduler-file", file,
    )  # fmt: skip
    try:
        eventually(lambda: listens(port) and file.exists(), 30, "the scheduler")
        yield f"tcp://127.0.0.1:{port}", process
    finally:
        end(process)


@contextlib.contextmanager
def worker(address: str, folder: Path, count: int = 2, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """`count` workers of a thread each, with a nanny each; their files lie in `folder`."""
    words = ["worker", address, "--host", "127.0.0.1", "--nworkers", count, "--nthreads", 1, "--no-dashboard"]
    process = dask(folder, *words, **variables)
    try:
        yield process
    finally:
        end(process)


def listens(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, at last by force."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
