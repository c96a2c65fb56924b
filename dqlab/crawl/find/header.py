"""What the header of an answer leads to: `Link` and `Refresh` say what the elements of a page say."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dqlab.crawl.find.found import Found
from dqlab.crawl.find.html import Reader

__all__ = ["find"]

#: one value of Link: an address, and what is said of it (RFC 8288)
LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[\w*-]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"]*))?)*)')
PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"([^"]*)"|([^\s;,"]*))')


def find(headers: Mapping[str, str], url: str, best: bool = False) -> Found:
    """Return what the `headers` (by their names in lower case) of the answer at `url` lead to."""
    reader = Reader(url, best)
    for reference, parameters in LINK.findall(headers.get("link", "")):
        said = [(name.lower(), quoted or bare) for name, quoted, bare in PARAMETER.findall(parameters)]
        reader.handle_starttag("link", [("href", reference), *said])
    if refresh := headers.get("refresh"):
        reader.handle_starttag("meta", [("http-equiv", "refresh"), ("content", refresh)])
    return reader.found()
