"""Functions and values as they travel: pickled so that a worker elsewhere can load them, and as they are now.

What is installed travels by name; what is defined in a notebook, in `__main__` or in a module beside them travels by
value (`code_pickler`, `callable_pickler`). A function's pickle is an `Envelope`, which says where its client looks for
other modules.
"""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import sys
import uuid
from collections.abc import Callable
from typing import Any

from dqlab.client.callable_pickler import CallablePickler
from dqlab.client.code_pickler import CodePickler, Verdicts
from dqlab.client.function_state import fingerprint, holds_state
from dqlab.wire.bounded_cache import BoundedCache
from dqlab.wire.envelope import PYTHON, Envelope
from dqlab.wire.local_code import search_path
from dqlab.wire.messages import ATOMS
from dqlab.wire.process_settings import Settings, glance, settings

__all__ = ["dump_call", "dump_function", "dump_values"]

#: characters of a function's name that travel
NAME = 100
#: bytes of pickled functions that are kept, to be used again
CACHE_BYTES = 16 << 20

#: by whom a worker knows us from other clients
_CLIENT = uuid.uuid4().hex

#: by function, search path and `sys.argv`: what it consisted of when it was pickled, and digest, pickle, python
_cache: BoundedCache[Any, tuple[tuple[Any, ...], tuple[str, bytes, str]]] = BoundedCache(CACHE_BYTES)
#: the last glance at what this process has set, and what that was
_looked_up: tuple[tuple[Any, ...], Settings] | None = None


def dump_values(values: Any) -> tuple[bytes, str]:
    """`(pickle, python)`: python is "" if any Python can load it, else the one version that can."""
    try:
        return _dump_values(values, None)
    except Exception:
        return _dump_values(values, {})  # with care: it goes around what can't be pickled, or says what that is


def _dump_values(values: Any, verdicts: Verdicts | None) -> tuple[bytes, str]:
    file = io.BytesIO()
    pickler = CodePickler(file, verdicts)
    pickler.dump(values)
    return file.getvalue(), PYTHON if pickler.by_value else ""


def dump_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, str]:
    """The same for the arguments of one call, which are often only a number or a string."""
    if not kwargs and all(type(arg) in ATOMS for arg in args):
        return pickle.dumps((args, kwargs), 5), ""
    return dump_values((args, kwargs))


def dump_function(function: Callable[..., Any]) -> tuple[str, bytes, str]:
    """`(digest, pickle, python)` of a function, the digest with its name behind it; pickled again each time unless that
    could make no difference."""
    parts, place, here = fingerprint(function), (search_path(), tuple(sys.argv)), _settings()
    if parts is not None:
        parts = *parts, here
        found = _cache.get((function, place))
        if found is not None and list(map(id, found[0])) == list(map(id, parts)):
            return found[1]
    try:
        pickled, python = _dump_function(function, *place, here, None)
    except Exception:
        pickled, python = _dump_function(function, *place, here, {})
    result = f"{hashlib.sha256(pickled).hexdigest()[:32]} {_name(function)}".strip(), pickled, python
    if parts is not None:
        _cache.keep((function, place), (parts, result), len(pickled))
    return result


def _settings() -> Settings:
    """What this process has set: the same object until a glance at it shows another thing than the last one."""
    global _looked_up
    seen = glance()
    if _looked_up is None or _looked_up[0] != seen:
        _looked_up = seen, settings()
    return _looked_up[1]


def _name(function: Any) -> str:
    """What people call a function, as far as it can be printed."""
    while isinstance(function, functools.partial):
        function = function.func
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    return "".join(char for char in name if char.isprintable())[-NAME:]


def _dump_function(
    function: Any, path: tuple[str, ...], argv: tuple[str, ...], settings: Settings, verdicts: Verdicts | None
) -> tuple[bytes, str]:
    """The pickled envelope of a function, and the Python that can load it."""
    file = io.BytesIO()
    pickler = CallablePickler(file, verdicts)
    pickler.dump(function)
    shared, python = _dump_values(pickler.shared, verdicts) if pickler.shared else (b"", "")
    envelope = Envelope(_CLIENT, path, argv, shared, file.getvalue(), holds_state(function), settings)
    return envelope.dump(), PYTHON if pickler.by_value else python
