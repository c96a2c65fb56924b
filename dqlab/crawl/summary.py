"""How a crawl went, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Summary"]


#: how many reasons are told in words; the manifest holds them all
SHOWN = 5
#: reasons and how often each was given, the commonest first
Reasons = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Summary:
    """
    What a crawl did: `images` new ones with `bytes` in `seconds`, `kept` from an earlier crawl, `failed` ones.

    `pages` were read, `failed_pages` could not be; `reasons` and `page_reasons` say why. `more_pages`: more were found
    than should be read. `folder` is where the pictures lie.
    """

    folder: Path
    images: int
    bytes: int
    seconds: float
    kept: int
    failed: int
    reasons: Reasons
    pages: int
    failed_pages: int
    page_reasons: Reasons
    more_pages: bool = False

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        lines = [f"{self.images} images, {self.bytes / 1e6:.1f} MB in {self.seconds:.1f} s, {self.rate:.0f} images/s"]
        if self.kept:
            lines.append(f"{self.kept} were here already")
        if self.failed:
            lines.append(f"{self.failed} failed: {listed(self.reasons)}")
        if self.failed_pages:
            lines.append(f"{self.failed_pages} of {self.pages + self.failed_pages} pages: {listed(self.page_reasons)}")
        if self.more_pages:
            lines.append(f"pages read: {self.pages + self.failed_pages}, as max_pages says; the site has more")
        return "\n".join([*lines, f"they lie in {self.folder}"])


def listed(reasons: Reasons) -> str:
    """Return the commonest reasons in words."""
    others = sum(count for _, count in reasons[SHOWN:])
    words = [f"{why} ({count})" for why, count in reasons[:SHOWN]]
    return ", ".join([*words, f"other reasons ({others})"] if others else words)
