"""What a worker makes of a body that is no picture: which pictures it shows, and which pages it leads to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dqlab.crawl.addresses import site_of
from dqlab.crawl.errand import Errand
from dqlab.crawl.robots import AGENT
from dqlab.crawl.terms import Answer, Reading

__all__ = ["Page", "read"]

#: directives by which a site says that its pictures are not for robots, or not for machines to learn from
NO_PICTURES = ("noimageindex", "noimageai", "noai")


@dataclass(frozen=True)
class Page:
    """
    What a document holds: where it lay in the end, and addresses, each once; or an `error` in words.

    `images` are shown there; `enlarged` are pictures by name that a thumbnail links to, `linked` those of the same site
    that a text links to; `links` lead to pages of the site, `parts` to documents that belong to this one. `forbidden`
    is the directive by which the page keeps its pictures from robots; then it has none. `readable`: it is a document.
    """

    url: str
    images: tuple[str, ...] = ()
    enlarged: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    forbidden: str | None = None
    error: str | None = None
    readable: bool = True


def read(answer: Answer, errand: Errand, rules: Reading) -> Page:
    """Return what the document in `answer` leads to, or why it can't be read."""
    # Here, as most workers never need it: pictures are more than pages.
    from dqlab.crawl.find import Unreadable, find, header

    try:
        found = find(answer.body, answer.url, answer.kind, answer.charset, rules.best)
    except Unreadable as unreadable:
        return Page(answer.url, error=str(unreadable), readable=False)
    found |= header.find(answer.headers, answer.url, rules.best)
    site = site_of(answer.url)
    directives = found.robots | of_header(answer.headers.get("x-robots-tag", ""))
    forbidden = next((word for word in NO_PICTURES if word in directives - rules.ignore), None)
    return Page(
        answer.url,
        images=() if forbidden else found.images,
        enlarged=() if forbidden else found.enlarged,
        linked=() if forbidden else tuple(link for link in found.linked if rules.scope.has_page(link, site)),
        links=tuple(link for link in found.links if rules.scope.has_page(link, site)),
        parts=found.parts,
        forbidden=forbidden,
    )


def of_header(value: str) -> set[str]:
    """Return the directives of an X-Robots-Tag that are meant for everybody or for us ("otherbot: noindex" isn't)."""
    directives, agent = set[str](), ""
    for word in value.lower().split(","):
        name, colon, rest = word.strip().partition(":")
        if colon and re.fullmatch(r"[a-z*_-]+", name) and name not in ("unavailable_after", "max-image-preview"):
            agent, word = name, rest
        if agent in ("", "*", AGENT):
            directives.add(word.strip())
    return directives
