"""What kind of document a body is, whatever its label says, and what it leads to."""

from __future__ import annotations

import re
import zlib

from dqlab.crawl.ends import is_wide
from dqlab.crawl.find import css, feed, html, sitemap, web_manifest, xml
from dqlab.crawl.find.charset import read, text_of
from dqlab.crawl.find.found import Addresses, Found

__all__ = ["Unreadable", "find", "is_readable"]

#: content types that may hold a document; those that say nothing among them
READABLE = re.compile(r"|text/.*|.*[/+]xml|application/(x-)?gzip|(application|binary)/octet-stream|application/force.*")
#: content types that are read as HTML, and one that is CSS
HTML, CSS = ("text/html", "application/xhtml+xml"), "text/css"
#: content types that style sheets come with, too, and how the address of one ends
UNSURE = ("", "text/plain", "application/octet-stream", "binary/octet-stream")
SHEET_NAME = re.compile(r"\.css(?:\?|$)", re.IGNORECASE)
#: that of a web application's manifest, and how one begins that is called JSON only
MANIFEST = "application/manifest+json"
MANIFEST_BEGINS = re.compile(
    rb'(?:\xef\xbb\xbf)?\s*+\{.{0,4000}?"(?:icons|screenshots|short_name|start_url)"\s*+:', re.DOTALL
)
#: how HTML begins that has another label or none
HTML_BEGINS = re.compile(rb"\s*+<(?:!--|(?:!doctype\s+html|html|head|body|table|title|div|a|img|p)\b)", re.IGNORECASE)
#: how XML begins, or one of the documents in it that may lack the first line
XML_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*+<(?:\?xml|rss|feed|rdf|urlset|sitemapindex)\b", re.IGNORECASE)
#: how a sitemap begins that is a text: with an address on a line of its own
LIST_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*+https?://[^\s<>]++[ \t\r]*+(?:\n|\Z)", re.IGNORECASE)
#: how a packed sitemap begins, and bytes of it when it is unpacked (sitemaps.org allows this much)
PACKED, UNPACKED = b"\x1f\x8b", 50_000_000


class Unreadable(Exception):
    """The body is no document that is read here; the message says what it is."""


def is_readable(kind: str, head: bytes = b"") -> bool:
    """Say whether a body of the content type `kind` that begins with `head` is worth a look: it is no binary file."""
    if b"\0" in head and not head.startswith(PACKED) and not is_wide(head):  # the only text with zero bytes
        return False
    return READABLE.fullmatch(kind) is not None or kind == MANIFEST or MANIFEST_BEGINS.match(head) is not None


def find(body: bytes, url: str, kind: str = "text/html", charset: str | None = None, best: bool = False) -> Found:
    """
    Return what the document `body` at `url` leads to.

    `kind` and `charset` are what the server said; `best`: the largest version of each picture only. Raises Unreadable.
    """
    if body.startswith(PACKED):
        body = unpacked(body)
    if kind in UNSURE and SHEET_NAME.search(url):
        kind = CSS
    language = language_of(body, kind)
    if language == "html":
        text, written = read(body, charset)
        return html.find(text, url, best, written)
    if language == "css":
        return sheet(text_of(body, charset), url)
    if language == "sitemap":
        return sitemap.find(body, url)
    if language == "feed":
        return feed.find(body, url, best)
    if language == "manifest":
        return web_manifest.find(text_of(body, charset), url)
    if language == "list":
        return listed(text_of(body, charset), url)
    raise Unreadable(f"it is {kind or 'of no known kind'}, which isn't read")


def language_of(body: bytes, kind: str) -> str:
    """Return "html", "css", "sitemap", "feed", "manifest" or "list"; "" for anything else."""
    if XML_BEGINS.match(body) or kind.endswith("xml"):
        root = xml.root(body)
        if root in sitemap.ROOTS:
            return "sitemap"
        if root in feed.ROOTS:
            return "feed"
        if root == "html":
            return "html"
    if kind == CSS:
        return "css"
    if kind == MANIFEST or MANIFEST_BEGINS.match(body):
        return "manifest"
    if kind not in HTML and LIST_BEGINS.match(body):
        return "list"
    return "html" if kind in HTML or HTML_BEGINS.match(body) else ""


def listed(text: str, url: str) -> Found:
    """Return what the sitemap `text` at `url` leads to, which is a list of addresses, one a line (sitemaps.org)."""
    reader = html.Reader(url, best=False)
    for line in filter(str.strip, text.splitlines()):
        reader.link(line, thumbnail=False)
    return reader.found()


def sheet(text: str, url: str) -> Found:
    """Return what the style sheet `text` at `url` leads to."""
    images, parts = Addresses(), Addresses()
    read = css.read(text)
    for reference in read.images:
        images.note(url, reference)
    for reference in read.imports:
        parts.note(url, reference)
    return Found(images=tuple(images), parts=tuple(parts))


def unpacked(body: bytes) -> bytes:
    """Return what gzip packed, as far as it is whole and within bounds."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, UNPACKED)
    except zlib.error:
        return b""
