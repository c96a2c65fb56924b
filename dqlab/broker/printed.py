"""What tasks have printed, from a worker's report to their outcome."""

from __future__ import annotations

from collections.abc import Iterable

from dqlab.wire.printed import TASK_CHARS, Piece, Shown, chars_in, note

__all__ = ["more", "parted"]


def more(printed: tuple[Shown, ...], worker: str, pieces: Iterable[Piece]) -> tuple[Shown, ...]:
    """What deliveries have printed, with those of one more; of the earlier ones there is what there is room for."""
    fresh = tuple((worker, *piece) for piece in pieces)
    if fresh and chars_in(printed) > TASK_CHARS:
        printed = ((*printed[0][:3], note(chars_in(printed))),)
    return printed + fresh


def parted(printed: tuple[Shown, ...], first: int, end: int) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
    """What tasks `first` .. `end - 1` have printed, and what the others have."""
    return (
        tuple(shown for shown in printed if first <= shown[1] < end),
        tuple(shown for shown in printed if not first <= shown[1] < end),
    )
