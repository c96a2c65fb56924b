"""Pages without end: calendars, filters, session ids, paths that grow. What leads nowhere new is left after a while.

Addresses are put together by their pattern: numbers in it don't count, nor how often a piece of the path is repeated.
A pattern of which so many pages in a row showed no new picture and led to no page of another new pattern is left.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["PATIENCE", "Traps", "identity", "pattern_of"]

#: pages of one pattern in a row that may bring nothing new
PATIENCE = 50
#: patterns that are remembered; a site with more has no patterns
MOST_PATTERNS = 20_000
#: parameters that say who asks, not what is asked for: by their name, or by a short name and a long value
SESSION = re.compile(
    r"(?:php|asp|j)?_?sess(?:ion)?_?id\w*=.*|(?:cfid|cftoken|zenid|oscsid|sid|s|session)=\w{16,}", re.I
)
PATH_SESSION = re.compile(r";(?:jsessionid|phpsessid|sid)=\w{16,}(?:[.!-]\w+)?", re.IGNORECASE)
#: numbers, dates, and hexadecimal ids
NUMBER = re.compile(r"-?\d+|\b[0-9a-f]{16,}\b", re.IGNORECASE)
#: a piece of a path, or two of them, repeated
REPEATED = re.compile(r"((?:/[^/]++){1,2}?)\1+(?=/|$)")


def identity(address: str) -> str:
    """Return what two addresses of one page share: the address without session ids."""
    if ";" not in address and "?" not in address:
        return address
    parts = urlsplit(address)
    kept = [one for one in parts.query.split("&") if not SESSION.fullmatch(one)]
    return parts._replace(path=PATH_SESSION.sub("", parts.path), query="&".join(kept)).geturl()


def pattern_of(address: str) -> str:
    """Return what the addresses of a calendar's months share."""
    parts = urlsplit(identity(address))
    path = REPEATED.sub(r"\1", NUMBER.sub("#", parts.path))
    names = sorted({NUMBER.sub("#", one.partition("=")[0]) for one in parts.query.split("&")})
    return f"{parts.netloc}{path}?{'&'.join(names)}" if parts.query else parts.netloc + path


class Traps:
    """Counts for each pattern the pages in a row that brought nothing new."""

    def __init__(self, patience: int = PATIENCE) -> None:
        self.patience = patience
        self.barren: dict[str, int] = {}
        self.left: dict[str, str] = {}  # patterns that were left, with the first address that was not read for it

    def note(self, address: str, pictures: int, links: list[str]) -> None:
        """Note a page that was read: how many new `pictures` it showed, and its new `links`."""
        pattern = pattern_of(address)
        elsewhere = any(other != pattern and other not in self.barren for other in map(pattern_of, links))
        if pictures or elsewhere:
            self.barren[pattern] = 0
        elif pattern in self.barren or len(self.barren) < MOST_PATTERNS:
            self.barren[pattern] = self.barren.get(pattern, 0) + 1

    def holds(self, address: str) -> bool:
        """Say whether the page at `address` is one of those that are left."""
        pattern = pattern_of(address)
        if self.barren.get(pattern, 0) < self.patience:
            return False
        self.left.setdefault(pattern, address)
        return True
