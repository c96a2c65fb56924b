"""`dqlab crawl URL --out DIR`: the crawl from a terminal, on workers of its own or on those of a master elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dqlab.crawl.driver import Crawl
from dqlab.crawl.settings import MAX_PAGES, OUTSTANDING, Settings
from dqlab.crawl.store import Store
from dqlab.crawl.web import Limits
from dqlab.errors import BadInput
from dqlab.wire.connection_file import read_key

if TYPE_CHECKING:
    from dqlab import Client

__all__ = ["add_arguments", "run"]

#: workers when neither -n nor --connection is given: they mostly wait for the site
WORKERS = 4
#: what a shell sees of a program that Ctrl-C ended
INTERRUPTED = 128 + signal.SIGINT
#: seconds that workers get for the task in hand when the crawl is broken off
STOP_SOON = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `dqlab crawl` takes to `parser`."""
    add = parser.add_argument
    add("url", metavar="URL", help="the page to begin with; only pages of its site are read")
    add("--out", metavar="DIR", required=True, type=Path, help="folder for the pictures and their manifest.jsonl")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("-n", dest="workers", metavar="N", type=int, default=WORKERS, help=f"workers (default: {WORKERS})")
    who.add_argument("--connection", metavar="CONNECTION", help="a running master: connection file or HOST:PORT")
    add("--authkey-file", metavar="F", help="file with the key of that master")
    add("--max-pages", metavar="N", type=int, default=MAX_PAGES, help=f"pages to read (default: {MAX_PAGES})")
    add("--delay", metavar="SECONDS", type=float, default=0.0, help="pause between two requests (default: 0)")
    help = f"patience with a silent server (default: {Limits.timeout:g})"
    add("--timeout", metavar="SECONDS", type=float, default=Limits.timeout, help=help)
    help = f"largest picture (default: {Limits.max_bytes})"
    add("--max-bytes", metavar="BYTES", type=int, default=Limits.max_bytes, help=help)


def run(args: argparse.Namespace) -> int:
    """Do it, print the summary, and return the exit code."""
    # nonsense is refused before anything starts
    outstanding = max(OUTSTANDING, 4 * args.workers)
    settings = Settings(args.url, args.max_pages, args.delay, args.timeout, args.max_bytes, outstanding)
    if args.workers < 1:
        raise BadInput(f"-n {args.workers} makes no sense", "take 1 worker or more")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Store(args.out) as store, a_client(args) as client:
            print(Crawl(client, settings, store).run())
    except KeyboardInterrupt:
        print(f"\ndqlab: interrupted; what has arrived lies in {args.out}", file=sys.stderr)
        print("  the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    return 0


@contextlib.contextmanager
def a_client(args: argparse.Namespace) -> Iterator[Client]:
    """Connect to the master named, or start one with workers for the time of the crawl."""
    from dqlab import LocalWorkers, Master, connect  # workers import this package too, for its tasks, and need none

    if args.connection:
        key = read_key(args.authkey_file) if args.authkey_file else None
        with connect(args.connection, authkey=key) as client:
            yield client
        return
    with Master() as master, LocalWorkers(master, args.workers, queues=["pages", "images"]) as workers:
        workers.wait()
        try:
            yield master
        except BaseException:  # nobody waits for what is still being fetched
            workers.stop(timeout=STOP_SOON)
            master.shutdown(wait=False)
            raise
