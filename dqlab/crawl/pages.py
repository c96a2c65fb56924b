"""The first kind of task: fetch a page and say which pictures it shows and which pages of its site it links to."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from urllib.parse import urlsplit

from dqlab.crawl.addresses import absolute, candidates, site_of
from dqlab.crawl.web import FetchFailed, Limits, get

__all__ = ["Page", "fetch_page", "parse"]

#: the content types that are read as HTML
HTML = ("text/html", "application/xhtml+xml")
#: bytes; what stands beyond is no page for people
LARGEST_PAGE = 5_000_000
#: a link to such a name leads to a picture, not to a page
PICTURE_NAME = re.compile(r"\.(png|jpe?g|gif|webp|avif|bmp|svg)$", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """What a page holds: where it lay in the end, addresses of pictures and of pages of the same site, or an error."""

    url: str
    images: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    error: str | None = None


def fetch_page(url: str, limits: Limits) -> Page:
    """Fetch and parse the page at `url`; a link that turns out to be a picture is a page with that one picture."""
    try:
        answer = get(url, Limits(limits.timeout, limits.deadline, LARGEST_PAGE), wants=HTML.__contains__)
    except FetchFailed as failure:
        return Page(url, error=failure.message)
    if answer.kind.startswith("image/"):
        return Page(answer.url, images=(url,))
    return parse(answer.body, answer.url, answer.charset)


def parse(html: bytes, url: str, charset: str | None = None) -> Page:
    """Find pictures and links in the `html` of the page at `url`; `charset` is what the server said, if it did."""
    from bs4 import BeautifulSoup, SoupStrainer, XMLParsedAsHTMLWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)  # XHTML is fine
        only = SoupStrainer(["a", "area", "base", "img", "source"])
        soup = BeautifulSoup(html, "html.parser", parse_only=only, from_encoding=charset)
    bases = [base["href"] for base in soup.find_all("base", href=True)]
    base = absolute(url, str(bases[0])) if bases else None

    shown: list[str] = []
    for tag in soup.find_all(["img", "source"]):
        if tag.name == "img" and tag.get("src"):  # the src of a <source> is a film or a sound
            shown.append(str(tag["src"]))
        shown += candidates(str(tag.get("srcset", "")))
    linked = [str(tag["href"]) for tag in soup.find_all(["a", "area"], href=True)]

    images = [address for text in shown if (address := absolute(base or url, text))]
    links = [address for text in linked if (address := absolute(base or url, text))]
    pages: list[str] = []
    for link in links:
        if site_of(link) == site_of(url):
            (images if PICTURE_NAME.search(urlsplit(link).path) else pages).append(link)
    return Page(url, unique(images), unique(pages))


def unique(addresses: list[str]) -> tuple[str, ...]:
    """Return each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(addresses))
