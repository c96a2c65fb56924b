"""What owners wish about their pictures: `noimageindex` and `noai`, in a page's <meta name=robots> or X-Robots-Tag."""

from __future__ import annotations

from collections.abc import Iterable

from dqlab.crawl.robots import AGENT

__all__ = ["WISHES", "directives_ignored", "refusal"]

#: the wishes that are heeded, and the directives that express them
WISHES = {"noimageindex": ("noimageindex",), "noai": ("noai", "noimageai")}


def refusal(values: Iterable[str], ignore: tuple[str, ...] = ()) -> str | None:
    """
    Return why pictures may not be taken, if one of the `values` (contents of the meta elements or headers) says so.

    A value may begin with the name of a crawler for which it holds. `ignore`: wishes that don't count.
    """
    said: set[str] = set()
    for value in values:
        agent = ""
        for part in value.lower().split(","):
            name, colon, rest = part.partition(":")
            if colon and "-" not in name:  # "googlebot: noindex, nofollow"; "max-snippet: 20" names nobody
                agent, part = name.strip(), rest
            if agent in ("", AGENT, "robots"):
                said.add(part.strip())
    for wish, directives in WISHES.items():
        if wish not in ignore and said.intersection(directives):
            return f"its owner says {wish} (--ignore {wish})"
    return None


def directives_ignored(ignore: Iterable[str]) -> frozenset[str]:
    """Return the directives of the wishes that don't count."""
    return frozenset(directive for wish in ignore for directive in WISHES[wish])
