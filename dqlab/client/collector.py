"""What comes back: outcomes, in batches, each handed to whoever waits for it, acknowledged with the next request."""

from __future__ import annotations

from collections.abc import Callable

from dqlab.client.connections import Connections
from dqlab.client.screen import PATIENCE, Screen
from dqlab.client.submission import Waiting
from dqlab.errors import DqlabError
from dqlab.wire.connection import PlainConnection
from dqlab.wire.messages import Finished
from dqlab.wire.request import request

__all__ = ["Collector"]

#: seconds that one `collect` waits in the master
COLLECT_WAIT = 5.0


class Collector:
    """Says which results it has, so that none is lost and none comes twice. `give_up(error)` hears why none come."""

    def __init__(
        self, connections: Connections, waiting: Waiting, screen: Screen, give_up: Callable[[DqlabError], None]
    ) -> None:
        self._connections, self._waiting, self._screen, self._give_up = connections, waiting, screen, give_up

    def run(self) -> None:
        """Collect until the client is closed, or the master is gone."""
        conn: PlainConnection | None = None
        ack = 0
        try:
            while not self._connections.closed:
                fresh = conn is None
                if conn is None:
                    conn = self._connections.attempt(None, "reopen_client", [])[0]
                try:
                    if fresh:
                        # In this order: what ends after the first call comes by itself; what ended before, now.
                        for gap in request(conn, "reopen_client", self._waiting.ranges()):
                            self._waiting.forgotten(*gap)
                    batch = request(conn, "collect", ack, PATIENCE if self._screen.waits else COLLECT_WAIT)
                except (EOFError, OSError):
                    conn.close()
                    conn = None
                    continue
                for finished in map(Finished.restore, batch):
                    if finished.serial > ack:
                        self._screen.take(finished.outcome.printed)
                    ack = finished.serial
                    self._waiting.deliver(finished)
                self._screen.show_unless_watched()
        except DqlabError as exc:
            self._give_up(exc)
        except Exception as exc:  # nobody may wait for ever, whatever went wrong
            self._give_up(DqlabError(f"the client's collector failed: {exc!r}"))
            raise
        finally:
            if conn is not None:
                conn.close()
