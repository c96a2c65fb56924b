"""What a site's robots.txt allows, as RFC 9309 reads it: the longest matching rule counts, `*` and `$` are special.

Robots("User-agent: *\\nDisallow: /private/").allows("http://host/private/a.png")      # False
"""

from __future__ import annotations

import re
import string
from urllib.parse import quote, urlsplit

__all__ = ["AGENT", "Robots"]

#: the name by which a site may address this crawler
AGENT = "dqlab"
#: the name that a User-agent line begins with; a version may follow
NAME = re.compile(r"[*]|[a-z_-]+")
UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
ESCAPE = re.compile("%[0-9A-Fa-f]{2}")


class Robots:
    """The rules for one agent: those of its own groups if there are any, else those for everybody."""

    def __init__(self, text: str, agent: str = AGENT) -> None:
        groups = parse(text)
        own = [rules for names, rules in groups if agent in names]
        everybody = [rules for names, rules in groups if "*" in names]
        self._rules = [rule for rules in own or everybody for rule in rules]

    def allows(self, address: str) -> bool:
        """Say whether `address` may be fetched."""
        parts = urlsplit(address)
        path = spelled(parts.path + ("?" + parts.query if parts.query else "")) or "/"
        # longest pattern first; of two equally long ones the one that allows
        matching = [(len(pattern), allow) for allow, pattern in self._rules if matches(pattern, path)]
        return max(matching, default=(0, True))[1]


def parse(text: str) -> list[tuple[set[str], list[tuple[bool, str]]]]:
    """Return the groups of a robots.txt: the agents named (lower case) and the rules (allow?, pattern)."""
    groups: list[tuple[set[str], list[tuple[bool, str]]]] = []
    naming = False  # several User-agent lines in a row head one group
    for line in text.removeprefix("\ufeff").splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            if not naming:
                groups.append((set(), []))
            groups[-1][0].update(NAME.findall(value.lower())[:1])
            naming = True
        elif key in ("allow", "disallow") and groups:
            naming = False
            if value:  # an empty rule rules nothing
                groups[-1][1].append((key == "allow", spelled(value)))
    return groups


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
