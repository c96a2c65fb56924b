"""Why an address gave nothing, in the user's words: what requests, urllib3 and the system raise becomes a reason."""

from __future__ import annotations

import http
import http.client
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dqlab.crawl.errand import Pressure
from dqlab.errors import DqlabError

if TYPE_CHECKING:
    from dqlab.crawl.limits import Limits
    from dqlab.crawl.response import Bounds

__all__ = [
    "FORBIDDEN",
    "FetchFailed",
    "Moved",
    "NoRoom",
    "OutOfTime",
    "TryAgain",
    "fail",
    "hung_up",
    "in_words",
    "refusal",
    "remedy",
]

#: characters of a reason; some of it may be the server's words
LONGEST_REASON = 200
#: the part of its time-out after which a host that has said nothing counts as silent, though time is over anyway
ALMOST = 0.9
#: what can be done about an answer that refuses
ADVICE = {
    401: "give --auth",
    403: "it may want other --user-agent, --cookies or --header",
    407: "the proxy wants a password",
    451: "for legal reasons",
}

#: the answers that may be others next time; those from 520 on are Cloudflare's words for what it got
PASSING = (408, 425, 500, 502, 504, *range(520, 528))
#: why what an owner keeps from crawlers isn't asked for
FORBIDDEN = "robots.txt forbids it"


class FetchFailed(DqlabError):
    """The address gave no usable answer; the message is the reason, in a few words."""


class TryAgain(FetchFailed):
    """Another try may help. `pressure`: how the host is; `wait`: the seconds that it asked for."""

    def __init__(self, message: str, pressure: Pressure = Pressure.NONE, wait: float | None = None) -> None:
        super().__init__(message)
        self.pressure, self.wait = pressure, wait


class OutOfTime(FetchFailed):
    """The answer wasn't there when its time was over."""


class NoRoom(FetchFailed):
    """The body doesn't fit into what its task may hold; `size` is what it needs, if that is known."""

    def __init__(self, message: str, size: int | None = None) -> None:
        super().__init__(message)
        self.size = size


class Moved(FetchFailed):
    """A redirect leads to `place` on another host, after so many `hops`; `network` is that of the first host."""

    def __init__(self, place: str, hops: int, network: str | None) -> None:
        super().__init__("it redirects to another host")
        self.place, self.hops, self.network = place, hops, network


def fail(address: str, why: str) -> None:
    """Raise why `address` gives nothing: as a task it stands among a master's failures, for those who look on."""
    raise FetchFailed(f"{why}: {address}")


@contextmanager
def in_words(limits: Limits, bounds: Bounds) -> Iterator[None]:
    """Turn what is raised on the way to an answer within `bounds` into FetchFailed with a reason."""
    import urllib3

    try:
        yield
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise failure(error, limits, bounds) from error


def failure(error: BaseException, limits: Limits, bounds: Bounds) -> FetchFailed:
    """Return what `error` means to the user, by what lies at its bottom."""
    from dqlab.crawl.transport import OutOfReach

    chain = causes(error)
    for cause in reversed(chain):
        if isinstance(cause, TimeoutError):
            now = time.monotonic()
            if now >= bounds.end and now - bounds.heard < ALMOST * limits.timeout:
                return OutOfTime(f"not finished within {limits.deadline:g} s")
            return TryAgain(f"no answer within {limits.timeout:g} s", Pressure.AWAY)
        if isinstance(cause, OutOfReach):
            return FetchFailed(f"it leads to {cause}, where the start page isn't (--allow-private)")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FetchFailed(f"its certificate isn't valid: {cause.verify_message} (--ca FILE or --no-verify)")
        if isinstance(cause, ssl.SSLError):
            return FetchFailed(f"no secure connection: {printable(cause.reason or str(cause))}")
        for kinds, words in WORDS:
            if isinstance(cause, kinds):
                return TryAgain(words)
        if isinstance(cause, OSError) and cause.strerror and type(cause).__module__ != "requests.exceptions":
            return TryAgain(cause.strerror, Pressure.AWAY)
    return FetchFailed(printable(str(chain[-1])) or type(chain[-1]).__name__)


def causes(error: BaseException) -> list[BaseException]:
    """Return `error` and what lies below it."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        below = getattr(cause, "reason", None)
        context = None if cause.__suppress_context__ else cause.__context__
        cause = below if isinstance(below, BaseException) else cause.__cause__ or context
    return chain


#: what the server did wrong, in words
WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((http.client.RemoteDisconnected,), "it hung up without an answer"),
    ((http.client.LineTooLong,), "its header is longer than any that makes sense"),
    ((http.client.BadStatusLine, http.client.UnknownProtocol), "what answers there doesn't speak HTTP"),
)


def printable(text: str) -> str:
    """Return `text` as one short line."""
    words = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(words.split())[:LONGEST_REASON]


def status_in_words(status: int) -> str:
    """Return "404 Not Found" for 404, and what can be done if something can."""
    try:
        words = f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"
    return f"{words} ({ADVICE[status]})" if status in ADVICE else words


def refusal(status: int, headers: dict[str, str]) -> FetchFailed:
    """Return the error that an answer with this `status` is."""
    if status in (429, 503):
        return TryAgain(status_in_words(status), Pressure.BUSY, retry_after(headers.get("retry-after", "")))
    if status in PASSING:
        return TryAgain(status_in_words(status))
    return FetchFailed(status_in_words(status))


def remedy(reason: str) -> str:
    """Return what can be done if the first page gives nothing for this `reason`."""
    if FORBIDDEN in reason:
        return "its owner wants no crawlers there"
    if any(words in reason for words in ("429", "503", "no answer within", "robots.txt can't be had")):
        return "try it again later"
    return "is the address right?"


def retry_after(header: str) -> float | None:
    """Return the seconds that a Retry-After asks for, as a number or a date; None if it asks for none."""
    import email.utils

    if header.strip().isdecimal():
        return float(header.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def hung_up(error: BaseException) -> bool:
    """Say whether the server ended the connection before it had answered."""
    return any(isinstance(cause, (ConnectionResetError, BrokenPipeError)) for cause in causes(error))
