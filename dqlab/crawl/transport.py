"""The HTTP below requests: an answer's header has a deadline as well, 1xx are passed over, and networks are kept apart.

    with bounded(Bounds(end=time.monotonic() + 60, timeout=10)) as bounds:
        session().get(...)                 # on this thread
    bounds.network                         # where the server was

Imported by `session` only when the first request is made, as urllib3 and requests take long to load.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import math
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["Adapter", "Bounds", "OutOfReach", "bounded", "network_of"]

#: hosts whose connections are kept, and connections kept for each
HOSTS, CONNECTIONS = 64, 64
#: interim answers (1xx) that are passed over before the one that counts
INTERIM = 20


class OutOfReach(OSError):
    """The address leads into a network that the start page isn't in."""


@dataclass
class Bounds:
    """
    What holds for the requests of one thread: monotonic seconds at which they `end`, seconds of silence (`timeout`).

    `reach`: the networks in which servers may be, None for all; `network` becomes the one of the last connection.
    """

    end: float = math.inf
    timeout: float = 10.0
    reach: frozenset[str] | None = None
    network: str | None = None


current = threading.local()


@contextmanager
def bounded(bounds: Bounds) -> Iterator[Bounds]:
    """Let `bounds` hold for what this thread asks."""
    outer = getattr(current, "bounds", None)
    current.bounds = bounds
    try:
        yield bounds
    finally:
        current.bounds = outer


def network_of(address: str) -> str:
    """Return which network the IP `address` is in: that of this machine, of the link, a private one, the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified:
        return "this machine"
    if ip.is_link_local:
        return "the local link"
    return "the internet" if ip.is_global else "a private network"


class Reader(io.RawIOBase):
    """Reads from a socket as long as the thread's bounds allow, however slowly the bytes drip."""

    def __init__(self, raw: Any, sock: Any) -> None:
        self.raw, self.sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        bounds = getattr(current, "bounds", None) or Bounds()
        left = bounds.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        self.sock.settimeout(min(bounds.timeout, left))
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer that is read through a `Reader`."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(Reader(sock.makefile("rb", buffering=0), sock))

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line of the answer that counts; http.client itself passes over 100 only."""
        for _ in range(INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.BadStatusLine("interim answers without end")


class Kept:
    """What both kinds of connection add: the look at where they lead."""

    proxy: Any

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

    def request(self, *args: Any, **options: Any) -> None:
        self.look()  # an old connection may have been made on other terms
        super().request(*args, **options)  # type: ignore[misc]

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


class Secure(Kept, HTTPSConnection):
    """A connection by https."""

    response_class = Response


class PlainPool(HTTPConnectionPool):
    ConnectionCls: Any = Plain


class SecurePool(HTTPSConnectionPool):
    ConnectionCls: Any = Secure


POOLS = {"http": PlainPool, "https": SecurePool}


class Adapter(requests.adapters.HTTPAdapter):
    """Keeps connections for all threads of this process; retries nothing, as those who ask know better when."""

    def __init__(self, ca: str | None = None) -> None:
        """`ca`: certificates (PEM) that are trusted besides the usual ones."""
        self.tls: dict[str, Any] = {}
        if ca:
            self.tls["ssl_context"] = ssl.create_default_context(cadata=ca)
        self.pools: dict[tuple[str, str, Any], Any] = {}
        super().__init__(HOSTS, CONNECTIONS, urllib3.Retry(0, read=False, redirect=0))

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make the pools of connections; see `requests`."""
        super().init_poolmanager(connections, maxsize, block, **options, **self.tls)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the pool for a request; see `requests`, which takes as long to look for it as to ask."""
        if proxies:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        scheme, _, place = request.url.split("/", 3)[:3]
        pool = self.pools.get((scheme, place, verify))
        if pool is None or pool.pool is None:  # closed, as there were too many others
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            if len(self.pools) >= HOSTS:
                self.pools.clear()
            self.pools[scheme, place, verify] = pool
        return pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """Return what stands in the request line; see `requests`."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The pools of connections behind a proxy; see `requests`."""
        manager = super().proxy_manager_for(proxy, **options, **self.tls)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = POOLS
        return manager
