"""Scripts that run two ways, with a pool of processes and with a master, and are to say the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from dqlab import LocalWorkers, Master
from tests.cluster import run


def both(path: Path) -> tuple[list[str], list[str], str]:
    """What a script says with a pool of processes and here, as lines; and what trouble it had here."""
    there, here = (run(path, engine, "an argument", timeout=120) for engine in ("pool", "dqlab"))
    return there.stdout.splitlines(), here.stdout.splitlines(), here.stderr


# -- for the scripts -------------------------------------------------------------------------------------------------


@contextmanager
def executor(start: str = "spawn") -> Iterator[Executor]:
    """What `both` has asked the script for: a pool of one process, which is begun by `start`, or one worker."""
    if sys.argv[1] == "pool":
        with ProcessPoolExecutor(1, get_context(start)) as pool:
            yield pool
    else:
        with Master() as master:
            LocalWorkers(master, 1)
            yield master


def say(executor: Executor, calls: Iterable[tuple[Callable[..., Any], Any]]) -> None:
    """Submit each call twice, and print what it gives."""
    for function, *args in calls:
        try:
            print(function.__name__, [executor.submit(function, *args).result(30) for _ in range(2)])
        except Exception as exc:
            print(function.__name__, repr(exc))
