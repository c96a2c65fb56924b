"""How a crawl went, for people and programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["LOSSES", "NOTHING", "Summary"]


#: how many reasons are told in words; the manifest holds them all
SHOWN = 5
#: exit codes of a crawl with losses, and of one that brought nothing
LOSSES, NOTHING = 3, 1
#: reasons and how often each was given, the commonest first
Reasons = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Summary:
    """
    What a crawl did: `images` new ones with `bytes` in `seconds`, `kept` from an earlier crawl, `failed` ones.

    `pages` were read, `failed_pages` could not be; `reasons` and `page_reasons` say why. `more_pages`: more were found
    than should be read. `folder` is where the pictures lie. `notes` are sentences about what was not asked for. `by`:
    who fetched, "4 workers".
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
    notes: tuple[str, ...] = ()
    by: str = ""

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds if self.seconds else 0.0

    def json(self) -> str:
        """Return it as one JSON object, for programs."""
        fields = asdict(self) | {"folder": str(self.folder), "rate": self.rate, "exit_code": self.exit_code}
        return json.dumps(fields | {"reasons": dict(self.reasons), "page_reasons": dict(self.page_reasons)})

    @property
    def exit_code(self) -> int:
        """What a shell is told: 0 all is here, 1 nothing came, 3 some of it is missing."""
        if not self.images and not self.kept:
            return NOTHING
        return LOSSES if self.failed or self.failed_pages else 0

    def __str__(self) -> str:
        lines = [f"{self.images} images, {self.bytes / 1e6:.1f} MB in {self.seconds:.1f} s, {self.rate:.0f} images/s"]
        lines[0] += f" by {self.by}" if self.by else ""
        if self.kept:
            lines.append(f"{self.kept} were here already")
        if self.failed:
            lines.append(f"{self.failed} failed: {listed(self.reasons)}")
        if self.failed_pages:
            lines.append(f"{self.failed_pages} of {self.pages + self.failed_pages} pages: {listed(self.page_reasons)}")
        if not self.images and not self.kept and not self.failed:
            lines.append(
                f"no picture found on {self.pages} {'page' if self.pages == 1 else 'pages'}"
                if self.pages
                else "there was no address to ask for"
            )
        lines += self.notes
        if self.more_pages:
            lines.append(f"pages read: {self.pages + self.failed_pages}, as max_pages says; the site has more")
        return "\n".join([*lines, f"they lie in {self.folder}"])


def listed(reasons: Reasons) -> str:
    """Return the commonest reasons in words."""
    others = sum(count for _, count in reasons[SHOWN:])
    words = [f"{why} ({count})" for why, count in reasons[:SHOWN]]
    return ", ".join([*words, f"other reasons ({others})"] if others else words)
