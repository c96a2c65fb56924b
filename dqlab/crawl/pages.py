"""The first kind of task: fetch a page and say which pictures it shows and which pages of its site it links to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from dqlab.crawl.addresses import absolute, candidates, site_of
from dqlab.crawl.web import FetchFailed, Limits, get

__all__ = ["Page", "fetch_page", "parse"]

#: the content types that are read as HTML
HTML = ("text/html", "application/xhtml+xml")
#: bytes; what stands beyond is no page for people
LARGEST_PAGE = 5_000_000
#: characters of all addresses found on one page: a long <base href> makes each of a million references long
LONGEST_LIST = LARGEST_PAGE
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
    from bs4.exceptions import ParserRejectedMarkup

    try:
        return parse(answer.body, answer.url, answer.charset)
    except ParserRejectedMarkup:
        return Page(url, error="its HTML can't be read")


def parse(html: bytes, url: str, charset: str | None = None) -> Page:
    """Find pictures and links in the `html` of the page at `url`; `charset` is what the server said, if it did."""
    from bs4 import BeautifulSoup, SoupStrainer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XHTML is fine, and so is a page that consists of one address
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

    images = addresses(base or url, shown)
    pages: dict[str, None] = {}
    for link in addresses(base or url, linked):
        if site_of(link) == site_of(url):
            (images if PICTURE_NAME.search(urlsplit(link).path) else pages)[link] = None
    return Page(url, tuple(images), tuple(pages))


def addresses(base: str, references: Iterable[str]) -> dict[str, None]:
    """Return each address once, in the order of their first appearance, as far as all are to be had."""
    found: dict[str, None] = {}
    room = LONGEST_LIST
    for reference in references:
        if (address := absolute(base, reference)) and address not in found:
            room -= len(address)
            if room < 0:
                break
            found[address] = None
    return found
