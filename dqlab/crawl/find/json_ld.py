"""Pictures in JSON-LD (schema.org), as search engines read it from a page's scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dqlab.crawl.find.json_text import loaded
from dqlab.crawl.names import has_picture_name

__all__ = ["references"]

#: properties whose value is a picture: an address, an ImageObject, or a list of them
PICTURES = {"image", "images", "logo", "photo", "photos", "primaryimageofpage", "screenshot", "screenshots"}
PICTURES |= {"thumbnail", "thumbnailurl"}
#: where an ImageObject keeps its address, and JSON-LD what stands for one; its name may be one, too
ADDRESS = ("contentUrl", "url", "@list", "@value")
#: things that are pictures wherever they stand
TYPES = {"ImageObject", "Photograph", "Barcode"}
#: what old pages wrap a script in
WRAPPING = ("<!--", "//<![CDATA[", "<![CDATA[", "//]]>", "]]>", "-->", ";")


def references(text: str) -> Iterator[str]:
    """Yield the references to pictures in the script `text`; none if it isn't JSON."""
    text = text.strip()
    for wrapping in WRAPPING:
        text = text.removeprefix(wrapping).removesuffix(wrapping).strip()
    waiting: list[tuple[Any, bool]] = [(loaded(text), False)]  # with: is it a picture?
    while waiting:
        value, picture = waiting.pop()
        if isinstance(value, str):
            if picture:
                yield value
        elif isinstance(value, list):
            waiting += [(element, picture) for element in reversed(value)]
        elif isinstance(value, dict):
            waiting += reversed(list(parts(value, picture)))


def parts(thing: dict[str, Any], picture: bool) -> Iterator[tuple[Any, bool]]:
    """Yield the values of `thing`, each with: is it a picture?"""
    types = thing.get("@type")
    picture = picture or any(kind in TYPES for kind in (types if isinstance(types, list) else [types]) if kind)
    own = next((name for name in ADDRESS if isinstance(thing.get(name), (str, list))), "@id") if picture else None
    if own == "@id" and not has_picture_name(str(thing.get(own, ""))):
        own = None
    for name, value in thing.items():
        yield value, name == own or name.rpartition(":")[2].lower() in PICTURES
