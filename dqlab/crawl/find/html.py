"""Pictures and links of an HTML page.

The page is read as a stream of tags, without a tree: that takes half the time of one, and no page is too deep.
"""

from __future__ import annotations

import re
from html.entities import html5
from html.parser import HTMLParser

from dqlab.crawl.addresses import absolute
from dqlab.crawl.find import css, json_ld
from dqlab.crawl.find.attributes import alternatives, attached, embedded
from dqlab.crawl.find.found import Addresses, Found
from dqlab.crawl.find.srcset import Candidate, best
from dqlab.crawl.names import has_picture_name
from dqlab.crawl.robots import AGENT

__all__ = ["Reader", "find"]

#: what `rel` of a link says of documents that belong to the page, and of pages that follow it
PARTS, PAGES = {"stylesheet", "sitemap", "manifest"}, {"next", "prev"}
FEED = re.compile(r"application/(rss|atom|rdf)\+xml", re.IGNORECASE)
#: "5; url=/elsewhere", in all spellings that browsers take
REFRESH = re.compile(r"\s*[\d.]*\s*[;,\s]\s*(?:url\s*=\s*)?(?:\"([^\"]+)|'([^']+)|(\S.*))", re.IGNORECASE | re.DOTALL)
#: scripts that are data about the page
JSON_LD = re.compile(r"application/ld\+json", re.IGNORECASE)
#: in an attribute, what begins like a character's name and doesn't end like one
PARAMETER = re.compile(r"&(?P<name>[a-z][a-z\d]*+)(?P<end>=|(?!;))", re.IGNORECASE)


def find(html: str, url: str, best: bool = False, charset: str = "utf-8") -> Found:
    """
    Return what the page `html` at `url` leads to; `best`: the largest version of each picture only; `charset`: in which
    it was written.
    """
    reader = Reader(url, best, charset=charset)
    reader.feed(html)
    reader.close()
    return reader.found()


