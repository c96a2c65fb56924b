"""Bring every picture of a web site home, by as many workers as there are.

    from dqlab.crawl import crawl

    summary = crawl(master, "http://127.0.0.1:8000/", "pictures")
    print(summary)

Two kinds of task, each with a queue of its own: `pages` fetches a page and finds addresses, `images` downloads. Read
`driver` first, then `pages` and `images` (what workers run), `web` (one polite request), `store` (the folder).
"""

from dqlab.crawl.command import add_arguments, run
from dqlab.crawl.driver import crawl
from dqlab.crawl.store import Entry, read_manifest
from dqlab.crawl.summary import Summary

__all__ = ["Entry", "Summary", "add_arguments", "crawl", "read_manifest", "run"]
