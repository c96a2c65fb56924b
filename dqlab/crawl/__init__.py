"""Bring every picture of a web site home, by as many workers as there are.

    from dqlab.crawl import crawl

    summary = crawl(master, "http://127.0.0.1:8000/", "pictures")
    print(summary)

A task is a handful of addresses. Read `driver` first, which has a drawing; then `finding` (which addresses are wanted),
`frontier` (which may be asked for now), `handful` (what workers run), `web` (one polite request), `pages` and `images`
(what came), `store` (the folder).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dqlab.crawl.command import add_arguments, run
    from dqlab.crawl.driver import crawl
    from dqlab.crawl.gallery_page import gallery
    from dqlab.crawl.manifest import Entry, read_manifest
    from dqlab.crawl.summary import Summary

__all__ = ["Entry", "Summary", "add_arguments", "crawl", "gallery", "read_manifest", "run"]

HOME = {
    "add_arguments": "command",
    "run": "command",
    "crawl": "driver",
    "gallery": "gallery_page",
    "Entry": "manifest",
    "read_manifest": "manifest",
    "Summary": "summary",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: workers run `handful` and need none of them."""
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"dqlab.crawl.{HOME[name]}"), name)
    return value
