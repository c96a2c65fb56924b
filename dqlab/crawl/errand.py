"""What is to be fetched, and what became of it: the two records that travel between the crawl and its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dqlab.crawl.images import Image
    from dqlab.crawl.pages import Page

__all__ = ["Errand", "Outcome"]


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
    #: the host did not answer at all, or refused to (429, 503): it wants less
    pressed: bool = False
    #: seconds that the host asked us to wait (Retry-After)
    wait: float | None = None
    #: it needs to be fetched alone: the seconds or bytes of its handful did not suffice
    alone: bool = False
    #: another host to which a redirect leads
    moved: str | None = None
    #: seconds until the first byte of the answer (None: there was none)
    latency: float | None = None
    #: seconds from the beginning of the request until its end
    seconds: float = 0.0
    #: what the host's robots.txt asks for: seconds between two requests, and where its sitemaps are
    delay: float | None = None
    sitemaps: tuple[str, ...] = ()
