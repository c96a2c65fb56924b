"""The command: `dqlab master | worker | status | crawl ...`. Errors are one line and a hint; 2 means wrong use."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from typing import NoReturn

from dqlab.errors import BadInput, DqlabError
from dqlab.version import __version__

__all__ = ["main"]

#: each sub-command: the module with its `add_arguments(parser)` and `run(args)`, and what it is for. Imports may be
#: heavy, so a module is loaded only when it is asked for.
COMMANDS = {
    "master": ("dqlab.cli.master", "serve the queues until stopped"),
    "worker": ("dqlab.cli.worker", "take tasks and return results"),
    "status": ("dqlab.cli.status", "show queues and workers"),
    "journal": ("dqlab.cli.journal", "show what a master's journal holds"),
    "crawl": ("dqlab.crawl", "bring every picture of a web site home"),
    "gallery": ("dqlab.crawl.gallery_page", "show what a crawl brought, as one page"),
    "demo": ("dqlab.cli.demo", "show a crawl in a few seconds, with a worker killed on the way"),
    "dashboard": ("dqlab.dashboard", "open the live dashboard in the browser"),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong use: one line, one hint."""
        self.exit(2, f"dqlab: {message}\n  {self.prog} --help explains\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; Ctrl-C is for the caller."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        args = _parser(argv).parse_args(argv)
        return int(args.run(args) or 0)
    except BadInput as exc:
        return _say(exc, 2)
    except DqlabError as exc:
        return _say(exc, 1)
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
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if argv[:1] == [name]:
            found = importlib.import_module(module)
            found.add_arguments(command)
            command.set_defaults(run=found.run)
    return parser
