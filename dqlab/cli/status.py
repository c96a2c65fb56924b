"""`dqlab status`: show queues and workers, once or again and again."""

from __future__ import annotations

import argparse
import json
import sys
import threading

from dqlab.cli.connection_arguments import add_key_file, given_connection
from dqlab.cli.status_table import status_table
from dqlab.client.client import connect
from dqlab.process.signals import on_end_signals
from dqlab.wire.address import place

__all__ = ["add_arguments", "run"]

#: seconds between two looks of `--watch`
EVERY = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `dqlab status` takes."""
    parser.add_argument("connection", metavar="CONNECTION", help="the master's connection file, or HOST:PORT")
    add_key_file(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--watch", action="store_true", help="redraw every second until Ctrl-C")


def run(args: argparse.Namespace) -> int:
    """Show it, and return the exit code."""
    connection = given_connection(args)
    stop = threading.Event()
    on_end_signals(stop.set)
    with connect(place(*connection.address), authkey=connection.authkey) as client:
        while True:
            stats = client.stats()
            if args.json:
                print(json.dumps(stats), flush=True)
            else:
                clear = "\x1b[H\x1b[2J" if args.watch and sys.stdout.isatty() else ""
                print(clear + status_table(stats, client.address), flush=True)
            if not args.watch or stop.wait(EVERY):
                return 0
