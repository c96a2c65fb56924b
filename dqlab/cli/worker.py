"""`dqlab worker`: take tasks and return results; started by hand, or owned, with the settings on standard input."""

from __future__ import annotations

import argparse
import sys

from dqlab.cli.connection_arguments import add_key_file, given_connection
from dqlab.errors import BadInput
from dqlab.wire.connection_file import is_address
from dqlab.wire.pills import encode_pills, read_pill
from dqlab.worker.supervisor import run_owned, run_workers

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `dqlab worker` takes."""
    parser.add_argument("connection", metavar="CONNECTION", nargs="?", help="the connection file, or HOST:PORT")
    add_key_file(parser)
    parser.add_argument("-n", type=int, default=1, metavar="N", help="how many workers (default: 1)")
    parser.add_argument("--queues", metavar="Q,...", help="which queues, with commas between (default: all)")
    parser.add_argument("--handler", metavar="module:function", help="the function for plain tasks")
    parser.add_argument("--until-empty", action="store_true", help="end when nothing is left to do in these queues")
    parser.add_argument("--give-up", type=float, metavar="S", help="seconds to look for a lost master (default: 60)")
    parser.add_argument("--task-name", default="get_task_queue", help="the task queue's name at a plain master")
    parser.add_argument("--result-name", default="get_result_queue", help="the result queue's name at a plain master")
    parser.add_argument("--pill", action="append", default=[], type=read_pill, metavar="VALUE", dest="pills",
        help="a value from a plain master that sends the worker home, as None does: a Python literal, else text; "
        "again for more")  # fmt: skip
    parser.add_argument("--owned", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Work until told to end, and return the exit code."""
    if args.owned:
        return run_owned()
    if args.connection is None:
        raise BadInput("which master?", "dqlab worker CONNECTION")
    if args.n < 1:
        raise BadInput(f"-n {args.n}", "at least one worker")
    if args.give_up is not None and not 0 <= args.give_up < float("inf"):
        raise BadInput(f"--give-up {args.give_up:g}", "seconds, from 0")
    if args.handler is not None:
        _try_handler(args.handler)
    from dqlab.launch.launcher import worker_settings  # an owned worker needs none of this
    from dqlab.worker.settings import GIVE_UP

    queues = args.queues.split(",") if args.queues is not None else None
    settings = worker_settings(
        given_connection(args), queues, args.handler, n=args.n, until_empty=args.until_empty,
        give_up=GIVE_UP if args.give_up is None else args.give_up,
        task_name=args.task_name, result_name=args.result_name, by_address=is_address(args.connection),
        pills=encode_pills(args.pills),
    )  # fmt: skip
    return run_workers(settings)


def _try_handler(handler: str) -> None:
    """Load the handler here, to refuse one that can't be loaded in words, before any task is lost."""
    from dqlab.worker.child import load_handler

    sys.path.insert(0, "")
    try:
        load_handler(handler)
    except (Exception, SystemExit) as exc:  # whatever the module does when it is imported
        reason = str(exc) if isinstance(exc, ImportError | AttributeError | ValueError) else repr(exc)
        raise BadInput(f"handler {handler!r}: {reason}", "give it as module:function") from exc
