"""The candidates of a `srcset`: addresses with a width or a density."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Candidate", "best", "candidates"]

#: an address (which may contain commas, not end with one), perhaps a width or density; what comes in parentheses is
#: for browsers of the future
CANDIDATE = re.compile(r"([^\s,]\S*[^\s,]|[^\s,])(?:\s((?:[^,(]|\([^)]*\)?)*+))?(?:,|$)")
#: "800w" or "2x"; a height ("600h") says nothing beside a width
DESCRIPTOR = re.compile(r"(?<!\S)(\d{0,9}\.\d{1,9}|\d{1,9})([wx])(?!\S)", re.IGNORECASE)


class Candidate(NamedTuple):
    """An address as it is written, its width in pixels (0: not said) and its density (1 if not said)."""

    reference: str
    width: float = 0.0
    density: float = 1.0


def candidates(srcset: str) -> list[Candidate]:
    """Return what a `srcset` attribute offers, in its order."""
    found = []
    for reference, descriptor in CANDIDATE.findall(srcset):
        sizes = {unit.lower(): float(number) for number, unit in DESCRIPTOR.findall(descriptor)}
        found.append(Candidate(reference, sizes.get("w", 0.0), sizes.get("x", 1.0)))
    return found


def best(offered: list[Candidate]) -> Candidate:
    """Return the largest of what is `offered`: the widest, then the densest, then the first."""
    return max(offered, key=lambda candidate: (candidate.width, candidate.density))
