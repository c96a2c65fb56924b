"""JSON as it stands in pages: read with patience, and the strings in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["loaded", "strings"]


def loaded(text: str) -> Any:
    """Return what `text` says; None if it isn't JSON, which is many a page's own mistake."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def strings(text: str) -> Iterator[str]:
    """Yield all strings in `text`, in their order; none if it isn't JSON."""
    waiting = [loaded(text)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            waiting += reversed(list(value.values()) if isinstance(value, dict) else value)
