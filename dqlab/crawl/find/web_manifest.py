"""Pictures in the manifest of a web application (W3C): its icons, its screenshots, and its shortcuts' icons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dqlab.crawl.find.found import Addresses, Found
from dqlab.crawl.find.json_text import loaded

__all__ = ["find"]

#: the members that list pictures
PICTURES = ("icons", "screenshots")


def find(text: str, url: str) -> Found:
    """Return the pictures of the manifest `text` at `url`; none if it isn't JSON."""
    images = Addresses()
    manifest = loaded(text)
    for part in (manifest, *listed(manifest, "shortcuts")):
        for name in PICTURES:
            for picture in listed(part, name):
                if isinstance(source := picture.get("src"), str):
                    images.note(url, source)
    return Found(images=tuple(images))


def listed(thing: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in the list `name` of `thing`."""
    found = thing.get(name) if isinstance(thing, dict) else None
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()
