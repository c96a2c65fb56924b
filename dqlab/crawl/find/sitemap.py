"""Sitemaps (sitemaps.org) with their image extension, and indexes of sitemaps."""

from __future__ import annotations

from dqlab.crawl.find.found import Addresses, Found
from dqlab.crawl.find.xml import elements

__all__ = ["ROOTS", "find"]

#: the outermost elements that make a document a sitemap
ROOTS = ("urlset", "sitemapindex")


def find(body: bytes, url: str) -> Found:
    """Return the pages, pictures and further sitemaps that the sitemap `body` at `url` lists."""
    images, links, parts = Addresses(), Addresses(), Addresses()
    place = {
        ("loc", "url"): links,
        ("loc", "image"): images,
        ("thumbnail_loc", "video"): images,
        ("loc", "sitemap"): parts,
    }
    for element in elements(body):
        if (addresses := place.get((element.name, element.parent))) is not None:
            addresses.note(url, element.text)
    return Found(images=tuple(images), links=tuple(links), parts=tuple(parts))
