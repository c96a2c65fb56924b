"""Pills: values that tell whoever takes them to go home. `None` is one; others are named, by `--pill` or `pills=`."""

from __future__ import annotations

import ast
import base64
from collections.abc import Iterable
from typing import Any

from dqlab.wire.plain_data import dump_plain, load_plain

__all__ = ["decode_pills", "encode_pills", "is_pill", "read_pill"]


def is_pill(value: Any, pills: Iterable[Any]) -> bool:
    """Whether a value is `None` or one of `pills`; 1 is neither `True` nor 1.0."""
    return value is None or any(type(value) is type(pill) and value == pill for pill in pills)


def read_pill(text: str) -> Any:
    """What `--pill` names: the value of a Python literal (`-1`, `('stop', 0)`, `'text'`), else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def encode_pills(pills: Iterable[Any]) -> str:
    """Pills as a text, for JSON; `BadInput` for one that is no plain value."""
    return base64.b64encode(dump_plain(list(pills))).decode()


def decode_pills(text: str) -> tuple[Any, ...]:
    """What `encode_pills` made a text of."""
    return tuple(load_plain(base64.b64decode(text)))
