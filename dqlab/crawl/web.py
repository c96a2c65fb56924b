"""One polite GET: robots.txt kept, size and time bounded, a body that was cut asked for again; runs on the workers.

answer = get(Errand(url="http://host/a.png"), Terms(), wants=lambda label, head: kind_of(head) is not None)
answer.url, answer.kind, answer.body
"""

from __future__ import annotations

import http
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from dqlab.crawl.addresses import absolute, site_of
from dqlab.crawl.body import PARTIAL, RANGE, Purse, Share, body_of
from dqlab.crawl.coding import beginning
from dqlab.crawl.errand import Errand
from dqlab.crawl.failures import FORBIDDEN, FetchFailed, Moved, hung_up, in_words, refusal
from dqlab.crawl.response import Bounds, Response, bounded
from dqlab.crawl.robots import Robots
from dqlab.crawl.rulebook import Rulebook
from dqlab.crawl.session import session
from dqlab.crawl.terms import Answer, Terms

__all__ = ["Wants", "get", "rules"]

#: how many redirects are followed, and how often to the same address (some want their cookie back)
REDIRECTS, CIRCLES = 20, 3
#: tries at a connection that ends without an answer, and seconds before the second
TRIES, BACK_OFF = 3, 0.3
#: the answers that bring what was asked for, and those that lead elsewhere
BRINGING = (http.HTTPStatus.OK, http.HTTPStatus.NON_AUTHORITATIVE_INFORMATION)
REDIRECTING = (301, 302, 303, 307, 308)
#: bytes of an answer that nobody wants which are read nevertheless
SHORT = 16 * 1024
#: bytes of a robots.txt that are looked at
ROBOTS_BYTES = 500 * 1024
#: a content type and its charset (RFC 9110), whatever else the header says
KIND = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+*-]{1,127}", re.ASCII)
CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.ASCII)
#: what is asked for: pictures as they are, rather than what suits a browser best
ACCEPT = {True: "text/html,application/xhtml+xml,*/*;q=0.8", False: "image/*,*/*;q=0.8"}
#: says whether a body is to be read, by its label (content type) and first bytes
Wants = Callable[[str, bytes], bool]


def get(
    errand: Errand,
    terms: Terms,
    wants: Wants,
    *,
    end: float = math.inf,
    share: Share | None = None,
    stay: bool = False,
) -> Answer:
    """
    Do `errand`; redirects are followed as far as robots.txt of each host allows.

    Of what `wants` declines, only the first bytes are read. `end`: monotonic seconds at which it is broken off;
    `share`: of the room for its bytes; `stay`: a redirect to another host raises Moved. Raises FetchFailed with the
    reason, TryAgain if that may pass.
    """
    way = Way(errand, terms, min(end, time.monotonic() + terms.limits.deadline))
    with way.bounded():
        for _ in range(errand.hops, REDIRECTS + 1):
            way.check()
            with way.asked() as response:
                if not redirects(response):
                    return way.answer(response, wants, share or Purse(terms.limits.max_bytes).share())
                way.follow(response, stay)
    raise FetchFailed(f"more than {REDIRECTS} redirects")


