"""What a site's robots.txt allows, as RFC 9309 reads it: the longest matching rule counts, `*` and `$` are special.

Robots("User-agent: *\\nDisallow: /private/").allows("http://host/private/a.png")      # False
"""

from __future__ import annotations

import contextlib
import re
import string
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

__all__ = ["AGENT", "Robots"]

#: the name by which a site may address this crawler
AGENT = "dqlab"
#: the name that a User-agent line begins with; a version may follow
NAME = re.compile(r"[*]|[a-z_-]+")
#: seconds between two requests that a site may ask for, and sitemaps that it may have
LONGEST_DELAY, MOST_SITEMAPS = 60.0, 100
UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


class Robots:
    """The rules for one agent: those of its own groups if there are any, else those for everybody."""

    def __init__(self, text: str, agent: str = AGENT) -> None:
        groups, sitemaps = parse(text)
        groups = [group for group in groups if agent in group.names] or [g for g in groups if "*" in g.names]
        self._rules = [rule for group in groups for rule in group.rules]
        #: seconds between two requests that the site asks for
        self.delay = max((group.delay for group in groups), default=0.0)
        #: where the site's lists of pages are
        self.sitemaps = tuple(sitemaps)

    def allows(self, address: str) -> bool:
        """Say whether `address` may be fetched."""
        if not self._rules:
            return True
        parts = urlsplit(address)
        path = spelled(parts.path + ("?" + parts.query if parts.query else "")) or "/"
        # longest pattern first; of two equally long ones the one that allows
        matching = [(len(pattern), allow) for allow, pattern in self._rules if matches(pattern, path)]
        return max(matching, default=(0, True))[1]


@dataclass
class Group:
    """What holds for the agents with these `names` (lower case): rules (allow?, pattern), seconds between requests."""

    names: set[str] = field(default_factory=set)
    rules: list[tuple[bool, str]] = field(default_factory=list)
    delay: float = 0.0


def parse(text: str) -> tuple[list[Group], list[str]]:
    """Return the groups of a robots.txt, and the addresses of sitemaps."""
    groups: list[Group] = []
    sitemaps: list[str] = []
    naming = False  # several User-agent lines in a row head one group
    for line in text.removeprefix("\ufeff").splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            if not naming:
                groups.append(Group())
            groups[-1].names.update(NAME.findall(value.lower())[:1])
            naming = True
        elif key in ("allow", "disallow") and groups:
            naming = False
            if value:  # an empty rule rules nothing
                groups[-1].rules.append((key == "allow", spelled(value)))
        elif key == "crawl-delay" and groups:
            naming = False
            with contextlib.suppress(ValueError):
                groups[-1].delay = min(max(0.0, float(value)), LONGEST_DELAY)
        elif key == "sitemap" and len(sitemaps) < MOST_SITEMAPS:
            sitemaps.append(value)
    return groups, sitemaps


def spelled(path: str) -> str:
    """Return `path` with everything escaped that must be, and nothing that needn't be."""

    def escape(match: re.Match[str]) -> str:
        character = chr(int(match[0][1:], 16))
        return character if character in UNRESERVED else match[0].upper()

    return ESCAPE.sub(escape, quote(path, safe=string.punctuation))


def matches(pattern: str, path: str) -> bool:
    """Say whether `path` begins as `pattern` says; `*` stands for anything, a `$` at the end for the end."""
    anchored = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    place = len(first)
    if anchored:
        if not others:
            return len(path) == place
        last = others.pop()
        if len(path) - len(last) < place or not path.endswith(last):
            return False
        path = path[: len(path) - len(last)]
    for piece in others:
        place = path.find(piece, place)
        if place < 0:
            return False
        place += len(piece)
    return True
