"""What an address stands for: something to start here and to end again, or a service that runs somewhere.

dqlab://master.json          the dqlab master whose connection file that is
dqlab://local?n=4            a master and four workers of our own, on this machine
dask://127.0.0.1:8786        a Dask scheduler (tcp:// and tls:// are Dask's own words for it)
dask://scheduler.json        the Dask scheduler that wrote this file
dask://local?n=4             a Dask scheduler and four workers of our own, on this machine
processes:4                  `concurrent.futures.ProcessPoolExecutor`
threads:16                   `concurrent.futures.ThreadPoolExecutor`
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from dqlab.errors import BadInput

__all__ = ["engine"]

#: what an address looks like, by what it begins with
POOL = re.compile(r"(processes|threads)(?::(\d+))?")
LOCAL = re.compile(r"(dqlab|dask)://local(?:\?n=(\d+))?")
RUNNING = re.compile(r"(dqlab|dask|tcp|tls)://(.+)")
#: what is said of an address that is none
EXAMPLES = "such as dqlab://master.json, dqlab://local?n=4, dask://HOST:8786, dask://local?n=4, processes:4, threads:16"


@contextlib.contextmanager
def engine(address: str) -> Iterator[Executor]:
    """
    Give the `concurrent.futures.Executor` that `address` stands for; the end of the block ends what this has started.

    What was running before goes on. Without a number there is a worker for each core. Raises `BadInput` for an address
    that is none, `NotInstalled` if Dask is missing, and `ConnectionFailed` if nobody answers within ten seconds.
    """
    address = os.fspath(address)
    if match := POOL.fullmatch(address):
        yield from _pool(match[1], _count(match[2], address))
    elif match := LOCAL.fullmatch(address):
        yield from _local(match[1], _count(match[2], address))
    elif match := RUNNING.fullmatch(address):
        yield from _running(match[1], match[2])
    else:
        raise BadInput(f"{address!r} is no address of an engine", EXAMPLES)


def _count(digits: str | None, address: str) -> int:
    """The number of workers that an address asks for."""
    count = os.cpu_count() or 1 if digits is None else int(digits)
    if count < 1:
        raise BadInput(f"{address!r} makes no sense", "take 1 worker or more")
    return count


def _pool(kind: str, count: int) -> Iterator[Executor]:
    executor = ThreadPoolExecutor(count) if kind == "threads" else ProcessPoolExecutor(count)
    try:
        yield executor
    except BaseException:  # nobody wants the rest
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _local(kind: str, count: int) -> Iterator[Executor]:
    if kind == "dask":
        from dqlab.engines.dask_executor import local_dask

        with local_dask(count) as executor:
            yield executor
        return
    from dqlab.launch.local_workers import LocalWorkers
    from dqlab.launch.master import Master

    with Master() as master, LocalWorkers(master, count):
        try:
            yield master
        except BaseException:  # nobody wants the rest
            master.shutdown(wait=False, cancel_futures=True)
            raise


def _running(kind: str, where: str) -> Iterator[Executor]:
    if kind == "dqlab":
        from dqlab.client.client import connect

        with connect(where) as client:
            yield client
        return
    from dqlab.engines.dask_executor import running_dask

    with running_dask(where if kind == "dask" else f"{kind}://{where}") as executor:
        yield executor
