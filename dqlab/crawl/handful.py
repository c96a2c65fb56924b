"""A task of the crawl: a handful of addresses, fetched by threads within the task, as many as each host bears.

    fetch(errands, slots={"host": 8}, terms)    -> an Outcome for each errand that was begun

It ends after some seconds, or when it holds as many bytes as it may; what it didn't begin is in no outcome and is
handed out again. A plain function of plain arguments, so that it runs on any executor.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from queue import SimpleQueue

from dqlab.crawl import crew, pages
from dqlab.crawl.addresses import site_of
from dqlab.crawl.body import Purse, Share
from dqlab.crawl.errand import Errand, Pressure
from dqlab.crawl.failures import FetchFailed, Moved, NoRoom, OutOfTime, TryAgain
from dqlab.crawl.images import Image, image_of, is_picture
from dqlab.crawl.kinds import is_web_page
from dqlab.crawl.landing import land
from dqlab.crawl.outcome import Outcome
from dqlab.crawl.session import session
from dqlab.crawl.terms import Answer, Terms
from dqlab.crawl.web import Wants, get, rules
from dqlab.process.current import current

__all__ = ["SECONDS", "fetch", "prepare"]

#: seconds after which a handful ends
SECONDS = 10.0


def prepare() -> None:
    """Load what the first request would load."""
    session()


def fetch(
    errands: Sequence[Errand], slots: Mapping[str, int], terms: Terms, room: int, alone: bool = False
) -> list[Outcome]:
    """
    Do `errands`, for each host with as many threads as it has `slots`, on `terms`, and say what became of them.

    `room`: the bytes that all answers may have together; `alone`: there is one errand, and it has all the time that
    terms give it. Raises nothing for what the web does.
    """
    handful = Handful(errands, terms, room, alone)
    hosts = [host for host, count in slots.items() for _ in range(min(count, len(handful.waiting.get(host, ()))))]
    done: SimpleQueue[None] = SimpleQueue()

    def work(host: str) -> None:
        handful.work(host)
        done.put(None)

    for host in hosts[1:]:
        crew.start(partial(work, host))
    for host in hosts[:1]:
        work(host)
    for _ in hosts:
        done.get()
    if handful.broken is not None:
        raise handful.broken
    return handful.outcomes


class Handful:
    """The errands of one task: those that wait, and the outcomes of the others."""

    def __init__(self, errands: Sequence[Errand], terms: Terms, room: int, alone: bool) -> None:
        self.terms, self.alone = terms, alone
        self.waiting: dict[str, deque[Errand]] = {}
        for errand in errands:
            self.waiting.setdefault(site_of(errand.target), deque()).append(errand)
        self.outcomes: list[Outcome] = []
        self.room, self.purse = room, terms.purse or Purse(room)
        self.end = time.monotonic() + (terms.limits.deadline if alone else SECONDS)
        self.full = False
        self.broken: BaseException | None = None
        here = current()
        self.worker = here.worker if here else f"{socket.gethostname()}-{os.getpid()}"

    def work(self, host: str) -> None:
        """Do one errand after the other for `host`; several threads do."""
        waiting = self.waiting.get(host, deque())
        try:
            while not self.full and time.monotonic() < self.end:
                try:
                    errand = waiting.popleft()
                except IndexError:
                    return
                if outcome := self.outcome(errand):
                    self.outcomes.append(outcome)
                    if outcome.pressure is Pressure.BUSY:  # it is to be left alone: the rest is handed out later
                        waiting.clear()
        except BaseException as error:  # what no server causes; the task is to fail with it
            self.broken, self.full = error, True

    def outcome(self, errand: Errand) -> Outcome | None:
        """Do one errand; None if it is as if it hadn't been begun."""
        with self.purse.share(self.end) as share:
            return self.fetched(errand, share)

    def fetched(self, errand: Errand, share: Share) -> Outcome | None:
        """Do one errand with a share of the room."""
        began = time.monotonic()
        try:
            answer = get(errand, self.terms, self.wants(errand), end=self.end, share=share, stay=True)
        except Moved as moved:
            return Outcome(errand=errand, moved=moved.place, hops=moved.hops, network=moved.network)
        except TryAgain as failure:
            return Outcome(
                errand=errand,
                again=failure.message,
                pressure=failure.pressure,
                wait=failure.wait,
                seconds=round(time.monotonic() - began, 4),
            )
        except OutOfTime as failure:
            if not self.alone and time.monotonic() - began < self.terms.limits.deadline:
                return Outcome(errand=errand, alone=True, size=self.room)
            return self.failed(errand, failure.message, began)
        except NoRoom as failure:
            return self.without_room(errand, failure, began)
        except FetchFailed as failure:
            return self.failed(errand, failure.message, began)
        outcome = self.made(errand, answer, time.monotonic() - began)
        if outcome.image and outcome.image.body:
            self.keep(share)
        return outcome

    def keep(self, share: Share) -> None:
        """Let a body that stays in the result take up its share of this task's room for good."""
        if self.terms.purse is None:
            share.keep()

    def wants(self, errand: Errand) -> Wants:
        """Return what says whether a body is worth reading for `errand`."""
        return is_picture_or_page if errand.page or errand.link else is_picture

    def made(self, errand: Errand, answer: Answer, seconds: float) -> Outcome:
        """Return what the `answer` is: a page where one may be, else a picture, or why it is none."""
        is_page = (errand.page or errand.link) and not answer.unchanged and not is_picture(answer.kind, answer.body)
        site = rules(answer.url, self.terms)
        image = page = None
        if is_page:
            page = pages.read(answer, errand, self.terms.reading)
        else:
            image = self.landed(image_of(errand, answer, seconds, self.worker, self.terms.ignore))
        return Outcome(
            errand=errand,
            page=page,
            image=image,
            latency=answer.latency,
            seconds=seconds,
            delay=site.delay,
            sitemaps=site.sitemaps if errand.page and not errand.depth else (),
            network=answer.network,
        )

    def landed(self, image: Image) -> Image:
        """Return `image` with its body where it belongs, if that can be reached from here."""
        place = self.terms.landing
        landed = land(image.body, place) if place and image.body else None
        return replace(image, body=b"", landed=landed) if landed else image

    def failed(self, errand: Errand, why: str, began: float) -> Outcome:
        """Return the outcome of an errand that no other try would mend."""
        seconds = round(time.monotonic() - began, 4)
        if errand.page:
            return Outcome(errand=errand, page=pages.Page(errand.target, error=why), seconds=seconds)
        image = Image(errand.url, seconds=seconds, worker=self.worker, error=why, referer=errand.referer)
        return Outcome(errand=errand, image=image, seconds=seconds)

    def without_room(self, errand: Errand, failure: NoRoom, began: float) -> Outcome | None:
        """Return what becomes of an errand for whose answer there was no room: another task has more of it."""
        if self.alone:  # perhaps there is more room: whoever hands out knows
            outcome = self.failed(errand, failure.message + " (--memory)", began)
            return replace(outcome, alone=True, size=failure.size)
        if failure.size is not None and failure.size <= self.room:
            self.full = True  # with others before it; the next handful begins with it
            return None
        return Outcome(errand=errand, alone=True, size=failure.size)


def is_picture_or_page(label: str, head: bytes) -> bool:
    """Say whether what begins with `head` is a picture, or may lead to some."""
    from dqlab.crawl.find import is_readable

    return is_picture(label, head) or is_web_page(head) or is_readable(label, head)
