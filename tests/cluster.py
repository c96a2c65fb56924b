"""What tests of delivery and of the client share: a master with workers, its events, and scripts run as users do."""

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from dqlab import Client, LocalWorkers, Master
from tests.helpers import eventually

ROOT = Path(__file__).parent.parent


@contextlib.contextmanager
def cluster(workers: int = 2, queues: Any = None, **settings: Any) -> Iterator[tuple[Master, LocalWorkers]]:
    """A master and ``workers`` joined workers, both ended with the block."""
    with Master(**settings) as master:
        yield master, LocalWorkers(master, workers, queues=queues).wait(timeout=30)


def all_events(client: Client, kind: str | None = None, since: int = 0) -> list[dict[str, Any]]:
    """Every event that the master remembers (of one kind) after number `since`, one per task."""
    found: list[dict[str, Any]] = []
    while batch := client.events(since=since):
        found += [event for event in batch if kind in (None, event["kind"])]
        since = batch[-1]["seq"]
    return found


def times_done(client: Client) -> Counter[int]:
    """How often the master took each task for done."""
    return Counter(event["task"] for event in all_events(client, "done"))


def wait_for(gate: str) -> str:
    """A task that lasts until there is a file of that name."""
    while not Path(gate).exists():
        time.sleep(0.01)
    return "it is there"


def child_of(pid: int) -> psutil.Process:
    """The process in which the worker ``pid`` runs its tasks."""
    return eventually(lambda: psutil.Process(pid).children(), what=f"child of worker {pid}")[0]


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def environment() -> dict[str, str]:
    """Our environment, in which scripts find this dqlab."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def start(*command: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start a Python process, its output in pipes."""
    options.setdefault("env", environment())
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *command], stdout=pipe, stderr=pipe, text=True, **options)


def run(*command: str | Path, timeout: float = 60.0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a Python process to its end."""
    options.setdefault("env", environment())
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=timeout, **options)


def script(folder: Path, text: str, name: str = "script.py") -> Path:
    """A Python file in ``folder``."""
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path
