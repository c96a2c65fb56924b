"""Where a crawl from the command line runs: on workers of its own, or on those of a master elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Executor

from dqlab.errors import BadInput, LaunchFailed
from dqlab.wire.connection_file import read_key

__all__ = ["add_engine", "check_engine", "executor"]

#: workers when neither -n nor --connection is given: each has many requests under way, so more than cores bring nothing
WORKERS = min(4, max(2, os.cpu_count() or 1))
#: seconds that workers get for the task in hand when the crawl is broken off
STOP_SOON = 1.0


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the crawl runs to `parser`."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument("-n", dest="workers", metavar="N", type=int, help=f"workers of its own (here: {WORKERS})")
    who.add_argument("--connection", metavar="CONNECTION", help="a running master: connection file or HOST:PORT")
    parser.add_argument("--authkey-file", metavar="F", help="file with the key of that master")


def check_engine(args: argparse.Namespace) -> None:
    """Refuse what makes no sense, before anything starts."""
    if args.workers is not None and args.workers < 1:
        raise BadInput(f"-n {args.workers} makes no sense", "take 1 worker or more")


@contextlib.contextmanager
def executor(args: argparse.Namespace) -> Iterator[Executor]:
    """Connect to the master named, or start one with workers for the time of the crawl."""
    from dqlab import LocalWorkers, Master, connect

    if args.connection:
        key = read_key(args.authkey_file) if args.authkey_file else None
        with connect(args.connection, authkey=key) as client:
            yield client
        return
    with Master() as master, LocalWorkers(master, args.workers or WORKERS, queues=["pages", "images"]) as workers:
        joined(workers)
        try:
            yield master
        except BaseException:  # nobody waits for what is still being fetched
            workers.stop(timeout=STOP_SOON)
            master.shutdown(wait=False)
            raise


def joined(workers: object) -> None:
    """Wait until the workers have joined; one that died while it started is no loss as long as others live."""
    try:
        workers.wait()  # type: ignore[attr-defined]
    except LaunchFailed:
        if not len(workers):  # type: ignore[arg-type]
            raise
