"""The pages that a crawl has read, for the next run to go on from when there were more than it should read.

`pages.jsonl` holds a line for each: the address that was asked for, and what stood behind it. While a crawl is under
way it has the name of an unfinished file; it stays only if `max_pages` ended the crawl.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dqlab.crawl.addresses import absolute
from dqlab.crawl.manifest import PART
from dqlab.crawl.pages import Page
from dqlab.crawl.store import writing

__all__ = ["NAME", "PageLog"]

NAME = "pages.jsonl"
#: the version of a line; others are not read
VERSION = 1
#: fields of a page that hold addresses
LISTS = {field.name for field in fields(Page)} - {"url", "forbidden", "error", "readable"}


class PageLog:
    """The log in `folder` of the crawl that begins at `start`; one of another start is begun anew."""

    def __init__(self, folder: Path, start: str) -> None:
        self.folder, self.start = folder, absolute(start, "") or start  # without a password
        self.file, self.part = folder / NAME, folder / f"{PART}{NAME}"
        with writing(folder):
            if known := any(self.read()):
                shutil.copyfile(self.file, self.part)
            self._log = open(self.part, "a" if known else "w", encoding="utf-8", newline="\n")
            if not known:
                self._write({"version": VERSION, "start": self.start})

    def read(self) -> Iterator[tuple[str, int, Page]]:
        """Yield the address, the depth and the content of each page that an earlier run has read."""
        try:
            lines = open(self.file, encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with lines:
            if parsed(lines.readline()) != {"version": VERSION, "start": self.start}:
                return
            for line in lines:
                given = parsed(line)
                try:
                    asked, depth = given.pop("asked"), given.pop("depth")
                    given |= {name: tuple(given.get(name, ())) for name in LISTS}
                    yield asked, depth, Page(**given)
                except (KeyError, TypeError):  # none of ours
                    continue

    def note(self, asked: str, depth: int, page: Page) -> None:
        """Keep what the page at `asked`, so many links from the start, leads to."""
        with writing(self.folder):
            self._write(
                {"asked": asked, "depth": depth, **{name: value for name, value in asdict(page).items() if value}}
            )

    def close(self, *, finished: bool, more: bool) -> None:
        """End the log: a crawl that `finished` and knows of `more` pages leaves it; one broken off, the old one."""
        self._log.close()
        with writing(self.folder):
            if finished and more:
                os.replace(self.part, self.file)
            elif finished:
                self.file.unlink(missing_ok=True)
            self.part.unlink(missing_ok=True)

    def _write(self, line: dict[str, object]) -> None:
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()


def parsed(line: str) -> dict[str, Any]:
    """Return the line's fields; {} if it is torn."""
    try:
        given = json.loads(line)
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}
