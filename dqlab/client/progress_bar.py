"""A progress bar, in the notebook and in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

__all__ = ["progress"]

T = TypeVar("T")


def progress(what: Iterable[T], *, total: int | None = None, desc: str | None = None, **options: Any) -> Iterator[T]:
    """Go through `what` and show how far it is: a map's results, or futures (in the order in which they end).

    `as_completed` says whose futures. `total` is the number of items, for the time that is left; `options` go to tqdm.
    """
    from tqdm.auto import tqdm

    from dqlab.client.completion import as_completed

    if total is None and isinstance(what, Sized):
        total = len(what)
    items: Any = what
    if isinstance(what, list | tuple | set) and what and all(hasattr(item, "add_done_callback") for item in what):
        items = as_completed(items)
    yield from tqdm(items, total=total, desc=desc, **options)
