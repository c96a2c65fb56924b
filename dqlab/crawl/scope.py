"""Which addresses a crawl is about: whose pages are read, and what the user's patterns say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from dqlab.crawl.addresses import site_of

__all__ = ["Scope"]


@dataclass(frozen=True)
class Scope:
    """
    `spans` are hosts whose pages are read too, with their subdomains; `includes` and `excludes` patterns on addresses.

    A pattern is a part of an address; `*` in it stands for anything, and a `$` at its end for the address's end.
    """

    spans: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def has_page(self, address: str, home: str) -> bool:
        """Say whether the page at `address` is to be read in a crawl of the site `home`."""
        return (site_of(address) == home or self.is_spanned(address)) and not self.keeps_out(address)

    def has_picture(self, address: str) -> bool:
        """Say whether the patterns let the picture at `address` in, whatever host it is on."""
        if self.includes and not self._included.search(address):
            return False
        return not self.keeps_out(address)

    def is_spanned(self, address: str) -> bool:
        """Say whether `address` lies on one of the further hosts."""
        if not self.spans:
            return False
        host = urlsplit(address).hostname or ""
        place = urlsplit(address).netloc
        return any(span in (host, place) or host.endswith(f".{span}") for span in self.spans)

    def keeps_out(self, address: str) -> bool:
        """Say whether a pattern keeps `address` out."""
        return bool(self.excludes) and self._excluded.search(address) is not None

    @cached_property
    def _included(self) -> re.Pattern[str]:
        return any_of(self.includes)

    @cached_property
    def _excluded(self) -> re.Pattern[str]:
        return any_of(self.excludes)


def any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return one expression for all `patterns`."""
    written = []
    for pattern in patterns:
        anchor = "$" if pattern.endswith("$") else ""
        written.append(".*".join(map(re.escape, pattern.removesuffix("$").split("*"))) + anchor)
    return re.compile("|".join(written))
