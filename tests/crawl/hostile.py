"""A web server that answers as badly as a test wants, and a client that runs tasks in threads of this process."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

from dqlab.sandbox.site import Server as SandboxServer

#: the smallest picture that is one
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000020000000108020000007b40e8dd"
    "0000000b49444154789c636000030000070001b286acf40000000049454e44ae426082"
)
#: a route: it gets the handler and answers through it
Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Looks the path up in the server's routes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.server.connections.add(self.client_address)
        self.server.headers[self.path] = dict(self.headers)
        route = self.server.routes.get(self.path)
        with contextlib.suppress(OSError):
            route(self) if route else self.answer(404)

    def answer(self, status: int, kind: str = "text/plain", body: bytes = b"", **headers: str) -> None:
        """Send one answer; `Content_Length="7"` is the header Content-Length, "" leaves it out."""
        headers = {"Content-Type": kind, "Content-Length": str(len(body))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(SandboxServer):
    """
    Counts what was asked for, and keeps the headers last seen, by path, and who asked on `connections`. `ending` is set
    when the test is over.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), site=None)
        self.RequestHandlerClass = Handler
        self.routes: dict[str, Route] = {}
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.connections: set[tuple[str, int]] = set()
        self.ending = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def hostile_server() -> Iterator[Server]:
    """Serve until the block ends."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        server.server_close()
        server.hang_up()
        thread.join()


class Threads(ThreadPoolExecutor):
    """As much of a dqlab client as a crawl needs; `asked` are the options of each kind of task."""

    def __init__(self, workers: int = 4) -> None:
        super().__init__(workers)
        self.asked: dict[str, dict] = {}

    def options(self, *, queue: str, **options: object) -> "Threads":
        self.asked[queue] = options
        return self

    def hint_if_stuck(self) -> None:
        """Here is always a worker."""
