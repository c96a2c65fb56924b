"""`dqlab master`: serve the queues; started by hand, or owned, with the settings on standard input."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import threading
from dataclasses import fields
from pathlib import Path

from dqlab.master.process import RunningMaster, run_master
from dqlab.master.settings import PATHS, MasterSettings, is_guessable, is_loopback
from dqlab.process.owner import read_settings, say, wake_with_parent, watch_owner
from dqlab.wire.address import place
from dqlab.wire.connection_file import read_key

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An option for each of `MasterSettings`; the key itself never stands on a command line."""
    for known in fields(MasterSettings):
        option, text = f"--{known.name.replace('_', '-')}", known.metadata["help"]
        if known.name == "authkey":
            parser.add_argument("--authkey-file", metavar="F", help="file with the key (default: a random key)")
        elif known.name in PATHS:
            parser.add_argument(option, metavar="F", help=text)
        elif known.metadata["each"]:
            parser.add_argument(
                option.removesuffix("s"), action="append", default=[], dest=known.name, help=text,
                type=known.metadata["each"], metavar=known.metadata["metavar"],
            )  # fmt: skip
        elif known.default is False:
            parser.add_argument(option, action="store_true", help=text)
        else:
            shown = f"{known.default:g}" if isinstance(known.default, float) else known.default
            parser.add_argument(
                option, type=type(known.default), default=known.default, metavar=known.metadata["metavar"],
                help=f"{text} (default: {shown})",
            )  # fmt: skip
    parser.add_argument("--owned", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until told to end, and return the exit code."""
    until = threading.Event()
    if args.owned:
        wake_with_parent()
        settings = MasterSettings.from_json(read_settings())
        watch_owner(until.set)
        run_master(settings, lambda master: say(event="serving", file=str(master.file), pid=os.getpid()), until)
        return 0
    given = {known.name: getattr(args, known.name) for known in fields(MasterSettings) if known.name != "authkey"}
    given |= {name: Path(given[name]).absolute() for name in PATHS if given[name]}
    key = read_key(args.authkey_file) if args.authkey_file else None
    run_master(MasterSettings(authkey=key, **given), lambda master: _announce(master, args.authkey_file), until)
    return 0


def _announce(master: RunningMaster, key_file: str | None) -> None:
    host, port = master.connection.address
    print(f"dqlab master serving at {place(host, port)}", flush=True)
    print(f"  connection file {master.file}", file=sys.stderr)
    if is_loopback(host):
        print(f"  workers: dqlab worker {master.file}", file=sys.stderr)
        return
    weak = " and the key can be guessed" if is_guessable(master.connection.authkey) else ""
    file = Path(key_file or master.file)
    print(f"  warning: tasks and results cross the network unencrypted{weak}; SSHWorkers has a tunnel", file=sys.stderr)
    print(f"  on the other machine, with a copy of {file} that only you can read:", file=sys.stderr)
    print(f"    dqlab worker {place(_as_others_know(host), port)} --authkey-file {file.name}", file=sys.stderr)


def _as_others_know(host: str) -> str:
    """The address behind "every interface": of the one that leads out, else this machine's name."""
    outside = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}.get(host)
    if outside is None:
        return host
    with socket.socket(outside[0], socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((outside[1], 9))  # sends nothing, but chooses the interface
        return str(probe.getsockname()[0])
    return socket.gethostname()
