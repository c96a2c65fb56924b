"""One polite GET: robots.txt kept, size and time bounded, retried where that helps; runs on the workers.

answer = get("http://host/a.png", Limits(), wants=lambda kind: kind.startswith("image/"))
answer.url, answer.kind, answer.body
"""

from __future__ import annotations

import contextlib
import functools
import http
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dqlab import __version__
from dqlab.crawl.addresses import absolute
from dqlab.crawl.robots import AGENT, Robots
from dqlab.errors import DqlabError

if TYPE_CHECKING:  # requests takes a quarter of a second to import: where it is used, and only there
    import requests

__all__ = ["Answer", "FetchFailed", "Limits", "get"]

USER_AGENT = f"{AGENT}/{__version__} (image crawler for lessons; obeys robots.txt)"
#: bytes read at a time
CHUNK = 64 * 1024
#: bytes of a robots.txt that are looked at; seconds for which it is remembered
ROBOTS_BYTES, ROBOTS_AGE = 500 * 1024, 3600
#: how many redirects are followed
REDIRECTS = 5
#: another try after a failed connection, a broken answer, or one of these statuses; seconds before the second one
CONNECTS, STATUSES, BACK_OFF = 2, 3, 0.3
TRY_AGAIN = (429, 500, 502, 503, 504)
#: seconds that a server may ask us to wait (Retry-After) before a retry
LONGEST_WAIT = 10.0


class FetchFailed(DqlabError):
    """The address gave no usable answer; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Limits:
    """How long to wait and how much to take: seconds of silence, seconds and bytes for a whole answer."""

    timeout: float = 10.0
    deadline: float = 60.0
    max_bytes: int = 20_000_000


@dataclass(frozen=True)
class Answer:
    """What came: the `url` after redirects, `kind` the content type (lower case, bare), its charset, the body."""

    url: str
    kind: str
    charset: str | None
    body: bytes


def get(url: str, limits: Limits, wants: Callable[[str], bool]) -> Answer:
    """
    Fetch `url`; redirects are followed as far as robots.txt of each host allows.

    The body of a content type that `wants` declines isn't read (b""). Raises FetchFailed with the reason.
    """
    began = time.monotonic()
    with failures_in_words(limits):
        for _ in range(REDIRECTS + 1):
            if not robots(site(url), limits.timeout, time.monotonic() // ROBOTS_AGE).allows(url):
                raise FetchFailed("robots.txt forbids it")
            with session().get(url, timeout=limits.timeout, stream=True, allow_redirects=False) as response:
                if not response.is_redirect:
                    return answer(response, url, limits, wants, began + limits.deadline)
                target = absolute(url, response.headers["Location"])
            if target is None:
                raise FetchFailed("it redirects to an address that isn't one of the web")
            url = target
    raise FetchFailed(f"more than {REDIRECTS} redirects")


def answer(response: requests.Response, url: str, limits: Limits, wants: Callable[[str], bool], end: float) -> Answer:
    """Read the response if it is one to be read."""
    if response.status_code != http.HTTPStatus.OK:
        raise FetchFailed(status_in_words(response.status_code))
    kind, _, parameters = response.headers.get("Content-Type", "").lower().partition(";")
    _, _, charset = parameters.partition("charset=")
    body = b"".join(chunks(response, limits, end)) if wants(kind.strip()) else b""
    return Answer(url, kind.strip(), charset.strip(" \"'") or None, body)


def chunks(response: requests.Response, limits: Limits, end: float) -> Iterator[bytes]:
    """Yield the body in pieces, unpacked; stop at the limits, whatever the server had announced."""
    too_large = FetchFailed(f"larger than {limits.max_bytes} bytes")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limits.max_bytes:
        raise too_large
    size = 0
    # not iter_content, which waits for a full chunk, however slowly it comes
    while chunk := response.raw.read1(CHUNK, decode_content=True):
        size += len(chunk)
        if size > limits.max_bytes:
            raise too_large
        if time.monotonic() > end:
            raise FetchFailed(f"not finished within {limits.deadline:g} s")
        yield chunk


def site(url: str) -> str:
    """Return scheme, host and port of `url`: what a robots.txt holds for."""
    return absolute(url, "/") or url


@functools.lru_cache(maxsize=256)
def robots(root: str, timeout: float, hour: float) -> Robots:
    """Fetch the rules of the site at `root`; `hour` only makes the memory forget."""
    with session().get(root + "robots.txt", timeout=timeout, stream=True) as response:
        if response.status_code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:  # "unreachable": nothing is allowed
            raise FetchFailed(f"its robots.txt can't be had: {status_in_words(response.status_code)}")
        if response.status_code != http.HTTPStatus.OK:  # "unavailable": everything is allowed
            return Robots("")
        body = b""
        while len(body) < ROBOTS_BYTES and (chunk := response.raw.read1(CHUNK, decode_content=True)):
            body += chunk
        return Robots(body[:ROBOTS_BYTES].decode(errors="replace"))


@functools.cache
def session() -> requests.Session:
    """Return this process's session: kept-alive connections, retries, our name."""
    import requests
    from urllib3 import Retry

    class Patience(Retry):
        """Retries that don't let a server make us wait for hours."""

        def get_retry_after(self, response: Any) -> float | None:
            wanted = super().get_retry_after(response)
            return wanted and min(wanted, LONGEST_WAIT)

    retries = Patience(
        total=STATUSES,
        connect=CONNECTS,
        read=CONNECTS,
        status=STATUSES,
        status_forcelist=TRY_AGAIN,
        backoff_factor=BACK_OFF,
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    session.max_redirects = REDIRECTS
    session.auth = lambda request: request  # else requests sends what the user's ~/.netrc has for the host
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retries))
    return session


# -- reasons --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def failures_in_words(limits: Limits) -> Iterator[None]:
    """Turn what requests, urllib3 and the system raise into FetchFailed with a short reason."""
    import requests
    import urllib3

    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise FetchFailed(reason(error, limits)) from error


def reason(error: BaseException, limits: Limits) -> str:
    """Return what lies at the bottom of `error`: the system's words if it has any ("Connection refused")."""
    import requests

    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        cause = cause if isinstance(cause, BaseException) else None
    for cause in reversed(chain):
        if isinstance(cause, TimeoutError):
            return f"no answer within {limits.timeout:g} s"
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException) and cause.strerror:
            return cause.strerror
    return " ".join(str(chain[-1]).split()) or type(chain[-1]).__name__


def status_in_words(status: int) -> str:
    """Return "404 Not Found" for 404."""
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"
