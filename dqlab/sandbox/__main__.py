"""`python -m dqlab.sandbox`: serve the site until Ctrl-C, SIGTERM or, with --owned, the end of standard input."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from dqlab.errors import BadInput, DqlabError
from dqlab.sandbox.site import Site


def main(argv: list[str] | None = None) -> int:
    """Serve the site that `argv` describes until a signal comes; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dqlab.sandbox", description="Serve a small site of generated pictures."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at (default: any free one)")
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="SECONDS", help="pause before each answer (default: 0)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="requests a second that it bears (default: any number)")
    parser.add_argument("--images", type=int, default=208, help="how many pictures (default: %(default)s)")
    parser.add_argument("--owned", action="store_true", help="end when standard input ends")
    args = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Site(args.delay, args.images, limit=args.limit, host=args.host, port=args.port) as web:
            print(f"sandbox site at {web.url} ({len(web.images)} pictures)", flush=True)
            if args.owned:
                threading.Thread(target=until_end_of_input, args=(stop,), daemon=True).start()
            while not stop.wait(1):  # in steps: Windows delivers Ctrl-C only between them
                pass
    except DqlabError as error:
        print(f"dqlab: {error.message}\n  {error.hint}".rstrip(), file=sys.stderr)
        return 2 if isinstance(error, BadInput) else 1
    return 0


def until_end_of_input(stop: threading.Event) -> None:
    """Set `stop` once standard input has ended, which it does with its owner."""
    while os.read(0, 4096):  # not sys.stdin: its lock, held here, would make the exit of the process fail
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
