"""A small web site of generated pictures on a free local port, for lessons and tests without internet.

    with site(delay=0.02) as web:
        web.url                     # "http://127.0.0.1:41233/"
        web.images                  # {"/dunes/01.jpg": b"...", ...}: every picture that a polite crawler brings home
        web.requests                # Counter of the paths asked for so far
        web.delay = 0.5             # seconds before each answer, from now on
        web.limit = 20              # requests a second that it bears; to others it says 429, come again in a second

`python -m dqlab.sandbox` is the same as a process of its own.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from dqlab.errors import BadInput, LaunchFailed
from dqlab.sandbox.pages import FALSE, FLAKY, Drawing, plan
from dqlab.wire.address import place

__all__ = ["Site", "site"]

#: content types by the end of a path
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".txt": "text/plain", "/": "text/html; charset=utf-8"}
#: a silent connection is closed after so many seconds
IDLE = 30.0
#: seconds over which requests are counted, and after which somebody who was refused may come again
WINDOW = 1.0
#: fewer pictures than this would leave a gallery empty
FEWEST = 40


class Pictures(Mapping[str, bytes]):
    """The originals by path, drawn when first looked at."""

    def __init__(self, drawings: dict[str, Drawing]) -> None:
        self.drawings = drawings

    def __getitem__(self, path: str) -> bytes:
        from dqlab.sandbox import art

        drawing = self.drawings[path]
        return art.encoded(drawing.style, drawing.number, drawing.kind, drawing.size)

    def __iter__(self) -> Iterator[str]:
        return iter(self.drawings)

    def __len__(self) -> int:
        return len(self.drawings)

    def __repr__(self) -> str:
        return f"<Pictures {len(self)}>"


class Site:
    """The server. `site(...)` takes the same arguments and reads better; serving begins at once.

    `delay`: seconds before each answer. `images`: how many pictures the site shows. `limit`: requests that it bears in
    a second, refused ones among them (None: any number). `host`, `port`: where it listens (port 0: any free one).
    """

    def __init__(
        self,
        delay: float = 0.0,
        images: int = 208,
        *,
        limit: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        from dqlab.sandbox import art  # only the site needs Pillow, the rest of the sandbox doesn't

        if images < FEWEST:
            raise BadInput(f"images={images} is too few for the sandbox site", f"take {FEWEST} or more")
        if not delay >= 0:
            raise BadInput(f"delay={delay} is no number of seconds", "take 0 or more")
        if limit is not None and not limit >= 1:
            raise BadInput(f"limit={limit} lets nobody in", "take 1 request a second or more")
        whole = plan(list(art.STYLES), images)
        self.delay, self.limit = delay, limit
        self.refused = 0
        self.pages = whole.pages
        self.images: Mapping[str, bytes] = Pictures(whole.drawings)
        self.private: Mapping[str, bytes] = Pictures(whole.private)
        self._asked: list[str] = []
        self._recent = deque[float]()  # when the requests of the last second came
        self._lock = threading.Lock()
        try:
            self._server = Server((host, port), self)
        except (OSError, OverflowError, UnicodeError) as error:  # the port is taken, or none; a host that can't be one
            why = getattr(error, "strerror", None) or error
            raise LaunchFailed(f"the sandbox site can't listen at {place(host, port)}: {why}") from error
        self.host, self.port = host, self._server.server_address[1]
        self.url = url_of(host, self.port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="sandbox site", daemon=True
        )
        self._thread.start()

    @property
    def requests(self) -> Counter[str]:
        """How often each path has been asked for."""
        return Counter(self._asked)

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body for `path` (with its query)."""
        self._asked.append(path)
        if self._is_too_much(time.monotonic()):
            return HTTPStatus.TOO_MANY_REQUESTS, "text/plain", b"too many requests\n"
        time.sleep(self.delay)
        if path == FLAKY and self._asked.count(path) == 1:
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"come back later\n"
        if path == FALSE:
            return HTTPStatus.OK, TYPES[".html"], b"<!doctype html><title>no picture</title>\n"
        if path in self.pages:
            kinds = (kind for end, kind in TYPES.items() if path.endswith(end))
            return HTTPStatus.OK, next(kinds, TYPES[".html"]), self.pages[path].encode()
        for pictures in (self.images, self.private):
            if path in pictures:
                body = pictures[path]
                return HTTPStatus.OK, image_type(body), body
        return HTTPStatus.NOT_FOUND, "text/plain", b"there is nothing here\n"

    def _is_too_much(self, now: float) -> bool:
        """Note a request, and say whether it is one too many; whoever goes on knocking stays outside."""
        with self._lock:
            while self._recent and self._recent[0] <= now - WINDOW:
                self._recent.popleft()
            self._recent.append(now)
            too_much = self.limit is not None and len(self._recent) > self.limit
            self.refused += too_much
        return too_much

    def close(self) -> None:
        """Stop serving and free the port; open connections are cut."""
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join(5)

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Site {self.url} with {len(self.images)} pictures>"


site = Site


def url_of(host: str, port: int) -> str:
    return f"http://{place(host, port)}/"


def image_type(body: bytes) -> str:
    """Return the content type that a picture's first bytes tell."""
    if body.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if body.startswith(b"RIFF") else "image/jpeg"


class Server(ThreadingHTTPServer):
    """A thread for each connection; remembers the connections so that closing leaves none."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], site: Site) -> None:
        self.site = site
        self._open: set[socket.socket] = set()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service for this machine's name, which may take seconds
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a crawler that was killed or hung up: that is what the sandbox is for."""

    def hang_up(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it was gone already
                continue


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD on kept-alive connections."""

    protocol_version = "HTTP/1.1"
    server_version = "dqlab-sandbox"
    disable_nagle_algorithm = True
    timeout = IDLE
    wbufsize = -1  # head and body leave together
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        status, kind, body = self.server.site.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", f"{WINDOW:g}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `Site.requests` is the log."""
