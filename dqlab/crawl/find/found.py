"""What a document leads to, and the bounded list that it is gathered in."""

from __future__ import annotations

from dataclasses import dataclass

from dqlab.crawl.addresses import absolute

__all__ = ["LONGEST_LIST", "Addresses", "Found"]

#: characters of all addresses of one sort in one document: a long <base href> makes each of a million references long
LONGEST_LIST = 5_000_000


@dataclass(frozen=True)
class Found:
    """
    Addresses in a document, each once, in the order of their appearance.

    `images` are shown there; `enlarged` and `linked` are links to what has a picture's name, the former around a
    thumbnail; `links` lead to other pages; `parts` are documents that belong to this one (frames, style sheets, feeds,
    sitemaps). `robots` are the directives of its robots meta tags ("noimageindex"), in lower case.
    """

    images: tuple[str, ...] = ()
    enlarged: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    robots: frozenset[str] = frozenset()

    def __or__(self, other: Found) -> Found:
        """What both hold, each address once."""
        images, enlarged, linked, links, parts = (
            tuple(dict.fromkeys((*getattr(self, name), *getattr(other, name))))
            for name in ("images", "enlarged", "linked", "links", "parts")
        )
        return Found(images, enlarged, linked, links, parts, self.robots | other.robots)


class Addresses(dict[str, None]):
    """An ordered set of addresses of a document in `charset` that stops growing at LONGEST_LIST characters."""

    def __init__(self, charset: str = "utf-8") -> None:
        super().__init__()
        self.room, self.charset = LONGEST_LIST, charset

    def note(self, base: str, reference: str) -> None:
        """Note what `reference` means on a page at `base`, if it means an address at all."""
        if "{{" in reference or "<%" in reference or not reference.strip():  # what a script was to fill
            return
        if self.room > 0 and (address := absolute(base, reference, self.charset)):
            self.keep(address)

    def keep(self, address: str) -> None:
        """Note `address` if there is room for it."""
        if address not in self and self.room > 0:
            self.room -= len(address)
            if self.room >= 0:
                self[address] = None
