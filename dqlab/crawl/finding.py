"""Which addresses a crawl asks for: what pages lead to, less what was seen, is elsewhere, or leads nowhere.

    start page, sitemaps, lists ──> errands ──> (fetched elsewhere) ──> pages ──> take ──> errands ──> ...

It runs in the client, fetches nothing, and forgets no page: see `page_log`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from dqlab.crawl import lists
from dqlab.crawl.addresses import absolute, shown, site_of
from dqlab.crawl.errand import Errand
from dqlab.crawl.failures import FORBIDDEN
from dqlab.crawl.manifest import mark
from dqlab.crawl.page_log import PageLog
from dqlab.crawl.pages import Page
from dqlab.crawl.scope import Scope
from dqlab.crawl.store import Store
from dqlab.crawl.traps import PATIENCE, Traps, identity

if TYPE_CHECKING:
    from dqlab.crawl.images import Image
    from dqlab.crawl.settings import Settings

__all__ = ["Finding"]

#: where a site's map lies if its robots.txt doesn't say
SITEMAP = "/sitemap.xml"
#: documents that belong to pages (frames, style sheets, sitemaps, feeds): in all, and for each page more
PARTS, PARTS_A_PAGE = 100, 10
#: examples of what was left out that are told
EXAMPLES = 3


class Finding:
    """One crawl's addresses. `store` knows what is here already, `log` the pages that an earlier run has read."""

    def __init__(self, settings: Settings, store: Store, log: PageLog | None = None) -> None:
        self.settings, self.store, self.log = settings, store, log
        self.scope = Scope(tuple(settings.spans), tuple(settings.includes), tuple(settings.excludes))
        self.start = absolute(settings.url or "", "") or ""
        self.home = ""  # the site of the first page, after its redirects
        self.depth = settings.depth if settings.depth is not None else 0 if settings.from_file else None
        self.pages_left, self.parts_left = settings.max_pages, PARTS
        self.more_pages = False
        self.seen_pages, self.seen_images = set[int](), set[int]()  # by their mark: there may be millions
        self.parts, self.guesses = set[str](), set[str]()
        self.goes_on = log is not None and any(log.read())
        self.traps = Traps()
        self.kept = 0  # pictures that are here already
        self.left_out = Counter[str]()  # by reason
        self.skipped = dict[str, str]()  # of a list, with an example of each

    # -- where it begins -----------------------------------------------------------------------------------------------

    def begin(self) -> Iterator[Errand]:
        """Yield what to begin with: a list's addresses, one by one as they are drawn, or the start page."""
        if self.settings.from_file:
            yield from self._listed(self.settings.from_file)
            return
        for asked in [self.start, *(asked for asked, _, _ in self._log())]:
            self._is_new_page(asked)
        self.pages_left -= not self.goes_on
        yield Errand(url=self.start, page=True)

    def sitemaps(self, addresses: Iterable[str]) -> list[Errand]:
        """Return the errands for the site's maps: those that its robots.txt names, else the usual one."""
        if self.settings.from_file or self.depth == 0:
            return []
        guess = absolute(self.start, SITEMAP) or ""
        named = [address for one in addresses if (address := absolute(self.start, one))]
        if not named:
            self.guesses.add(guess)
        return self._parts(named or [guess], Errand(url=self.start, page=True, referer=self.start))

    def _listed(self, source: str) -> Iterator[Errand]:
        """Yield an errand for each address of a list; what it is, a picture or a page, shows when it is fetched."""
        with lists.open_list(source) as lines:
            for address in lists.addresses(lines, source, self.settings.column, self._skipped):
                yield from self._new_picture(address, None, 0, link=True)

    def _skipped(self, value: str) -> None:
        why = "an address with a name and password" if absolute(value, "") else "no address"
        self.left_out[self.skipped.setdefault(why, f"{why}, such as {shown(value)[:60]!r}")] += 1

    def _remembered(self) -> Iterator[Errand]:
        """Yield what the pages of an earlier run lead to, without the pages themselves."""
        for asked, depth, page in self._log():
            yield from self._behind(Errand(url=asked, page=True, depth=depth), page)

    def _log(self) -> Iterable[tuple[str, int, Page]]:
        return self.log.read() if self.log else ()

    # -- what pages lead to --------------------------------------------------------------------------------------------

    def take(self, errand: Errand, page: Page) -> list[Errand]:
        """Return the errands for what is new behind `page`, which `errand` brought."""
        if page.error is not None:
            return []
        is_first = errand.url == self.start
        if self.log and not (is_first and self.goes_on):
            self.log.note(errand.url, errand.depth, page)
        new = list(self._behind(errand, page))
        return new + list(self._remembered()) if is_first and self.goes_on else new

    def _behind(self, errand: Errand, page: Page) -> Iterator[Errand]:
        if not self.home and not self.settings.from_file:
            self.home = site_of(page.url)
        is_part = errand.url in self.parts
        self.parts_left += PARTS_A_PAGE
        self._is_new_page(page.url)
        if errand.link and not errand.page:  # a link that looked like one to a picture
            self.pages_left -= 1
        if self.home and not is_part and not self.scope.has_page(page.url, self.home):  # redirected to somebody else
            self.left_out["redirected to another site"] += 1
            return
        if page.forbidden:
            self.left_out[f"pages that say {page.forbidden}"] += 1
        pictures = [
            one
            for addresses, link in ((page.images, False), (page.enlarged, True), (page.linked, True))
            for address in addresses
            for one in self._new_picture(address, page.url, errand.depth, link)
        ]
        links = list(self._links(errand, page))
        if not is_part:
            self.traps.note(page.url, len(pictures), [link.url for link in links])
        yield from pictures
        yield from self._parts(page.parts, replace(errand, referer=page.url))
        yield from links

    def _new_picture(self, address: str, referer: str | None, depth: int, link: bool) -> Iterator[Errand]:
        if (known := mark(address)) in self.seen_images:
            return
        self.seen_images.add(known)
        if self.scope.has_picture(address):
            yield from self._picture(address, referer, depth, link and self._is_ours(address))
        else:
            self.left_out["--include and --exclude"] += 1

    def _picture(self, address: str, referer: str | None, depth: int, link: bool) -> Iterator[Errand]:
        """Yield the errand for a picture, unless it is here and isn't to be asked for again."""
        errand = Errand(url=address, referer=referer, depth=depth, link=link)
        entry = self.store.entry(address)
        if entry is None:
            yield errand
        elif self.settings.refresh:
            yield replace(errand, etag=entry.etag, last_modified=entry.last_modified)
        else:
            self.kept += 1

    def _links(self, errand: Errand, page: Page) -> Iterator[Errand]:
        """Yield the pages of the site that are to be read; as many as there is room for, however endless it is."""
        if self.depth is not None and errand.depth >= self.depth:
            return
        for link in page.links:
            if mark(identity(link)) in self.seen_pages or not self._is_ours(link) or self.traps.holds(link):
                continue
            if self.pages_left <= 0:
                self.more_pages = True
                return
            self.pages_left -= 1
            self._is_new_page(link)
            yield Errand(url=link, page=True, link=True, referer=page.url, depth=errand.depth + 1)

    def _is_new_page(self, address: str) -> bool:
        """Say whether the page at `address` wasn't seen before, and note that it is now."""
        known = mark(identity(address))
        if known in self.seen_pages:
            return False
        self.seen_pages.add(known)
        return True

    def _is_ours(self, address: str) -> bool:
        """Say whether the page at `address` belongs to this crawl."""
        return self.scope.has_page(address, self.home or site_of(address))

    def _parts(self, addresses: Iterable[str], of: Errand) -> list[Errand]:
        """Return the errands for documents that belong to the page that `of` brought, wherever they lie."""
        errands = []
        for address in addresses:
            if self.scope.keeps_out(address) or self.parts_left <= 0 or not self._is_new_page(address):
                continue
            self.parts_left -= 1
            self.parts.add(address)
            errands.append(Errand(url=address, page=True, link=True, referer=of.referer, depth=of.depth))
        return errands

    # -- what is said --------------------------------------------------------------------------------------------------

    def counts(self, errand: Errand) -> bool:
        """
        Say whether what `errand` brings is one of the pages that are counted.

        A style sheet, a sitemap or a frame is none, and neither is the first page of a crawl that goes on.
        """
        return errand.url not in self.parts and not (self.goes_on and errand.url == self.start)

    def minds(self, errand: Errand, page: Page) -> bool:
        """
        Say whether it is a loss that `errand` brought a `page` with an error.

        It is none if nobody said that something is there, or if what a page links to turned out to be a PDF or a film,
        or is kept from crawlers by its owner.
        """
        passed_over = not page.readable or page.error == FORBIDDEN
        if errand.page and errand.depth and passed_over and errand.url not in self.parts:
            self.left_out[page.error or ""] += 1
            return False
        return errand.url not in self.guesses

    def refuses(self, image: Image) -> str | None:
        """Return why the picture that came is not to be kept; None if it is."""
        reason = too_small(image, self.settings)
        self.left_out.update([reason] if reason else [])
        return reason

    @property
    def notes(self) -> list[str]:
        """What is to be said at the end of addresses that were not asked for, a sentence each."""
        said = [f"{reason}: {count} left out" for reason, count in self.left_out.most_common(EXAMPLES)]
        if trapped := list(self.traps.left.values()):
            more = f" and {len(trapped) - 1} others like it" if len(trapped) > 1 else ""
            said.append(f"{trapped[0]}{more} not read: {PATIENCE} pages of that pattern brought nothing new")
        return said

    def close(self, finished: bool) -> None:
        """End: what a crawl that `finished` has read is forgotten, unless the next run is to go on from it."""
        if self.log:
            self.log.close(finished=finished, more=self.more_pages)


def too_small(image: Image, settings: Settings) -> str | None:
    """Return in which way `image` is smaller than `settings` ask for; None if it isn't, or doesn't say its size."""
    if image.size < settings.min_bytes:
        return f"smaller than {settings.min_bytes} bytes"
    if settings.min_size and image.width is not None and image.height is not None:
        width, height = settings.min_size
        if image.width < width or image.height < height:
            return f"smaller than {width}x{height} pixels"
    return None
