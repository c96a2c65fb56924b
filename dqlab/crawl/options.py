"""The options of `dqlab crawl` that are about fetching: how fast, under which name, with what kind of connection."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import warnings

from dqlab.crawl.directives import WISHES
from dqlab.crawl.engine import add_engine
from dqlab.crawl.limits import Limits
from dqlab.crawl.settings import MEMORY
from dqlab.errors import BadInput

__all__ = ["add_fetching", "resolve_auth"]

#: what a size may end with
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def add_fetching(parser: argparse.ArgumentParser) -> None:
    """Add them to `parser`; each is a field of `Settings`."""
    add_engine(parser)
    add = parser.add_argument_group("how it asks").add_argument
    add("--per-host", metavar="N", type=int, help="requests at a time for each host (default: as many as it bears)")
    add("--delay", metavar="SECONDS", type=float, default=0.0, help="pause between two requests to a host (default: 0)")
    help = f"patience with a silent server (default: {Limits.timeout:g})"
    add("--timeout", metavar="SECONDS", type=float, default=Limits.timeout, help=help)
    help = f"largest picture (default: {Limits.max_bytes})"
    add("--max-bytes", metavar="BYTES", type=size, default=Limits.max_bytes, help=help)
    help = f"answers under way together (default: {MEMORY})"
    add("--memory", metavar="BYTES", type=size, default=MEMORY, help=help)
    add("--user-agent", metavar="NAME", help="the name that servers see")
    add("--header", dest="headers", metavar="LINE", action="append", default=[], help='such as "Accept-Language: de"')
    add("--cookies", metavar="FILE", help="cookies as a browser exports them (cookies.txt)")
    add(
        "--auth", metavar="USER", help="name for the start page's site; the password is asked for ('netrc': from there)"
    )
    add("--no-verify", dest="verify", action="store_false", help="accept certificates that can't be trusted")
    add("--ca", metavar="FILE", help="certificates that are trusted too (PEM)")
    add("--allow-private", action="store_true", help="follow pictures and redirects into private networks")
    help = "wishes of owners that don't count"
    add("--ignore", dest="ignores", choices=WISHES, action="append", default=[], help=help)


def size(text: str) -> int:
    """Return the bytes that "20M" means."""
    match = re.fullmatch(r"(-?\d+)([kmg]?)b?", text.strip().lower())
    if not match:
        raise argparse.ArgumentTypeError(f"invalid size: {text!r} (take 500k, 20M)")
    return int(match[1]) * UNITS[match[2]]


def resolve_auth(user: str | None, url: str) -> tuple[str, str] | None:
    """
    Return name and password for `user` at the site of `url`: from ~/.netrc, the environment, or the terminal.

    The password never stands on the command line. Raises BadInput if there is none to be had.
    """
    if user is None:
        return None
    if user == "netrc":
        from requests.utils import get_netrc_auth

        found = get_netrc_auth(url)
        if not found:
            raise BadInput("~/.netrc holds no password for that site", "write one there, or give --auth USER")
        return found[0], found[1]
    if ":" in user:
        raise BadInput("--auth takes a name without a password", "others could read it; it is asked for")
    password = os.environ.get("DQLAB_CRAWL_PASSWORD")
    if password is None:
        try:
            with warnings.catch_warnings(action="error", category=getpass.GetPassWarning):  # it would be seen
                password = getpass.getpass(f"password of {user}: ")
        except (EOFError, OSError, getpass.GetPassWarning):
            raise BadInput("there is no terminal to ask for the password", "set DQLAB_CRAWL_PASSWORD") from None
    return user, password
