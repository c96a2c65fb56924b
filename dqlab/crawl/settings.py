"""What is asked of a crawl."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dqlab.crawl import lists
from dqlab.crawl.addresses import absolute, shown
from dqlab.crawl.asking import Asking, asking
from dqlab.crawl.directives import WISHES
from dqlab.crawl.limits import Limits
from dqlab.errors import BadInput

__all__ = ["MAX_PAGES", "MEMORY", "REFRESH", "Settings", "settings_of"]

#: pages fetched when the caller doesn't say otherwise
MAX_PAGES = 500
#: bytes of answers that may be under way together
MEMORY = 64_000_000
#: what may be done with a picture that has changed: the new one takes its place, or the old one is kept, dated
REFRESH = ("replace", "keep")


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


def check(settings: Settings) -> None:
    """Raise BadInput, with what to do, if `settings` name no beginning, two, or bounds without sense."""
    if settings.from_file is None:
        if absolute(settings.url or "", "") is None:
            what = (
                "there is no address"
                if settings.url is None
                else f"{shown(settings.url)!r} is no address of a web page"
            )
            raise BadInput(what, "one begins with http:// or https://; or give a list (--from)")
        if settings.column is not None:
            raise BadInput(f"column={settings.column!r} without a list", "it names a column of the list")
    elif settings.url is not None:
        raise BadInput("an address to begin with and a list are too much", "give one of them")
    elif settings.from_file != lists.STANDARD_INPUT:
        with lists.open_list(settings.from_file) as lines:
            next(lists.addresses(lines, settings.from_file, settings.column, lambda value: None), None)
    if settings.depth is not None and settings.depth < 0:
        raise BadInput(f"depth={settings.depth} makes no sense", "0 reads the first page only")
    if settings.min_bytes < 0:
        raise BadInput(f"min_bytes={settings.min_bytes} makes no sense", "take 0 or more")
    if settings.min_size is not None and (len(settings.min_size) != 2 or min(settings.min_size) < 0):
        raise BadInput(f"min_size={settings.min_size} makes no sense", "it is a width and a height in pixels")
    if settings.refresh not in (None, *REFRESH):
        raise BadInput(f"refresh={settings.refresh!r} makes no sense", f"take one of {', '.join(REFRESH)}")
    for name in ("includes", "excludes", "spans"):
        if isinstance(getattr(settings, name), str):
            raise BadInput(f"{name}={getattr(settings, name)!r} is one text", "give a list of them")
    for host in settings.spans:
        if not host or "/" in host or host != host.strip():
            raise BadInput(f"{host!r} is no host to span", "a name such as cdn.example.org, without http://")


def settings_of(url: str | None, options: dict[str, Any]) -> Settings:
    """Return the settings for a crawl of `url` with `options`. Raises BadInput, for names that are none, too."""
    known = {field.name for field in fields(Settings)}
    for name in options:
        if name not in known:
            raise BadInput(f"a crawl has no option {name!r}", f"one of {', '.join(sorted(known))}")
    return Settings(url=url, **options)
