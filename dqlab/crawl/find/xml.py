"""The elements of an XML document one after the other, as far as it is one: without a tree, without entities.

Many are none by a hair: they have a "&" that stands for itself, an HTML entity, or a prefix that was never declared.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

__all__ = ["Element", "elements", "root"]

#: a "&" that stands for itself; what is CDATA is passed over
AMPERSAND = re.compile(
    rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?!(?:#\d+|#x[\da-f]+|amp|lt|gt|quot|apos);)", re.DOTALL | re.IGNORECASE
)
#: bytes given to the parser at a time: what it finds in them is held
PIECE = 64 * 1024
#: characters of one element's text that are kept
LONGEST_TEXT = 1_000_000


@dataclass
class Element:
    """An element that has ended: its `name` (no prefix, lower case), its parent's name, attributes and own text."""

    name: str
    parent: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""


class Entities(Exception):
    """The document defines entities of its own; those can make ten lines a gigabyte, and no list of addresses does."""


def elements(body: bytes) -> Iterator[Element]:
    """
    Yield the elements of the document `body` as they end; where it isn't XML any more, they end too.

    One that is XML but for its ampersands comes once more from its beginning.
    """
    body = body.lstrip()
    whole = yield from parsed(body)
    if not whole and b"\0" not in body[:PIECE]:
        mended = AMPERSAND.sub(lambda found: b"&amp;" if found[0] == b"&" else found[0], body)
        if mended != body:
            yield from parsed(mended)


def parsed(body: bytes) -> Generator[Element, None, bool]:
    """Yield the elements of `body` as they end; return whether it is XML to its end."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    ended: list[Element] = []
    open: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        parent = open[-1].name if open else ""
        open.append(Element(local(name), parent, {local(key): value for key, value in attributes.items()}))

    def text(data: str) -> None:
        if open and len(open[-1].text) < LONGEST_TEXT:
            open[-1].text += data

    def end(name: str) -> None:
        ended.append(open.pop())

    def refuse(*declaration: object) -> None:
        raise Entities

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.EntityDeclHandler = refuse
    for place in range(0, len(body), PIECE):
        try:
            parser.Parse(body[place : place + PIECE], place + PIECE >= len(body))
        except (expat.ExpatError, Entities, LookupError, ValueError):  # cut, none of ours, or no known encoding
            yield from ended
            return False
        yield from ended
        ended.clear()
    return True


def root(body: bytes) -> str:
    """Return the name of the document's outermost element, in lower case; "" if it has none."""
    parser = expat.ParserCreate()
    found: list[str] = []
    parser.StartElementHandler = lambda name, attributes: found.append(local(name))
    for place in range(0, min(len(body := body.lstrip()), PIECE), 1024):
        try:
            parser.Parse(body[place : place + 1024])
        except (expat.ExpatError, LookupError, ValueError):
            break
        if found:
            break
    return found[0] if found else ""


def local(name: str) -> str:
    """Return a name without its prefix."""
    return name.rpartition(":")[2].lower()
