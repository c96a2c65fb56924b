"""`dqlab crawl URL --out DIR`: the crawl from a terminal, on workers of its own or on those of a master elsewhere."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from dqlab.crawl.driver import Crawl
from dqlab.crawl.engine import check_engine, executor
from dqlab.crawl.manifest import write_csv
from dqlab.crawl.options import add_fetching, resolve_auth
from dqlab.crawl.settings import MAX_PAGES, REFRESH, Settings
from dqlab.crawl.store import Store, writing

__all__ = ["add_arguments", "run"]

#: what a shell sees of a program that Ctrl-C ended
INTERRUPTED = 128 + signal.SIGINT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `dqlab crawl` takes to `parser`."""
    add = parser.add_argument
    add("url", metavar="URL", nargs="?", help="the page to begin with; only pages of its site are read")
    add("--from", dest="from_file", metavar="FILE", help="a list of pictures or pages instead (-: standard input)")
    add("--out", metavar="DIR", required=True, type=Path, help="folder for the pictures and their manifest.jsonl")
    add_finding(parser.add_argument_group("what is taken"))
    add_fetching(parser)
    add = parser.add_argument_group("what is said").add_argument
    add("--quiet", action="store_true", help="say nothing unless it goes wrong")
    add("--json", action="store_true", help="print the summary as one JSON object")
    add("--csv", action="store_true", help="write the manifest as manifest.csv too")


def add_finding(group: argparse._ArgumentGroup) -> None:
    """Add what says which pictures a crawl is about."""
    add = group.add_argument
    add("--column", metavar="NAME", help="of a CSV, TSV or JSON lines list: where the addresses are (default: url)")
    add("--max-pages", metavar="N", type=int, default=MAX_PAGES, help=f"pages to read (default: {MAX_PAGES})")
    add("--depth", metavar="N", type=int, help="links to follow from the first page (default: any number)")
    add("--span", dest="spans", metavar="HOST,...", type=names, default=(), help="hosts that belong to the site too")
    help = "take pictures with this in their address only (*: anything, $: its end); repeatable"
    add("--include", dest="includes", metavar="PATTERN", action="append", default=[], help=help)
    help = "leave pictures and pages with this in their address; repeatable"
    add("--exclude", dest="excludes", metavar="PATTERN", action="append", default=[], help=help)
    add("--min-bytes", metavar="N", type=int, default=0, help="leave smaller pictures (default: 0)")
    add("--min-size", metavar="WxH", type=size, help="leave pictures with fewer pixels")
    add("--best", action="store_true", help="take the largest version of each picture only")
    help = "ask for what is here again; what has changed replaces it, or comes beside it (keep)"
    add("--refresh", choices=REFRESH, nargs="?", const=REFRESH[0], help=help)
    add("--keep-duplicates", action="store_true", help="store a file for each address, not for each content")


def names(text: str) -> tuple[str, ...]:
    """Return what stands between the commas of `text`."""
    return tuple(name.strip() for name in text.split(","))


def size(text: str) -> tuple[int, int]:
    """Return width and height from "640x480"."""
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x480") from None


def run(args: argparse.Namespace) -> int:
    """Do it, print the summary, and return the exit code."""
    check_engine(args)  # nonsense is refused before anything starts
    known = {field.name for field in fields(Settings)}
    given: dict[str, Any] = {name: value for name, value in vars(args).items() if name in known}
    given["auth"] = resolve_auth(args.auth, args.url or "")
    settings = Settings(**given)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        keep = {"keep_duplicates": settings.keep_duplicates, "keep_old": settings.refresh == "keep"}
        with Store(args.out, **keep) as store, executor(args) as engine:
            summary = Crawl(engine, settings, store).run(False if args.quiet else None)
        if args.csv:
            with writing(args.out):
                write_csv(args.out)
    except KeyboardInterrupt:
        print(f"\ndqlab: interrupted; what has arrived lies in {args.out}", file=sys.stderr)
        print("  the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    if args.json:
        print(summary.json())
    elif not args.quiet:
        print(summary)
    return summary.exit_code
