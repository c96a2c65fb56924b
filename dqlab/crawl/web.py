"""One polite GET: robots.txt kept, size and time bounded, retried where that helps; runs on the workers.

answer = get("http://host/a.png", Limits(), wants=lambda kind: kind.startswith("image/"))
answer.url, answer.kind, answer.body
"""

from __future__ import annotations

import contextlib
import functools
import http
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dqlab.crawl.addresses import absolute
from dqlab.crawl.robots import Robots
from dqlab.crawl.session import session
from dqlab.errors import DqlabError

if TYPE_CHECKING:
    import requests

__all__ = ["Answer", "FetchFailed", "Limits", "get"]

#: bytes read at a time
CHUNK = 64 * 1024
#: bytes of a robots.txt that are looked at; seconds for which it is remembered, and of how many sites
ROBOTS_BYTES, ROBOTS_AGE, MOST_SITES = 500 * 1024, 3600, 256
#: how many redirects are followed
REDIRECTS = 5
#: a content type and its charset (RFC 9110), whatever else the header says
KIND = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", re.ASCII)
CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.ASCII)
#: characters of a reason; some of it may be the server's words
LONGEST_REASON = 200


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
    end = time.monotonic() + limits.deadline

    def allowed(place: str) -> None:
        in_time(end, limits.deadline)
        if not rules(site(place), limits).allows(place):
            raise FetchFailed("robots.txt forbids it")

    with failures_in_words(limits), opened(url, limits.timeout, allowed) as (response, place):
        return answer(response, place, limits, wants, end)


@contextlib.contextmanager
def opened(
    url: str, timeout: float, check: Callable[[str], None] = lambda url: None
) -> Iterator[tuple[requests.Response, str]]:
    """Ask for `url`, then for what it redirects to: the answer and its address. `check` may refuse each by raising."""
    for _ in range(REDIRECTS + 1):
        check(url)
        with session().get(url, timeout=timeout, stream=True, allow_redirects=False) as response:
            if not response.is_redirect:
                yield response, url
                return
            target = absolute(url, as_meant(response.headers["Location"]))
        if target is None:
            raise FetchFailed("it redirects to an address that isn't one of the web")
        url = target
    raise FetchFailed(f"more than {REDIRECTS} redirects")


def as_meant(header: str) -> str:
    """Return a header that was read as Latin-1 as the UTF-8 that it is, if it is."""
    try:
        return header.encode("latin-1").decode()
    except ValueError:
        return header


def answer(response: requests.Response, url: str, limits: Limits, wants: Callable[[str], bool], end: float) -> Answer:
    """Read the response if it is one to be read."""
    if response.status_code != http.HTTPStatus.OK:
        raise FetchFailed(status_in_words(response.status_code))
    header = response.headers.get("Content-Type", "").lower()
    kind, charset = KIND.match(header.strip()), CHARSET.search(header)
    bare = kind[0] if kind else ""
    body = b"".join(chunks(response, limits, end)) if wants(bare) else b""
    return Answer(url, bare, charset and charset[1], body)


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
        in_time(end, limits.deadline)
        yield chunk


def in_time(end: float, deadline: float) -> None:
    if time.monotonic() > end:
        raise FetchFailed(f"not finished within {deadline:g} s")


def site(url: str) -> str:
    """Return scheme, host and port of `url`: what a robots.txt holds for."""
    return absolute(url, "/") or url


#: sites whose robots.txt couldn't be had: until when they are left alone (monotonic seconds), and the reason
unreachable: dict[str, tuple[float, str]] = {}


def rules(root: str, limits: Limits) -> Robots:
    """
    Return the rules of the site at `root`. FetchFailed if there are none to be had: then nothing of it is.

    Such a site is left alone for as long as it took to find out, else each of its pictures would take that long.
    """
    began = time.monotonic()
    until, why = unreachable.get(root, (began, ""))
    if began < until:
        raise FetchFailed(why)
    try:
        with failures_in_words(limits):
            return robots(root, limits.timeout, limits.deadline, began // ROBOTS_AGE)
    except FetchFailed as failure:
        if len(unreachable) >= MOST_SITES:
            unreachable.clear()
        unreachable[root] = 2 * time.monotonic() - began, failure.message
        raise


@functools.lru_cache(maxsize=MOST_SITES)
def robots(root: str, timeout: float, deadline: float, hour: float) -> Robots:
    """Fetch the rules of the site at `root`; `hour` only makes the memory forget."""
    end = time.monotonic() + deadline
    with opened(root + "robots.txt", timeout) as (response, _):
        if response.status_code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:  # "unreachable": nothing is allowed
            raise FetchFailed(f"its robots.txt can't be had: {status_in_words(response.status_code)}")
        if response.status_code != http.HTTPStatus.OK:  # "unavailable": everything is allowed
            return Robots("")
        body = b""
        while len(body) < ROBOTS_BYTES and (chunk := response.raw.read1(CHUNK, decode_content=True)):
            in_time(end, deadline)
            body += chunk
        return Robots(body[:ROBOTS_BYTES].decode(errors="replace"))


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
    words = "".join(letter if letter.isprintable() else " " for letter in str(chain[-1]))
    return " ".join(words.split())[:LONGEST_REASON] or type(chain[-1]).__name__


def status_in_words(status: int) -> str:
    """Return "404 Not Found" for 404."""
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"
