"""The HTTP below requests: connections that know which network they lead into, and say nothing that isn't needed.

Imported by `session` only when the first request is made, as urllib3 and requests take long to load.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests.adapters
import requests.structures
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dqlab.crawl.response import Response, current, trust

__all__ = ["Adapter", "OutOfReach", "network_of"]

#: hosts whose connections are kept, and connections kept for each
HOSTS, CONNECTIONS = 64, 64


class OutOfReach(OSError):
    """The address leads into a network that the start page isn't in."""


def network_of(address: str) -> str:
    """Return which network the IP `address` is in: that of this machine, of the link, a private one, the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified:
        return "this machine"
    if ip.is_link_local:
        return "the local link"
    return "the internet" if ip.is_global else "a private network"


class Kept:
    """What both kinds of connection add: the look at where they lead."""

    proxy: Any
    sock: Any
    timeout: Any
    connect: Callable[[], None]
    close: Callable[[], None]

    network: str | None = None

    def _new_conn(self) -> Any:
        sock = super()._new_conn()  # type: ignore[misc]
        if self.proxy is None:  # a proxy sees to that itself
            self.network = network_of(sock.getpeername()[0])
            try:
                self.look()
            except OutOfReach:
                sock.close()
                raise
        return sock

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        """Send a request without a body."""
        self.look()  # an old connection may have been made on other terms
        lines = [f"{method} {url} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError("a header would hold a line's end")
        if self.sock is None:
            self.connect()
        sock: Any = self.sock
        try:
            sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        except BlockingIOError:
            raise TimeoutError("timed out") from None

    def getresponse(self) -> Any:
        """Return the answer with its body unread."""
        answer = Response(self.sock, method="GET")
        try:
            answer.begin()
        except BaseException:
            answer.close()
            self.close()
            raise
        return answer

    def look(self) -> None:
        """Note where this connection leads. Raises OutOfReach if it may not lead there."""
        bounds = getattr(current, "bounds", None)
        if bounds is not None and self.network is not None:
            if bounds.reach is not None and self.network not in bounds.reach:
                raise OutOfReach(self.network)
            bounds.network = self.network


class Plain(Kept, HTTPConnection):
    """A connection by http."""

    response_class = Response

    def connect(self) -> None:
        """Connect, and let the system count the seconds of each wait from now on."""
        super().connect()
        trust(self.sock, self.timeout)


class Secure(Kept, HTTPSConnection):
    """A connection by https."""

    response_class = Response


class Asking:
    """What both kinds of pool add: a request for which `urlopen` would take as long as for all else."""

    _get_conn: Any
    _put_conn: Any
    _validate_conn: Any

    def ask(self, target: str, headers: dict[str, str], timeout: float) -> Response:
        """Ask for `target`, not by a proxy; return the answer with its body unread."""
        connection: Any = self._get_conn()
        try:
            connection.timeout = timeout
            self._validate_conn(connection)
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it hung up
                connection.request("GET", target, headers=headers)
            response = connection.getresponse()
        except BaseException:
            connection.close()
            self._put_conn(connection)
            raise
        response._pool, response._connection = self, connection
        return response


class PlainPool(Asking, HTTPConnectionPool):
    ConnectionCls: Any = Plain


class SecurePool(Asking, HTTPSConnectionPool):
    ConnectionCls: Any = Secure


POOLS = {"http": PlainPool, "https": SecurePool}
#: what was asked in vain is asked again by those who know when
NEVER = urllib3.Retry(False)


class Adapter(requests.adapters.HTTPAdapter):
    """Keeps connections for all threads of this process; `requests` chooses them and looks after proxies and TLS."""

    def __init__(self, ca: str | None = None) -> None:
        """`ca`: certificates (PEM) that are trusted besides the usual ones."""
        self.tls: dict[str, Any] = {}
        if ca:
            self.tls["ssl_context"] = ssl.create_default_context(cadata=ca)
        self.pools: dict[tuple[str, str, bool], Any] = {}
        super().__init__(HOSTS, CONNECTIONS)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make the pools of connections; see `requests`."""
        super().init_poolmanager(connections, maxsize, block, **options, **self.tls)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def ask(
        self, url: str, headers: dict[str, str], timeout: float, verify: bool | str, proxies: dict[str, str]
    ) -> Response:
        """Ask for `url`, by a proxy if there is one for it; return the answer with its body unread."""
        scheme, _, place, path = url.split("/", 3)
        key = scheme, place, bool(proxies)
        pool = self.pools.get(key)
        if pool is None or pool.pool is None:  # closed, as there were too many others
            pool = self.pool_for(url, verify, proxies)
            if len(self.pools) >= HOSTS:
                self.pools.clear()
            self.pools[key] = pool
        headers = {"Host": place} | headers
        if not proxies:
            return pool.ask(f"/{path}", headers, timeout)
        return pool.urlopen(
            "GET",
            self.request_url(self.prepared(url), proxies),
            headers=headers,
            retries=NEVER,
            redirect=False,
            assert_same_host=False,
            timeout=urllib3.Timeout(timeout, timeout),
            preload_content=False,
            decode_content=False,
        )

    def pool_for(self, url: str, verify: bool | str, proxies: dict[str, str]) -> Any:
        """Return the pool of connections for the site of `url`."""
        pool = self.get_connection_with_tls_context(self.prepared(url), verify, proxies)
        self.cert_verify(pool, url, verify, None)
        return pool

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The pools of connections behind a proxy; see `requests`."""
        manager = super().proxy_manager_for(proxy, **options, **self.tls)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = POOLS
        return manager

    @staticmethod
    def prepared(url: str) -> requests.PreparedRequest:
        """Return as much of a request as `requests` wants to know."""
        request = requests.PreparedRequest()
        request.method, request.url = "GET", url
        request.headers = requests.structures.CaseInsensitiveDict()
        return request
