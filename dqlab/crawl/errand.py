"""What is to be fetched, and what became of it: the two records that travel between the crawl and its workers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dqlab.crawl.images import Image
    from dqlab.crawl.pages import Page

__all__ = ["Errand", "Outcome", "Pressure"]


class Pressure(Enum):
    """How a host that gives no answer is."""

    #: nothing speaks against asking it for more
    NONE = 0
    #: it said that it has too much to do (429, 503)
    BUSY = 1
    #: it was silent, refused the connection, or has no address
    AWAY = 2


@dataclass(frozen=True, kw_only=True)
class Errand:
    """One address to be fetched, why, and what is known of it."""

    url: str
    #: it is expected to be a page, not a picture
    page: bool = False
    #: it came from a link: what turns out to be a page is read as one, and is no failure
    link: bool = False
    #: the page on which the address stood
    referer: str | None = None
    #: links from the start page
    depth: int = 0
    #: what the server said of the copy that is here already; asked for only if it has changed
    etag: str | None = None
    last_modified: str | None = None
    #: where redirects to another host have led so far (None: nowhere yet), and how many there were
    place: str | None = None
    hops: int = 0

    @property
    def named(self) -> bool:
        """Whether the user named the address, rather than a page or a redirect."""
        return self.depth == 0 and self.referer is None and self.place is None

    @property
    def target(self) -> str:
        """The address that is asked next."""
        return self.place or self.url


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
    #: it is to be fetched alone, as the seconds or bytes of its handful didn't suffice; the bytes, if they are known
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
