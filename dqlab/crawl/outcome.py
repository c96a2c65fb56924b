"""What became of an errand: the record that travels from the workers to the crawl."""

from __future__ import annotations

from dataclasses import dataclass

from dqlab.crawl.errand import Errand, Pressure
from dqlab.crawl.images import Image
from dqlab.crawl.pages import Page

__all__ = ["Outcome"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    What became of an errand: the `image` or the `page` that it brought, or `again`, why it should be tried once more.

    An error that no other try would mend stands in the image or page.
    """

    errand: Errand
    image: Image | None = None
    page: Page | None = None
    #: the reason, if another try may help
    again: str | None = None
    #: what the host suffers from: it refuses as it has too much to do, or doesn't answer at all
    pressure: Pressure = Pressure.NONE
    #: seconds that the host asked us to wait (Retry-After)
    wait: float | None = None
    #: it is to be fetched alone, as the seconds or bytes that it had didn't suffice; the bytes, if they are known
    alone: bool = False
    size: int | None = None
    #: where a redirect to another host leads, after so many of them
    moved: str | None = None
    hops: int = 0
    #: the network in which the host is
    network: str | None = None
    #: seconds until the header of the answer was there (None: there was none), and until its end
    latency: float | None = None
    seconds: float = 0.0
    #: what the host's robots.txt asks for: seconds between two requests, and where its sitemaps are
    delay: float = 0.0
    sitemaps: tuple[str, ...] = ()
