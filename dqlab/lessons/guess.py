"""A prediction beside the measurement."""

from __future__ import annotations

from typing import Any

__all__ = ["compare"]


def compare(guess: Any, seen: Any, unit: str = "") -> None:
    """Print a guess and what was seen, in `unit`, one below the other; ask for a guess that is still `...`."""
    said = "nothing yet: write your guess in the cell above" if guess is ... else f"{guess} {unit}".rstrip()
    print("you said ", said)
    print("it was   ", f"{seen} {unit}".rstrip())
