"""The crawl itself: it runs in the client, hands out pages and pictures, and alone writes the folder.

                  pages to fetch ──> queue "pages"  ──> fetch_page  ──> addresses of pages and pictures ─┐
                        ^                                                                                │
                        └──────────────────────── those not seen yet ────────────────────────────────────┤
                        ┌────────────────────────────────────────────────────────────────────────────────┘
                        v
               pictures to fetch ──> queue "images" ──> fetch_image ──> bytes ──> Store

Only so many pictures are asked for at a time, so that memory stays bounded however large the site is.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from queue import Empty, SimpleQueue
from typing import Any

from dqlab.crawl.addresses import absolute, site_of
from dqlab.crawl.images import Image, fetch_image
from dqlab.crawl.pages import Page, fetch_page
from dqlab.crawl.settings import MAX_PAGES, OUTSTANDING, Settings
from dqlab.crawl.store import Store
from dqlab.crawl.summary import Summary
from dqlab.crawl.web import FetchFailed, Limits
from dqlab.errors import ConnectionFailed

__all__ = ["Crawl", "crawl"]

#: seconds beyond an answer's own limits after which the worker's process is taken to hang
GRACE = 60.0
#: seconds without any result after which the client looks whether there is a worker at all
SILENCE = 2.0


def crawl(
    client: Any,
    url: str,
    out: str | os.PathLike[str],
    *,
    max_pages: int = MAX_PAGES,
    delay: float = 0.0,
    timeout: float = Limits.timeout,
    max_bytes: int = Limits.max_bytes,
    outstanding: int = OUTSTANDING,
    progress: bool | None = None,
) -> Summary:
    """
    Bring every picture of the site at `url` into the folder `out`, by the workers of `client`, and say how it went.

    `max_pages`: how many pages are read; `delay`: seconds between two requests, however many workers there are;
    `timeout`: seconds of silence after which a server is given up; `max_bytes` for one picture; `outstanding`: tasks
    handed out at a time; `progress`: show a bar (None: if there is a screen). Raises BadInput for arguments without
    sense and FetchFailed if nothing comes from `url`.
    """
    settings = Settings(url, max_pages, delay, timeout, max_bytes, outstanding)
    with Store(out) as store:
        return Crawl(client, settings, store).run(progress)


class Crawl:
    """One crawl under way."""

    def __init__(self, client: Any, settings: Settings, store: Store) -> None:
        self.client, self.settings, self.store = client, settings, store
        self.start = absolute(settings.url, "") or settings.url
        self.limits = Limits(settings.timeout, max_bytes=settings.max_bytes)
        hang = self.limits.deadline + 3 * self.limits.timeout + GRACE  # three tries
        self.fetchers: dict[Callable, Any] = {
            fetch_page: client.options(queue="pages", timeout=hang),
            fetch_image: client.options(queue="images", timeout=hang),
        }
        self.pages, self.images = deque([self.start]), deque[str]()
        self.pages_left, self.more_pages = settings.max_pages, False
        self.seen_pages, self.seen_images = {self.start}, set[str]()
        self.site = ""
        self.out: dict[Future, tuple[Callable, str]] = {}
        self.back: SimpleQueue[Future] = SimpleQueue()
        self.began = self.next_turn = time.monotonic()
        self.count, self.reasons, self.page_reasons = Counter[str](), Counter[str](), Counter[str]()

    def run(self, progress: bool | None = None) -> Summary:
        """Hand out and take back until nothing is left; whatever happens, nothing stays behind in the queues."""
        with bar(progress) as self.meter:
            try:
                while self.out or self.waiting():
                    self.hand_out()
                    self.take_back()
            finally:
                for future in list(self.out):
                    future.cancel()
        return self.summary()

    def waiting(self) -> Callable | None:
        """Say what is to be handed out next: pages first, as they lead to the pictures."""
        if self.pages and self.pages_left:
            return fetch_page
        return fetch_image if self.images else None

    def hand_out(self) -> None:
        """Submit what there is, as far as window and delay allow."""
        while self.room() and time.monotonic() >= self.next_turn and (task := self.waiting()):
            if task is fetch_page:
                self.pages_left -= 1
            url = (self.pages if task is fetch_page else self.images).popleft()
            future = self.fetchers[task].submit(task, url, self.limits)
            self.out[future] = task, url
            future.add_done_callback(self.back.put)
            self.next_turn = time.monotonic() + self.settings.delay

    def room(self) -> bool:
        """Say whether one more may be out."""
        return len(self.out) < self.settings.outstanding

    def take_back(self) -> None:
        """Wait for a result (no longer than until the next turn) and use it."""
        patience = SILENCE
        if self.waiting() and self.room():
            patience = min(patience, max(self.next_turn - time.monotonic(), 0.0))
        try:
            future = self.back.get(timeout=patience)
        except Empty:
            if patience == SILENCE:
                self.client.hint_if_stuck()
            return
        task, url = self.out.pop(future)
        try:
            result = future.result()
        except ConnectionFailed:  # the master, not the site
            raise
        except (Exception, CancelledError) as error:  # the worker's process died or hung over it
            why = getattr(error, "reason", "") or str(error).partition("\n")[0] or type(error).__name__
            result = Page(url, error=why) if task is fetch_page else Image(url, error=why)
        if task is fetch_page:
            self.found(result)
        else:
            self.keep(result)

    def found(self, page: Page) -> None:
        """Note what a page leads to."""
        if not self.site:
            if page.error is not None:
                raise FetchFailed(f"{self.start} can't be fetched: {page.error}", "is the address right?")
            self.site = site_of(page.url)  # of the first page, after its redirects
        if page.error is not None:
            self.page_reasons[page.error] += 1
            return
        self.count["pages"] += 1
        self.seen_pages.add(page.url)
        if site_of(page.url) != self.site:  # redirected to somebody else
            return
        links = [link for link in page.links if link not in self.seen_pages]
        room = self.pages_left - len(self.pages)  # for those that will be read; an endless site has endless others
        self.more_pages |= len(links) > room
        self.pages.extend(unseen(links[:room], self.seen_pages))
        images = unseen(page.images, self.seen_images)
        missing = [image for image in images if not self.store.has(image)]
        self.count["kept"] += len(images) - len(missing)
        self.images.extend(missing)
        if missing:
            self.meter.total = (self.meter.total or 0) + len(missing)
            self.meter.refresh()

    def keep(self, image: Image) -> None:
        """Put a picture where it belongs."""
        entry = self.store.add(image)
        if entry.error is None:
            self.count["images"] += 1
            self.count["bytes"] += entry.bytes
        else:
            self.reasons[entry.error] += 1
        self.meter.update()

    def summary(self) -> Summary:
        count = self.count
        return Summary(
            folder=self.store.folder,
            images=count["images"],
            bytes=count["bytes"],
            seconds=time.monotonic() - self.began,
            kept=count["kept"],
            failed=self.reasons.total(),
            reasons=tuple(self.reasons.most_common()),
            pages=count["pages"],
            failed_pages=self.page_reasons.total(),
            page_reasons=tuple(self.page_reasons.most_common()),
            more_pages=self.more_pages,
        )


def unseen(addresses: Sequence[str], seen: set[str]) -> list[str]:
    """Return those not seen before, and note that they are now."""
    news = [address for address in addresses if address not in seen]
    seen.update(news)
    return news


def bar(progress: bool | None) -> Any:
    """Return the progress bar; its total grows while pages are read."""
    from tqdm.auto import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # no thread that outlives the crawl

    return Bar(total=0, unit=" images", desc="crawl", disable=None if progress is None else not progress)
