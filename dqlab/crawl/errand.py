"""What is to be fetched: the record that travels from the crawl to its workers (what comes back: `outcome`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Errand", "Pressure"]


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
