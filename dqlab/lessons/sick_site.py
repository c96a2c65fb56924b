"""A small web site that bears so many requests a second and refuses those beyond: for lesson 10.

    with SickSite(bears=10) as site:
        urlopen(f"{site.url}/1.png")        # or HTTPError: 503, service unavailable
    len(site.asked)                         # how many requests came, refused ones too

What it refuses costs it as much as what it serves, as with real sites: whoever asks again at once keeps it sick.
"""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

__all__ = ["SickSite"]

#: seconds over which requests are counted
WINDOW = 1.0


class SickSite:
    """Serves on a free port of this machine. `bears` is how many requests it can take in a second."""

    def __init__(self, bears: int) -> None:
        self.asked: list[float] = []  #: when each request came, in seconds since the site was opened
        self._bears, self._opened, self._lock = bears, time.monotonic(), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def answer(self) -> tuple[HTTPStatus, bytes]:
        """Note a request, and say how it is answered."""
        with self._lock:
            now = time.monotonic() - self._opened
            self.asked.append(now)
            recent = sum(now - when < WINDOW for when in self.asked[-self._bears - 1 :])
        if recent > self._bears:
            return HTTPStatus.SERVICE_UNAVAILABLE, b"too many requests\n"
        return HTTPStatus.OK, b"a picture\n"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = site.answer()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: `asked` is the log."""

        return Handler
