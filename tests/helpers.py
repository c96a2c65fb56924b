"""What many tests need: waiting for a condition, a free port, and seeing what a test has left behind."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

#: The environment variable by which every process started below a test is known, orphans included.
MARK = "DQLAB_TEST_MARK"

#: What Python itself starts once and keeps until the interpreter ends: processes by command line, files by path.
PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "/pymp-")


def eventually(predicate: Callable[[], T], timeout: float = 10.0, what: str = "", every: float = 0.01) -> T:
    """
    Wait until `predicate()` is true and return its value.

    It is asked again every `every` seconds; AssertionError, naming `what`, once `timeout` seconds have passed.
    """
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or predicate}; last seen: {value!r}")
        time.sleep(every)
    return value


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def nothing_left(mark: str, folder: Path, timeout: float = 5.0) -> Iterator[None]:
    """
    Fail when the block leaves processes carrying `mark`, threads, listening ports, or files in `folder`.

    What is on its way out gets `timeout` seconds; processes that stay are killed, so that no other test meets them.
    """
    threads, ports = set(threading.enumerate()), listening_ports()

    def left() -> dict[str, list]:
        found: dict[str, list] = {
            "processes": command_lines(marked_processes(mark)),
            "threads": [thread.name for thread in threading.enumerate() if thread not in threads],
            "ports": sorted(listening_ports() - ports),
            "files": [str(path) for path in folder.rglob("*") if not path.is_dir() and not pythons_own(str(path))],
        }
        return {kind: names for kind, names in found.items() if names}

    yield
    try:
        eventually(lambda: not left(), timeout)
    except AssertionError:
        found = left()
        kill(marked_processes(mark))
        assert not found, f"left behind: {found}"


def marked_processes(mark: str) -> list[psutil.Process]:
    """Every other live process whose environment carries `mark`, whoever its parent is by now."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _carries(process, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == mark and not pythons_own(" ".join(process.cmdline()))
    return False


def pythons_own(text: str) -> bool:
    """Whether `text` names something that Python itself keeps."""
    return any(name in text for name in PYTHONS_OWN)


def command_lines(processes: list[psutil.Process]) -> list[str]:
    """One line for each of `processes` that still lives: its pid and its command."""
    lines = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            lines.append(f"{process.pid} {' '.join(process.cmdline())}")
    return lines


def kill(processes: list[psutil.Process]) -> None:
    """End `processes` at once."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def listening_ports() -> set[int]:
    """The TCP ports on which this process listens."""
    connections = psutil.Process().net_connections(kind="tcp")
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
