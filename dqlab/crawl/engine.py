"""Where a crawl from the command line runs: in threads, on workers of its own or of a master elsewhere, or on Dask."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from typing import TYPE_CHECKING

from dqlab.crawl.relay import Relay
from dqlab.crawl.threads import Threads
from dqlab.errors import BadInput, DqlabError, LaunchFailed
from dqlab.process.current import current
from dqlab.wire.connection_file import read_key

if TYPE_CHECKING:
    from dqlab.launch.local_workers import LocalWorkers
    from dqlab.launch.master import Master

__all__ = ["add_engine", "check_engine", "executor"]

#: workers of a Dask of its own if nobody says how many: each has many requests under way
WORKERS = min(4, max(2, os.cpu_count() or 1))
#: seconds that workers get for the task in hand when the crawl is broken off
STOP_SOON = 1.0
#: seconds after which somebody who waits for Dask's first worker is told so
HINT_AFTER = 2.0


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the crawl runs to `parser`."""
    help = "workers of its own, each a process; threads of this one begin, and without -n do all, as they cost less"
    parser.add_argument("-n", dest="workers", metavar="N", type=int, help=help)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--connection", metavar="CONNECTION", help="a running master: connection file or HOST:PORT")
    help = "a Dask scheduler: tcp://HOST:PORT or the file that it wrote; local: one of its own, with N workers"
    where.add_argument("--dask", metavar="ADDRESS", help=help)
    parser.add_argument("--authkey-file", metavar="F", help="file with the key of that master")


def check_engine(args: argparse.Namespace) -> None:
    """Refuse what makes no sense, before anything starts."""
    if args.workers is None:
        return
    if args.workers < 1:
        raise BadInput(f"-n {args.workers} makes no sense", "take 1 worker or more")
    running = args.connection or (args.dask if args.dask != "local" else None)
    if running:
        raise BadInput(f"-n {args.workers} is not allowed with {running}", "the workers are those that are there")


@contextlib.contextmanager
def executor(args: argparse.Namespace) -> Iterator[Executor]:
    """Connect to what is named, or start a master with workers for the time of the crawl; else there are threads."""
    if args.dask:
        from dqlab.engines import engine

        with engine(dask_address(args.dask, args.workers)) as dask:
            check_workers(dask)
            yield dask
        return
    if args.connection:
        from dqlab.client.client import connect

        key = read_key(args.authkey_file) if args.authkey_file else None
        with connect(args.connection, authkey=key) as client:
            yield client
        return
    if args.workers is None:
        yield Threads()
        return
    with Relay(own_workers(args.workers), args.workers) as relay:
        yield relay


@contextlib.contextmanager
def own_workers(count: int) -> Iterator[tuple[Master, LocalWorkers]]:
    """Start a master and `count` workers, and end them at once: nobody waits for what they still do by then."""
    from dqlab.launch.local_workers import LocalWorkers
    from dqlab.launch.master import Master

    patience = STOP_SOON
    with Master() as master, LocalWorkers(master, count, queues=["pages", "images"]) as workers:
        try:
            yield master, workers
            patience = 0.0  # no page or picture is under way any more
        finally:
            workers.stop(timeout=patience)
            master.shutdown(wait=False, cancel_futures=True)


def dask_address(where: str, workers: int | None) -> str:
    """The address of an engine for what `--dask` names."""
    if where == "local":
        return f"dask://local?n={workers or WORKERS}"
    return where if "://" in where else f"dask://{where}"


def check_workers(dask: Executor) -> None:
    """Wait until one of Dask's workers has run a function of ours; raises `LaunchFailed` if they don't have dqlab."""
    probe = dask.submit(current)
    while True:
        try:
            probe.result(timeout=HINT_AFTER)
            return
        except TimeoutError:
            dask.hint_if_stuck()  # type: ignore[attr-defined]
        except BrokenExecutor as error:
            raise DqlabError(str(error), "start it again; the same command goes on") from error
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise LaunchFailed(f"Dask's workers can't run dqlab: {why}", "install it there, in our version") from error
