"""How a command is told which master it is for: the connection file, or HOST:PORT together with a key."""

from __future__ import annotations

import argparse

from dqlab.wire.connection_file import Connection, find_connection, read_key

__all__ = ["add_key_file", "given_connection"]


def add_key_file(parser: argparse.ArgumentParser) -> None:
    """The option for who has HOST:PORT and not the connection file."""
    parser.add_argument("--authkey-file", metavar="F", help="file with the key, or a connection file (with HOST:PORT)")


def given_connection(args: argparse.Namespace) -> Connection:
    """The connection that the arguments stand for; `BadInput` if they stand for none."""
    return find_connection(args.connection, read_key(args.authkey_file) if args.authkey_file else None)