class Way:
    """The way of one errand: where it has come to, when it ends."""

    def __init__(self, errand: Errand, terms: Terms, end: float) -> None:
        self.errand, self.terms, self.end = errand, terms, end
        self.place = errand.target
        self.been: list[str] = []
        self.latency = 0.0

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Let the time that there is hold for everything that is asked, and turn what goes wrong into words."""
        limits = self.terms.limits
        self.bounds = Bounds(self.end, limits.timeout, self.terms.reach)
        with in_words(limits, self.bounds), bounded(self.bounds):
            yield

    def check(self) -> None:
        """Go no further if that isn't allowed, or if it leads in circles."""
        if not rules(self.place, self.terms).allows(self.place):
            raise FetchFailed(FORBIDDEN)
        self.been.append(self.place)
        if self.been.count(self.place) > CIRCLES:
            raise FetchFailed("it redirects in circles")

    @contextmanager
    def asked(self, more: dict[str, str] | None = None) -> Iterator[Response]:
        """Ask for the place."""
        with self.answered(self.headers() | (more or {})) as response:
            yield response

    @contextmanager
    def once_more(self, more: dict[str, str]) -> Iterator[Response]:
        """Ask for the place again, perhaps for a part. Raises FetchFailed if nothing of it is given."""
        with self.asked(more) as response:
            if response.status not in PARTIAL:
                self.accept(response)
            yield response

    def answered(self, headers: dict[str, str]) -> Response:
        """Return the answer; a connection that ends without one (it may have been an old one) is tried again."""
        tries = 0
        while True:
            began = time.monotonic()
            try:
                response = session(self.terms.asking).get(self.place, headers, self.terms.limits.timeout)
                self.latency = time.monotonic() - began
                return response
            except Exception as error:
                tries += 1
                if tries == TRIES or not hung_up(error):
                    raise
                time.sleep(max(0.0, min((tries - 1) * BACK_OFF, self.end - time.monotonic())))

    def headers(self) -> dict[str, str]:
        """Return what the request says beside the session's own."""
        errand = self.errand
        headers = {"Accept": ACCEPT[errand.page]} | self.terms.asking.for_site(site_of(self.place))
        if errand.referer and (said := referer(errand.referer, self.place)):
            headers.setdefault("Referer", said)
        if errand.etag:
            headers["If-None-Match"] = errand.etag
        if errand.last_modified:
            headers["If-Modified-Since"] = errand.last_modified
        return headers

    def follow(self, response: Response, stay: bool) -> None:
        """Go where the response redirects to."""
        target = absolute(self.place, as_meant(response.headers["Location"]))
        if target is None:
            raise FetchFailed("it redirects to an address that isn't one of the web")
        if stay and site_of(target) != site_of(self.place):
            raise Moved(target, self.errand.hops + len(self.been), self.bounds.network)
        pass_over(response)
        self.place = target

    def accept(self, response: Response) -> None:
        """Raise FetchFailed if the response brings nothing."""
        if response.status not in BRINGING and not is_all_of_it(response):
            pass_over(response)
            raise refusal(response.status, dict(response.headers))

    def answer(self, response: Response, wants: Wants, share: Share) -> Answer:
        """Read the response if it is one to be read."""
        headers = dict(response.headers)
        known = bool(self.errand.etag or self.errand.last_modified)
        unchanged = response.status == http.HTTPStatus.NOT_MODIFIED and known
        if unchanged:
            pass_over(response)
        else:
            self.accept(response)
        label = headers.get("content-type", "").lower()
        kind, charset = KIND.match(label.strip()), CHARSET.search(label)
        bare = kind[0] if kind else ""
        body = b""
        if not unchanged:
            most = self.terms.limits.max_bytes
            body = body_of(response, lambda head: wants(bare, head), share, self.once_more, most, self.end)
        return Answer(
            url=self.place,
            kind=bare,
            charset=charset and charset[1],
            body=body,
            headers=headers,
            unchanged=unchanged,
            network=self.bounds.network,
            latency=self.latency,
        )


def redirects(response: Response) -> bool:
    """Say whether the answer leads elsewhere."""
    return response.status in REDIRECTING and "Location" in response.headers


def is_all_of_it(response: Response) -> bool:
    """Say whether the answer is a part that nobody has asked for, but which is the whole: some stores answer so."""
    part = RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    all_of_it = part is not None and part[1] == "0" and part[3].isdecimal() and int(part[2]) + 1 == int(part[3])
    return response.status == http.HTTPStatus.PARTIAL_CONTENT and all_of_it


def pass_over(response: Response) -> None:
    """Read an answer that nobody wants to its end if that is near: so its connection can be kept."""
    if response.length_remaining is not None and response.length_remaining <= SHORT:
        response.drain_conn()


def referer(page: str, target: str) -> str | None:
    """Return what a browser says of the `page` that it comes from: all of it to its own site, else only the site."""
    here, there = urlsplit(page), urlsplit(target)
    if here.scheme == "https" and there.scheme == "http":
        return None
    return page if (here.scheme, here.netloc) == (there.scheme, there.netloc) else f"{here.scheme}://{here.netloc}/"


def as_meant(header: str) -> str:
    """Return a header that was read as Latin-1 as the UTF-8 that it is, if it is."""
    try:
        return header.encode("latin-1").decode()
    except ValueError:
        return header


# -- robots.txt -----------------------------------------------------------------------------------------------------

#: what this process knows of the sites' rules
rulebook = Rulebook()


def rules(url: str, terms: Terms) -> Robots:
    """Return the rules of the site of `url`. FetchFailed if there are none to be had: then nothing of it is."""
    root = "/".join(url.split("/", 3)[:3]) + "/"
    return rulebook.of(root, lambda: robots_txt(root, terms))


def robots_txt(root: str, terms: Terms) -> Robots:
    """Fetch the rules of the site at `root`."""
    way = Way(Errand(url=root + "robots.txt", page=True), terms, time.monotonic() + terms.limits.deadline)
    with way.bounded():
        for _ in range(REDIRECTS + 1):
            with way.asked() as response:
                if redirects(response):
                    way.follow(response, stay=False)
                    continue
                status = response.status
                if status == 429 or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:  # "unreachable"
                    raise in_robots(refusal(status, dict(response.headers)))
                if status != http.HTTPStatus.OK:  # "unavailable": everything is allowed
                    pass_over(response)
                    return Robots("")
                body = bytearray()
                while len(body) < ROBOTS_BYTES and (chunk := response.read1(ROBOTS_BYTES)):
                    body += chunk
                coding = response.headers.get("Content-Encoding", "")
                return Robots(beginning(bytes(body), coding, ROBOTS_BYTES).decode(errors="replace"))
        raise in_robots(FetchFailed(f"more than {REDIRECTS} redirects"))


def in_robots(error: FetchFailed) -> FetchFailed:
    """Return `error` as one about the rules."""
    error.message = f"its robots.txt can't be had: {error.message}"
    return error
