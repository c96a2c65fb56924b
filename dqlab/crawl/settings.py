"""What is asked of a crawl."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dqlab.crawl.asking import Asking, asking
from dqlab.crawl.checks import check
from dqlab.crawl.directives import WISHES
from dqlab.crawl.terms import Limits
from dqlab.errors import BadInput

__all__ = ["MAX_PAGES", "MEMORY", "Settings", "settings_of"]

#: pages fetched when the caller doesn't say otherwise
MAX_PAGES = 500
#: bytes of answers that may be under way together
MEMORY = 64_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of a crawl, checked when it is made: BadInput says what makes no sense."""

    #: the page to begin with (None: there is a list)
    url: str | None = None
    #: how many pages are read
    max_pages: int = MAX_PAGES

    # -- fetching
    #: seconds of silence after which a server is given up
    timeout: float = Limits.timeout
    #: bytes of one picture, and of all answers that are under way
    max_bytes: int = Limits.max_bytes
    memory: int = MEMORY
    #: requests at a time that a host gets (None: as many as it bears), and seconds between two of them
    per_host: int | None = None
    delay: float = 0.0
    #: how many tasks the executor runs at a time (None: it is asked)
    workers: int | None = None
    #: the name that the crawl gives, and headers more, as lines: "Accept-Language: de"
    user_agent: str | None = None
    headers: tuple[str, ...] = ()
    #: a file with cookies (Netscape's format); name and password for the site of the first page
    cookies: str | Path | None = None
    auth: tuple[str, str] | None = None
    #: look at certificates; a file with others that are trusted too (PEM)
    verify: bool = True
    ca: str | Path | None = None
    #: follow redirects and fetch pictures into private networks even if the first page isn't there
    allow_private: bool = False
    #: wishes of owners that don't count: "noimageindex", "noai"
    ignores: tuple[str, ...] = ()

    # -- finding
    #: a list of addresses ("-": standard input), and the column in which they stand
    from_file: str | None = None
    column: str | None = None
    #: take the largest picture of a srcset instead of all
    best: bool = False
    #: patterns of addresses, hosts that belong to the site, links from the first page
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()
    depth: int | None = None
    #: bytes, and width and height in pixels, that a picture must have
    min_bytes: int = 0
    min_size: tuple[int, int] | None = None
    #: a file for each address, though another has the same content
    keep_duplicates: bool = False
    #: ask for what is here already: "replace" what has changed, or "keep" the old one too
    refresh: str | None = None

    def __post_init__(self) -> None:
        check(self)
        for name in ("max_pages", "max_bytes", "memory", "per_host", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadInput(f"{name}={value} makes no sense", "take 1 or more")
        if not (0 <= self.delay < math.inf and 0 < self.timeout < math.inf):
            raise BadInput(f"delay={self.delay} and timeout={self.timeout} make no sense", "both are seconds")
        for wish in self.ignores:
            if wish not in WISHES:
                raise BadInput(f"ignores={wish!r} makes no sense", f"take {' or '.join(WISHES)}")
        self.asking()

    def asking(self) -> Asking:
        """Return what each request says of us."""
        return asking(
            self.url or "",
            user_agent=self.user_agent,
            headers=self.headers,
            cookies=self.cookies,
            auth=self.auth,
            verify=self.verify,
            ca=self.ca,
        )


def settings_of(url: str | None, options: dict[str, Any]) -> Settings:
    """Return the settings for a crawl of `url` with `options`. Raises BadInput, for names that are none, too."""
    known = {field.name for field in fields(Settings)}
    for name in options:
        if name not in known:
            raise BadInput(f"a crawl has no option {name!r}", f"one of {', '.join(sorted(known))}")
    return Settings(url=url, **options)
