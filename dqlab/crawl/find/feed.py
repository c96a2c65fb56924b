"""Feeds: RSS and Atom, with enclosures, media and thumbnails, and the HTML that their entries carry."""

from __future__ import annotations

from dataclasses import replace

from dqlab.crawl.find.found import Addresses, Found
from dqlab.crawl.find.html import Reader
from dqlab.crawl.find.xml import Element, elements
from dqlab.crawl.names import has_picture_name

__all__ = ["ROOTS", "find"]

#: the outermost elements that make a document a feed (the last one is RSS 1.0)
ROOTS = ("rss", "feed", "rdf")
#: elements whose text is HTML
HTML = {"description", "encoded", "content", "summary"}
#: elements with pictures of the XHTML that Atom may have instead
XHTML = {"img", "source", "video"}
#: elements whose text is a picture's address
IMAGES = {("url", "image"), ("logo", "feed"), ("icon", "feed"), ("image", "item")}


def find(body: bytes, url: str, best: bool = False) -> Found:
    """Return the pictures and pages of the feed `body` at `url`; `best`: the largest of each srcset only."""
    links = Addresses()
    reader = Reader(url, best)  # for the HTML in it, and for the pictures around that
    for element in elements(body):
        if element.name == "link":
            link(element, reader, links)
        elif is_picture(element):
            reader.images.note(url, element.attributes.get("url") or element.attributes.get("href", ""))
        elif (element.name, element.parent) in IMAGES and not element.attributes:
            reader.images.note(url, element.text)
        elif element.name in HTML and "<" in element.text:
            reader.frame(element.text)
        elif element.name in XHTML:
            reader.handle_starttag(element.name, list(element.attributes.items()))
        elif element.name == "a":  # which has ended, after what stands in it
            reader.anchor = element.attributes.get("href", "")
            reader.anchor_ends()
    return replace(reader.found(), links=tuple(links))


def link(element: Element, reader: Reader, links: Addresses) -> None:
    """Note where an entry leads: RSS has the address as text, Atom in an attribute with what it is."""
    rel, href = element.attributes.get("rel", "alternate"), element.attributes.get("href", "")
    if rel == "enclosure":
        if is_picture(element):
            reader.images.note(reader.base, href)
    elif rel in ("alternate", "next"):
        links.note(reader.base, href or element.text)


def is_picture(element: Element) -> bool:
    """Say whether an element's attributes describe a picture."""
    attributes = element.attributes
    if element.name == "thumbnail" or (element.name == "image" and "href" in attributes):
        return True
    if element.name not in ("enclosure", "content", "link") or not {"url", "href"} & attributes.keys():
        return False
    kind = attributes.get("type", "") or attributes.get("medium", "")
    return kind.lower().startswith("image") or (
        not kind and has_picture_name(attributes.get("url") or attributes.get("href", ""))
    )
