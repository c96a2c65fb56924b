"""On what terms a crawl fetches, and what an answer is: records that web, pages, pictures and tasks share."""

from __future__ import annotations

from dataclasses import dataclass, field

from dqlab.crawl.asking import Asking
from dqlab.crawl.body import Purse
from dqlab.crawl.limits import Limits
from dqlab.crawl.scope import Scope

__all__ = ["Answer", "Reading", "Terms"]


@dataclass(frozen=True)
class Reading:
    """How pages are read: `best` takes the largest of a srcset, `ignore` holds directives that are not obeyed."""

    scope: Scope = Scope()
    best: bool = False
    ignore: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Terms:
    """
    On what terms a crawl fetches; travels to the workers. `reach`: the networks into which redirects and pictures may
    lead, None for all; `ignore`: wishes of owners that don't count (`directives`); `reading`: how pages are read;
    `landing`: the folder for pictures, for those who can reach it; `purse`: the room that answers of all tasks have
    together, where these run in the process of the crawl.
    """

    limits: Limits = Limits()
    asking: Asking = Asking()
    reach: frozenset[str] | None = None
    ignore: tuple[str, ...] = ()
    reading: Reading = Reading()
    landing: str | None = None
    purse: Purse | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Answer:
    """
    What came: the `url` after redirects, `kind` the content type as labelled (lower case, bare), its charset, the body.

    `headers` have lower-case names; `unchanged`: the copy that is here already is still right; `network`: where the
    server is; `latency`: seconds until the header was there.
    """

    url: str
    kind: str
    charset: str | None
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    unchanged: bool = False
    network: str | None = None
    latency: float = 0.0
