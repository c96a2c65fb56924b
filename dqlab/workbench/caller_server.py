"""BaseManager's server, which also knows who calls, and notices when somebody's connection has ended."""

from __future__ import annotations

import pickle
import sys
import threading
from multiprocessing import managers
from pathlib import Path
from typing import Any, cast

from dqlab.workbench.desk import CALLS, Desk

__all__ = ["CallerServer", "main"]


class CallerServer(managers.Server):
    """Serves a desk. A thread serves each connection, and has the name that its caller gave."""

    def __init__(self, desk: Desk, address: tuple[str, int], authkey: bytes) -> None:
        super().__init__({"desk": (lambda: desk, CALLS, {}, None)}, address, authkey, "pickle")
        self.desk = desk

    def serve_client(self, conn: Any) -> None:
        """One connection, from its first request to its end."""
        try:
            super().serve_client(conn)
        finally:
            self.desk.hang_up(threading.current_thread().name)


def main() -> None:
    """Serve the broker that standard input describes, and print the port."""
    sys.path[:], key, port, journal = pickle.load(sys.stdin.buffer)
    desk = Desk(pickle.load(sys.stdin.buffer), Path(journal))
    server = CallerServer(desk, ("127.0.0.1", port), key)
    print("port", cast(tuple[str, int], server.address)[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
