"""`python -m tests.engines.crawl_on ADDRESS URL OUT [--kill N]`: a crawl on an engine, as a user's script has it.

ADDRESS is one of `dqlab.engines`, or names what others have made: `get_executor tcp://...` for Dask's own executor,
`ipyparallel:2` for two of its engines. With `--kill` one worker is killed when
N pictures are here.
"""

import argparse
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

from dqlab.crawl import crawl
from dqlab.engines import engine
from dqlab.errors import DqlabError


@contextlib.contextmanager
def others(address: str) -> Iterator[Executor]:
    """An executor that isn't made by dqlab."""
    kind, _, where = address.partition(" ")
    if kind == "get_executor":
        from distributed import Client

        with Client(where, set_as_default=False) as client:
            yield client.get_executor(pure=False)
    else:
        import ipyparallel

        with ipyparallel.Cluster(n=int(kind.partition(":")[2]), log_level=logging.ERROR) as client:
            yield client.load_balanced_view().executor


def kill_half_way(victim: int, out: Path, half: int) -> None:
    """SIGKILL a process as soon as half of the pictures are here."""
    while len(list(out.glob("*.*"))) < half:
        time.sleep(0.002)
    os.kill(victim, signal.SIGKILL)


def main() -> int:
    """Crawl, and print the summary or what went wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--kill", type=int, help="when so many pictures are here")
    args = parser.parse_args()
    ours = not args.address.startswith(("get_executor", "ipyparallel"))
    with (engine if ours else others)(args.address) as executor:
        if args.kill:
            victim = executor.submit(os.getpid).result()  # by this thread: ipyparallel's client knows no other
            killer = threading.Thread(target=kill_half_way, args=(victim, args.out, args.kill))
            killer.start()
        try:
            print(crawl(executor, args.url, args.out, progress=False))
        except DqlabError as error:
            print(error)
            return 1
        finally:
            if args.kill:
                killer.join()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
