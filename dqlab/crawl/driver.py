"""The crawl itself: it runs in the client, hands out addresses and takes back what they brought, and alone writes.

         Finding ── errands ──> Frontier ── handfuls ──> tasks on any executor: `handful.fetch`
            ^                                                         │
            │                                                      outcomes
            │                                                         │
            └──────────────────────────── pages ──────────────────────┴── pictures ──> Store

`Finding` knows which addresses are wanted, `Frontier` which may be asked for now; both are pure. Only so many bytes are
under way at a time, however large the site is.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from dqlab.crawl.body import Purse
from dqlab.crawl.directives import directives_ignored
from dqlab.crawl.errand import Errand
from dqlab.crawl.failures import FetchFailed, remedy
from dqlab.crawl.finding import Finding
from dqlab.crawl.frontier import Frontier, Handful
from dqlab.crawl.handful import SECONDS, fetch
from dqlab.crawl.images import Image
from dqlab.crawl.lanes import Lanes
from dqlab.crawl.limits import Limits
from dqlab.crawl.outcome import Outcome
from dqlab.crawl.page_log import PageLog
from dqlab.crawl.pages import Page
from dqlab.crawl.progress import Counts, Progress
from dqlab.crawl.settings import Settings, settings_of
from dqlab.crawl.store import Store
from dqlab.crawl.summary import Summary
from dqlab.crawl.terms import Reading, Terms
from dqlab.errors import ConnectionFailed, DqlabError

__all__ = ["Crawl", "crawl"]

#: addresses that may wait before no more are drawn from a list
WAITING = 10_000
#: handfuls out for each worker: one under way, one that follows it
AHEAD = 2
#: bytes of a handful, at most and at least
MOST_ROOM, LEAST_ROOM = 8_000_000, 500_000
#: seconds without any result after which the client looks whether there is a worker at all
SILENCE = 2.0
#: the networks into which redirects and pictures of any site may lead
EVERYWHERE = frozenset({"the internet"})


def crawl(
    executor: Executor, url: str | None, out: str | os.PathLike[str], *, progress: bool | None = None, **options: Any
) -> Summary:
    """
    Bring every picture of the site at `url` into the folder `out`, by the workers of `executor`, and say how it went.

    `executor`: a dqlab client, or any other executor of `concurrent.futures`, such as Dask's `Client.get_executor()`,
    ipyparallel's `view.executor`, or what `dqlab.engines.engine` gives; `progress`: show a bar (None: if there is a
    screen); `options`: see `Settings`. Raises BadInput for arguments without sense, FetchFailed if nothing comes from
    `url`, and DqlabError if the executor breaks; what has arrived stays then, and another crawl goes on from there.
    """
    settings = settings_of(url, options)
    with Store(out, keep_duplicates=settings.keep_duplicates, keep_old=settings.refresh == "keep") as store:
        return Crawl(executor, settings, store).run(progress)


class Crawl:
    """One crawl under way."""

    def __init__(self, executor: Executor, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        limits = Limits(settings.timeout, max_bytes=settings.max_bytes)
        self.lanes = Lanes(executor, settings.workers, limits.deadline + SECONDS)
        log = PageLog(store.folder, settings.url) if settings.url else None
        self.finding = Finding(settings, store, log)
        room = max(LEAST_ROOM, min(MOST_ROOM, settings.memory // (AHEAD * self.lanes.workers)))
        self.frontier = Frontier(
            workers=self.lanes.workers,
            room=min(room, settings.memory),
            most_room=min(2 * settings.max_bytes, settings.memory),
            per_host=settings.per_host,
            delay=settings.delay,
        )
        reading = Reading(self.finding.scope, settings.best, directives_ignored(settings.ignores))
        # In this process an answer waits for room, instead of being asked for again where there is more.
        purse = Purse(settings.memory) if self.lanes.are_here else None
        self.terms = Terms(limits, settings.asking(), None, settings.ignores, reading, str(store.landing.place), purse)
        self.reach = EVERYWHERE
        self.source: Iterator[Errand] | None = self.finding.begin()
        self.unread = self.wanted = 0  # pages and pictures that aren't settled
        self.out: dict[Future, Handful] = {}
        self.budget = settings.memory
        self.back: SimpleQueue[Future] = SimpleQueue()
        self.began = time.monotonic()
        self.count, self.reasons, self.page_reasons = Counter[str](), Counter[str](), Counter[str]()

    def run(self, progress: bool | None = None) -> Summary:
        """Hand out and take back until nothing is left; whatever happens, nothing stays behind in the queues."""
        finished = False
        with Progress(progress) as meter:
            try:
                self.draw()
                self.hand_out()
                self.lanes.prepare()  # this and the next take as long as a first answer
                meter.prepare()
                while self.out or self.frontier.waiting:
                    self.take_back(self.hand_out())
                    meter.update(self.counts())
                    self.draw()
                finished = True
            except BrokenExecutor as error:
                raise DqlabError(
                    f"the executor is broken: {error}", "what has arrived stays; the same crawl goes on"
                ) from error
            finally:
                for future in list(self.out):
                    future.cancel()
                self.lanes.close(finished)
                self.finding.close(finished)
        return self.summary()

    # -- handing out ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw addresses from where the crawl begins, as far as there is room for them."""
        while self.source is not None and self.frontier.waiting < WAITING:
            errand = next(self.source, None)
            if errand is None:
                self.source = None
            else:
                self.want(errand)

    def want(self, errand: Errand) -> None:
        """Let `errand` wait."""
        self.frontier.add(errand)
        self.unread += errand.page
        self.wanted += not errand.page

    def hand_out(self) -> float:
        """Submit what may be asked for now; return the seconds until there may be more without that any comes back."""
        workers = self.frontier.workers = self.lanes.look()
        while True:
            now = time.monotonic()
            room = len(self.out) < AHEAD * workers
            handful = self.frontier.handful(now, self.budget) if room else None
            if handful is None:
                self.give_up()
                return self.frontier.next_turn(now) or math.inf  # what is ready now waits for room
            self.budget -= handful.room
            arguments = handful.errands, handful.slots, self.terms_for(handful), handful.room, handful.alone
            future = self.lanes.submit(handful.of_pages, fetch, *arguments)
            self.out[future] = handful
            future.add_done_callback(self.back.put)

    def terms_for(self, handful: Handful) -> Terms:
        """Return the terms of the crawl; what the user named may be in any network, what it leads to may not."""
        if self.settings.allow_private or all(errand.named for errand in handful.errands):
            return self.terms
        return replace(self.terms, reach=self.reach)

    # -- taking back ---------------------------------------------------------------------------------------------------

    def take_back(self, seconds: float) -> None:
        """Wait for a result, for so many seconds at most, and use it, and all others that are there."""
        if not self.out and not self.frontier.waiting:  # the last of it has just been given up
            return
        patience = min(seconds, SILENCE)
        try:
            self.use(self.back.get(timeout=patience))
        except Empty:
            if patience == SILENCE and self.out:
                self.lanes.hint()
            return
        while not self.back.empty():
            self.use(self.back.get())
        self.give_up()

    def use(self, future: Future) -> None:
        """Take the result of a task; its worker is to go on with the next one while what it brought is put away."""
        handful = self.out.pop(future)
        try:
            outcomes = future.result()
        except (ConnectionFailed, BrokenExecutor):  # the master or the executor, not the site
            raise
        except CancelledError as error:  # by whom? Not by us, who wait for it
            raise BrokenExecutor("it has cancelled what it was given; has its scheduler gone?") from error
        except Exception as error:  # the worker's process died or hung over it
            why = getattr(error, "reason", "") or str(error).partition("\n")[0] or type(error).__name__
            settled = [Outcome(errand=errand, again=why) for errand in self.frontier.lost(handful)]
        else:
            self.reach |= {one.network for one in outcomes if one.network and one.errand.named}
            settled = self.frontier.back(handful, outcomes, time.monotonic())
        self.hand_out()
        for outcome in settled:
            self.settle(outcome)
        self.budget += handful.room

    def give_up(self) -> None:
        """Settle what waits for hosts that are asked no more."""
        for outcome in self.frontier.given_up():
            self.settle(outcome)

    def settle(self, outcome: Outcome) -> None:
        """Use what became of an errand in the end."""
        errand = outcome.errand
        page, image = outcome.page, outcome.image
        if outcome.again is not None:
            page = Page(errand.target, error=outcome.again) if errand.page else None
            failed = Image(errand.url, error=outcome.again, seconds=outcome.seconds, referer=errand.referer)
            image = None if errand.page else failed
        if page is not None:
            self.found(errand, page, outcome)
        if image is not None:
            self.keep(errand, image)
        self.unread -= errand.page
        self.wanted -= not errand.page

    def found(self, errand: Errand, page: Page, outcome: Outcome) -> None:
        """Note what a page leads to."""
        if page.error is not None:
            if errand.url == self.finding.start:
                raise FetchFailed(f"{errand.url} can't be fetched: {page.error}", remedy(page.error))
            if self.finding.minds(errand, page):
                self.page_reasons[page.error] += 1
                self.lanes.tell(errand.url, page.error, of_pages=True)
            return
        if self.finding.counts(errand):
            self.count["pages"] += 1
        for new in self.finding.take(errand, page):
            self.want(new)
        if errand.named and self.settings.url:
            for new in self.finding.sitemaps(outcome.sitemaps):
                self.want(new)

    def keep(self, errand: Errand, image: Image) -> None:
        """Put a picture where it belongs."""
        why = self.finding.refuses(image) if image.error is None and not image.unchanged else None
        if why is not None:
            self.count["refused"] += 1
            self.store.landing.leave(image.landed)
            return
        entry = self.store.add(image, self.frontier.attempts(errand.url))
        if entry.error is not None:
            self.reasons[entry.error] += 1
            self.lanes.tell(errand.url, entry.error, of_pages=False)
        elif image.unchanged:
            self.count["unchanged"] += 1
        else:
            self.count["images"] += 1
            self.count["bytes"] += entry.bytes

    def counts(self) -> Counts:
        """Return how far it is."""
        return Counts(
            images=self.count["images"],
            bytes=self.count["bytes"],
            failed=self.reasons.total(),
            pages=self.count["pages"],
            waiting=self.wanted,
            unread=self.unread,
            growing=self.source is not None,
            holds=self.frontier.holds(time.monotonic()),
        )

    def summary(self) -> Summary:
        """What has come of the crawl so far."""
        count = self.count
        return Summary(
            folder=self.store.folder,
            images=count["images"],
            bytes=count["bytes"],
            seconds=time.monotonic() - self.began,
            kept=self.finding.kept + count["unchanged"],
            failed=self.reasons.total(),
            reasons=tuple(self.reasons.most_common()),
            pages=count["pages"],
            failed_pages=self.page_reasons.total(),
            page_reasons=tuple(self.page_reasons.most_common()),
            more_pages=self.finding.more_pages,
            notes=tuple(self.finding.notes),
            by=self.lanes.names(),
        )