class Reader(HTMLParser):
    """Notes addresses while the page goes by. `base` is what references are relative to."""

    #: elements in which no tag begins: what looks like one there is text
    CDATA_CONTENT_ELEMENTS = ("script", "style", "title", "textarea", "xmp")  # type: ignore[misc]

    def __init__(self, url: str, best: bool, framed: bool = False, charset: str = "utf-8") -> None:
        super().__init__()
        self.base, self.best, self.framed, self.charset = url, best, framed, charset
        self.images, self.enlarged, self.linked, self.links, self.parts = (Addresses(charset) for _ in range(5))
        self.robots = set[str]()
        self.based = False
        self.anchor, self.thumbnail = "", False  # the link that is open, and whether it has shown a picture
        self.picture: list[Candidate] | None = None  # versions in the <picture> that is open
        self.language, self.text = "", list[str]()  # of the <style> or <script> that is open

    def end(self) -> None:
        """End what nobody has closed."""
        self.picture_ends()
        self.anchor_ends()

    def found(self) -> Found:
        """Return what was noted."""
        self.end()
        images, enlarged, linked, links, parts = map(tuple, self.lists())
        return Found(images, enlarged, linked, links, parts, frozenset(self.robots))

    def lists(self) -> tuple[Addresses, ...]:
        """Return the addresses by their sort, in the order that `Found` has."""
        return self.images, self.enlarged, self.linked, self.links, self.parts

    # -- what HTMLParser calls -----------------------------------------------------------------------------------------

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag refers to."""
        given = {name: value for name, value in reversed(attrs) if value}  # of two equal ones the first counts
        if tag == "a":
            self.anchor_ends()
            self.anchor = given.get("href", "")
        elif tag == "area":
            self.link(given.get("href", ""), thumbnail=False)
        elif tag == "picture":
            self.picture_ends()
            self.picture = []
        elif tag in ("style", "script"):
            self.language = "css" if tag == "style" else "json" if JSON_LD.match(given.get("type", "")) else ""
        elif tag in ("base", "meta", "link", "iframe", "frame", "object"):
            self.part(tag, given)
        if given:
            self.element(tag, alternatives(tag, given))
            for versions in (*attached(tag, given), *embedded(tag, given)):
                self.show(versions)

    def handle_endtag(self, tag: str) -> None:
        """Close what was open."""
        if tag == "a":
            self.anchor_ends()
        elif tag == "picture":
            self.picture_ends()
        elif tag in ("style", "script"):
            language, text = self.language, "".join(self.text)
            self.language, self.text = "", []
            if language == "css":
                self.sheet(text)
            elif language == "json":
                for reference in json_ld.references(text):
                    self.image(reference)

    def handle_data(self, data: str) -> None:
        """Keep the text of style sheets and scripts."""
        if self.language:
            self.text.append(data)

    def parse_starttag(self, i: int) -> int:
        """Read a tag; in its attributes the name of a parameter is none of a character, as in "?a=1&section=2"."""
        end = self.check_for_whole_start_tag(i)
        if end < 0 or "&" not in (tag := self.rawdata[i:end]):
            return super().parse_starttag(i)
        page, self.rawdata = self.rawdata, PARAMETER.sub(meant, tag)
        super().parse_starttag(0)
        self.rawdata = page
        return end

    def updatepos(self, i: int, j: int) -> int:
        """Count no lines: nobody asks on which one a tag stands."""
        return j

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Pass over "<![if IE]>" and its like, as browsers do; HTMLParser gives up a page that has an unknown one."""
        end = self.rawdata.find(">", i)
        return end + 1 if end >= 0 else -1

    # -- what tags mean ------------------------------------------------------------------------------------------------

    def image(self, reference: str) -> None:
        """Note a picture that the page shows."""
        self.images.note(self.base, reference)
        self.thumbnail = True

    def element(self, tag: str, versions: list[Candidate]) -> None:
        """Note the versions that an element shows; those of a <picture> are one picture, up to the <img> in it."""
        if self.picture is None:
            self.show(versions)
            return
        self.picture += versions
        if versions and tag != "source":
            self.picture_ends()

    def picture_ends(self) -> None:
        """Note the <picture> that was open."""
        versions, self.picture = self.picture, None
        self.show(versions or [])

    def show(self, versions: list[Candidate]) -> None:
        """Note one picture in its versions: all of them or the largest."""
        if self.best and versions:
            versions = [best([one for one in versions if absolute(self.base, one.reference)] or versions)]
        for version in versions:
            self.image(version.reference)

    def sheet(self, text: str) -> None:
        """Note what a style sheet within the page refers to."""
        sheet = css.read(text)
        for reference in sheet.images:
            self.images.note(self.base, reference)
        for reference in sheet.imports:
            self.parts.note(self.base, reference)

    def anchor_ends(self) -> None:
        """Note the link that was open, as now it is known what stood in it."""
        if self.anchor:
            self.link(self.anchor, self.thumbnail)
        self.anchor, self.thumbnail = "", False

    def link(self, reference: str, thumbnail: bool) -> None:
        """Note a link: to a page, or to what has a picture's name, perhaps the large version of a thumbnail."""
        if address := absolute(self.base, reference, self.charset):
            pictures = self.enlarged if thumbnail else self.linked
            (pictures if has_picture_name(address) else self.links).keep(address)

    def part(self, tag: str, given: dict[str, str]) -> None:
        """Note what belongs to the page, or says something of all of it."""
        if tag == "base" and "href" in given and not self.based:
            self.base, self.based = absolute(self.base, given["href"]) or self.base, True
        elif tag == "meta":
            self.meta(given)
        elif tag == "link":
            rels = set(given.get("rel", "").lower().split())
            if rels & PARTS or given.get("as", "").lower() == "style" or FEED.match(given.get("type", "")):
                self.parts.note(self.base, given.get("href", ""))
            elif rels & PAGES:
                self.links.note(self.base, given.get("href", ""))
        elif tag == "object":
            if given.get("type", "").lower().startswith("text/html"):
                self.parts.note(self.base, given.get("data", ""))
        elif "srcdoc" in given and not self.framed:
            self.frame(given["srcdoc"])
        else:
            self.parts.note(self.base, given.get("src") or given.get("data-src") or "about:blank")

    def frame(self, html: str) -> None:
        """Note what HTML within this document, such as a frame's or a feed's, leads to (and no frame within that)."""
        inner = Reader(self.base, self.best, framed=True, charset=self.charset)
        inner.feed(html)
        inner.close()
        inner.end()
        for own, its in zip(self.lists(), inner.lists(), strict=True):
            for address in its:
                own.keep(address)

    def meta(self, given: dict[str, str]) -> None:
        """Note where the page sends its readers, and what it asks of robots."""
        content = given.get("content", "")
        if given.get("http-equiv", "").lower() == "refresh":
            if target := REFRESH.match(content):
                self.links.note(self.base, target[1] or target[2] or target[3])
        elif given.get("name", "").lower() in ("robots", AGENT):
            self.robots |= set(re.split(r"[,\s]+", content.lower().strip()))


def meant(parameter: re.Match[str]) -> str:
    """Return what is read as it stands, unless it is one of the old names that need no semicolon ("&copy ")."""
    is_character = parameter["name"] in html5 and not parameter["end"]
    return parameter[0] if is_character else f"&amp;{parameter['name']}{parameter['end']}"
