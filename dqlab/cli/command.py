"""The command: ``dqlab master | worker | status | crawl ...``. Errors are one line and a hint; 2 means wrong use."""

from __future__ import annotations

import argparse
import base64
import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from dqlab import __version__
from dqlab.errors import BadInput, DqlabError
from dqlab.wire.address import place
from dqlab.wire.connection_file import find_connection, read_key

__all__ = ["main"]

#: sub-commands that live in modules of their own, with `add_arguments(parser)` and `run(args)`
ELSEWHERE = {
    "crawl": ("dqlab.crawl", "bring every picture of a web site home"),
    "gallery": ("dqlab.crawl.gallery_page", "show what a crawl brought, as one page"),
    "dashboard": ("dqlab.dashboard", "open the live dashboard in the browser"),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong use: one line, one hint."""
        self.exit(2, f"dqlab: {message}\n  {self.prog} --help explains\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        args = _parser(argv).parse_args(argv)
        return int(args.run(args) or 0)
    except BadInput as exc:
        return _say(exc, 2)
    except DqlabError as exc:
        return _say(exc, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as exc:  # standard output takes no more
        _drop_output()
        return _say(DqlabError(f"{exc.strerror or exc}"), 1)


def _drop_output() -> None:
    """What is still in the buffer of standard output must not fail again at the end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(exc: DqlabError, code: int) -> int:
    print(f"dqlab: {exc.message}", file=sys.stderr)
    if exc.hint:
        print(f"  {exc.hint}", file=sys.stderr)
    return code


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="dqlab", description="Distributed task queues: a master serves them, workers empty them.")
    parser.add_argument("--version", action="version", version=f"dqlab {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_master(commands.add_parser("master", help="serve the queues", description="Serve the queues until stopped."))
    _add_worker(commands.add_parser("worker", help="work on tasks", description="Take tasks and return results."))
    _add_status(commands.add_parser("status", help="show what is going on", description="Show queues and workers."))
    for name, (module, text) in ELSEWHERE.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if argv[:1] == [name]:  # its imports are heavy, so only when it is asked for
            found = importlib.import_module(module)
            found.add_arguments(command)
            command.set_defaults(run=found.run)
    return parser


def _add_connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("connection", metavar="CONNECTION", help="the master's connection file, or HOST:PORT")
    _add_key(parser)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--authkey-file", metavar="F", help="file with the key, or a connection file (with HOST:PORT)")


def _connection(args: argparse.Namespace) -> Any:
    return find_connection(args.connection, read_key(args.authkey_file) if args.authkey_file else None)


# -- master ---------------------------------------------------------------------------------------------------------


def _add_master(parser: argparse.ArgumentParser) -> None:
    from dqlab.master.process import MasterSettings

    known = MasterSettings()
    parser.add_argument("--host", default=known.host, help="address to serve at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=known.port, help="port to serve at (default: 0, any free one)")
    parser.add_argument("--authkey-file", metavar="F", help="file with the key (default: a random key)")
    parser.add_argument("--connection-file", metavar="F", help="where to write the connection file")
    parser.add_argument("--lease", type=float, default=known.lease, metavar="S", help="seconds (default: %(default)g)")
    parser.add_argument(
        "--max-attempts", type=int, default=known.max_attempts, metavar="N",
        help="deliveries after which a task is failed (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--backlog", type=int, default=known.backlog, metavar="N",
        help="tasks that may wait in one queue (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--insecure", action="store_true", help="allow a guessable key on an address others reach")
    parser.add_argument("--owned", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_master)


def _master(args: argparse.Namespace) -> int:
    from dqlab.master.process import MasterSettings, run_master
    from dqlab.process.owner import read_settings, say, watch_owner

    until = threading.Event()
    if args.owned:
        given = read_settings()
        key, file = given.pop("authkey"), given.pop("connection_file")
        settings = MasterSettings(
            authkey=base64.b64decode(key) if key else None, connection_file=Path(file) if file else None, **given
        )
        watch_owner(until.set)
        run_master(settings, lambda master: say(event="serving", file=str(master.file), pid=os.getpid()), until)
        return 0
    settings = MasterSettings(
        host=args.host,
        port=args.port,
        authkey=read_key(args.authkey_file) if args.authkey_file else None,
        connection_file=Path(args.connection_file).absolute() if args.connection_file else None,
        lease=args.lease,
        max_attempts=args.max_attempts,
        backlog=args.backlog,
        insecure=args.insecure,
    )
    run_master(settings, lambda master: _announce(master, settings, args.authkey_file), until)
    return 0


def _announce(master: Any, settings: Any, key_file: str | None) -> None:
    from dqlab.master.process import is_guessable, is_loopback

    host, port = master.connection.address
    print(f"dqlab master serving at {place(host, port)}", flush=True)
    print(f"  connection file {master.file}", file=sys.stderr)
    if is_loopback(settings.host):
        print(f"  workers: dqlab worker {master.file}", file=sys.stderr)
        return
    weak = " and the key can be guessed" if is_guessable(master.connection.authkey) else ""
    file = Path(key_file or master.file)
    print(f"  warning: tasks and results cross the network unencrypted{weak}; SSHWorkers has a tunnel", file=sys.stderr)
    print(f"  on the other machine, with a copy of {file} that only you can read:", file=sys.stderr)
    print(f"    dqlab worker {place(_as_others_know(host), port)} --authkey-file {file.name}", file=sys.stderr)


def _as_others_know(host: str) -> str:
    """The address behind "every interface": of the one that leads out, else this machine's name."""
    import socket

    outside = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}.get(host)
    if outside is None:
        return host
    with socket.socket(outside[0], socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((outside[1], 9))  # sends nothing, but chooses the interface
        return str(probe.getsockname()[0])
    return socket.gethostname()


# -- worker ---------------------------------------------------------------------------------------------------------


def _add_worker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("connection", metavar="CONNECTION", nargs="?", help="the connection file, or HOST:PORT")
    _add_key(parser)
    parser.add_argument("-n", type=int, default=1, metavar="N", help="how many workers (default: 1)")
    parser.add_argument("--queues", metavar="Q,...", help="which queues, with commas between (default: all)")
    parser.add_argument("--handler", metavar="module:function", help="the function for plain tasks")
    parser.add_argument("--until-empty", action="store_true", help="end when nothing is left to do in these queues")
    parser.add_argument("--give-up", type=float, metavar="S", help="seconds to look for a lost master (default: 60)")
    parser.add_argument("--task-name", default="get_task_queue", help="the task queue's name at a plain master")
    parser.add_argument("--result-name", default="get_result_queue", help="the result queue's name at a plain master")
    parser.add_argument("--owned", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=_worker)


def _worker(args: argparse.Namespace) -> int:
    from dqlab.worker.supervisor import run_owned, run_workers

    if args.owned:
        return run_owned()
    if args.connection is None:
        raise BadInput("which master?", "dqlab worker CONNECTION")
    if args.n < 1:
        raise BadInput(f"-n {args.n}", "at least one worker")
    from dqlab.launch.launcher import worker_settings
    from dqlab.worker.worker import GIVE_UP

    if args.give_up is not None and not 0 <= args.give_up < float("inf"):
        raise BadInput(f"--give-up {args.give_up:g}", "seconds, from 0")
    queues = args.queues.split(",") if args.queues is not None else None
    if args.handler is not None:
        from dqlab.worker.child import load_handler

        sys.path.insert(0, "")
        try:
            load_handler(args.handler)
        except (Exception, SystemExit) as exc:  # whatever the module does when it is imported
            reason = str(exc) if isinstance(exc, ImportError | AttributeError | ValueError) else repr(exc)
            raise BadInput(f"handler {args.handler!r}: {reason}", "give it as module:function") from exc
    connection = _connection(args)
    settings = worker_settings(
        connection, queues, args.handler, n=args.n, until_empty=args.until_empty,
        give_up=GIVE_UP if args.give_up is None else args.give_up,
        task_name=args.task_name, result_name=args.result_name,
    )  # fmt: skip
    return run_workers(settings)


# -- status ---------------------------------------------------------------------------------------------------------


def _add_status(parser: argparse.ArgumentParser) -> None:
    _add_connection(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--watch", action="store_true", help="redraw every second until Ctrl-C")
    parser.set_defaults(run=_status)


def _status(args: argparse.Namespace) -> int:
    from dqlab.cli.status_table import status_table
    from dqlab.client.client import connect

    connection = _connection(args)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with connect(place(*connection.address), authkey=connection.authkey) as client:
        while True:
            stats = client.stats()
            if args.json:
                print(json.dumps(stats), flush=True)
            else:
                clear = "\x1b[H\x1b[2J" if args.watch and sys.stdout.isatty() else ""
                print(clear + status_table(stats, client.address), flush=True)
            if not args.watch or stop.wait(1.0):
                return 0
