"""Plain data: the values that may cross the master, how they are written and how they are read: no code is run.

None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range; of the standard
library the date, time, Decimal, Fraction, UUID and path types, OrderedDict, defaultdict, Counter and deque. Pickles
of these travel, as between any BaseManager and its clients; `plain_reader` has the reading of them.
"""

from __future__ import annotations

import collections
import io
import pickle
import sys
from collections.abc import Callable
from typing import Any

from dqlab.errors import BadInput
from dqlab.wire.plain_budget import DEPTH, is_deeper
from dqlab.wire.plain_reader import load_plain

__all__ = ["as_plain", "check_plain", "dump_plain", "load_plain", "pickled"]

#: what to do about a value that is not plain
PLAIN_TYPES = "use numbers, strings, bytes, lists, dicts, sets, dates, paths"
#: how deep the messages nest in which values travel
ENVELOPE = 20

#: builtin types, and from what one of them is made that equals a value of a subclass, whatever that makes of itself
_BASES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__, int: int.__int__, float: float.__float__, complex: complex.__complex__, bytes: bytes.__bytes__,
    bytearray: bytes, list: list.copy, tuple: lambda value: tuple.__getitem__(value, slice(None)), dict: dict.copy,
    set: lambda value: list(set(value)), frozenset: lambda value: list(frozenset(value)),
}  # fmt: skip
#: subclasses of those that are plain themselves
_PLAIN_SUBCLASSES = (*_BASES, bool, collections.OrderedDict, collections.defaultdict, collections.Counter)
#: how Python 3.13, and no other, calls the module of the path types
_LOCAL_PATHS = b"pathlib._local" if sys.version_info[:2] == (3, 13) else None


def check_plain(values: Any) -> None:
    """Raise `BadInput` for what could be read here, but not be sent on: too deep a nest."""
    if is_deeper(values, DEPTH - ENVELOPE):
        raise BadInput(f"not a plain value: nested more than {DEPTH - ENVELOPE} deep", PLAIN_TYPES)


def dump_plain(value: Any) -> bytes:
    """The pickle of a plain value; `BadInput` names the type that is not plain.

    A value of a subclass of `str`, `int`, `dict` and so on travels as the plain value that it is.
    """
    return _dump_and_load(value)[0]


def as_plain(value: Any) -> Any:
    """A copy of a value, of plain types only, as it will arrive; `BadInput` names the type that is not plain."""
    return _dump_and_load(value)[1]


def _dump_and_load(value: Any) -> tuple[bytes, Any]:
    out = io.BytesIO()
    try:
        _Pickler(out, 4).dump(value)
        plain = load_plain(out.getvalue())
    except Exception as exc:
        raise BadInput(f"not a plain value: {exc}", PLAIN_TYPES) from None
    check_plain(plain)
    return out.getvalue(), plain


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, tuple(_BASES)) and type(obj) not in _PLAIN_SUBCLASSES:
            for base, content in _BASES.items():
                if isinstance(obj, base):
                    return base, (content(obj),)
        return NotImplemented


def pickled(value: Any, protocol: int = 5) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """A pickle that every Python can read that knows its protocol, and what travels beside it (PEP 574; from 5 on)."""
    buffers: list[pickle.PickleBuffer] = []
    callback = buffers.append if protocol >= 5 else None
    data = pickle.dumps(value, protocol, buffer_callback=callback)
    if _LOCAL_PATHS and _LOCAL_PATHS in data:
        buffers.clear()
        out = io.BytesIO()
        _PathPickler(out, protocol, buffer_callback=callback).dump(value)
        data = out.getvalue()
    return data, buffers


class _PathPickler(pickle._Pickler):
    """Calls the module of the path types as every Python does."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if getattr(obj, "__module__", None) != "pathlib._local":
            return super().save_global(obj, name)  # type: ignore[misc]
        self.save("pathlib")  # type: ignore[attr-defined]
        self.save(obj.__qualname__)  # type: ignore[attr-defined]
        self.write(pickle.STACK_GLOBAL)  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]
        return None
