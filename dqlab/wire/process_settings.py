"""What a program sets for its whole process, and its tasks expect to be set: limits of the interpreter, which warnings
are shown, the context of `decimal`, the locale, time-outs of sockets, and what `logging` writes where.

The processes of a pool have it from the program, which they copy or run again; here it travels with each function.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dqlab.wire import logging_settings

__all__ = ["Settings", "adopt", "glance", "settings"]

#: by the module in which it is set, plain data; None if it is as it was when that was loaded
Settings = dict[str, Any]

#: the categories of a locale that change what a program computes
_CATEGORIES = ("LC_COLLATE", "LC_NUMERIC", "LC_MONETARY", "LC_TIME")
#: characters of a field, unless a program sets another limit
_CSV_FIELD = 131_072
#: a context as it is at first: precision, rounding, smallest and largest exponent, capitals, clamp, what is an error
_DECIMAL = 28, "ROUND_HALF_EVEN", -999999, 999999, 1, 0, ("DivisionByZero", "InvalidOperation", "Overflow")

#: what numpy does at first about errors
_NUMPY = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def _interpreter() -> Any:
    return sys.getrecursionlimit(), sys.get_int_max_str_digits()


def _set_interpreter(value: Any) -> None:
    sys.setrecursionlimit(value[0])
    sys.set_int_max_str_digits(value[1])


def _warnings() -> Any:
    filters: Any = warnings.filters
    return tuple(_plain(*each) for each in filters if isinstance(each[2], type))


@lru_cache(maxsize=1000)
def _plain(action: str, message: Any, kind: Any, module: Any, line: int) -> tuple[Any, ...]:
    return action, _text(message), f"{kind.__module__}:{kind.__qualname__}", _text(module), line


def _text(pattern: Any) -> str:
    """A pattern of a filter, as text; those from the interpreter's start are names."""
    return rf"{re.escape(pattern)}\Z" if isinstance(pattern, str) else getattr(pattern, "pattern", "")


def _set_warnings(value: Any) -> None:
    warnings.resetwarnings()
    for action, message, place, module, line in value:
        name, _, kind = place.partition(":")
        try:
            category = getattr(importlib.import_module(name), kind)
        except (ImportError, AttributeError):
            continue  # it is the program's own, or of what isn't installed here
        warnings.filterwarnings(action, message, category, module, line, append=True)


def _decimal() -> Any:
    now = sys.modules["decimal"].getcontext()
    traps = tuple(sorted(signal.__name__ for signal, on in now.traps.items() if on))
    found = now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, traps
    return found if found != _DECIMAL else None


def _set_decimal(value: Any) -> None:
    decimal: Any = importlib.import_module("decimal")
    *numbers, traps = value or _DECIMAL
    decimal.setcontext(decimal.Context(*numbers, flags=[], traps=[getattr(decimal, name) for name in traps]))


def _locale() -> Any:
    locale: Any = sys.modules["locale"]
    names = tuple(locale.setlocale(getattr(locale, category)) for category in _CATEGORIES)
    return names if set(names) != {"C"} else None


def _set_locale(value: Any) -> None:
    locale: Any = importlib.import_module("locale")
    for category, name in zip(_CATEGORIES, value or ("C",) * len(_CATEGORIES), strict=True):
        try:
            locale.setlocale(getattr(locale, category), name)
        except locale.Error:
            print(f"dqlab: this machine has no locale {name!r}, which the program has set", file=sys.stderr)


def _socket() -> Any:
    return sys.modules["socket"].getdefaulttimeout()


def _set_socket(value: Any) -> None:
    importlib.import_module("socket").setdefaulttimeout(value)


def _csv() -> Any:
    limit = sys.modules["csv"].field_size_limit()
    return limit if limit != _CSV_FIELD else None


def _set_csv(value: Any) -> None:
    importlib.import_module("csv").field_size_limit(value or _CSV_FIELD)


def _numpy() -> Any:
    found = sys.modules["numpy"].geterr()
    return found if found != _NUMPY else None


def _set_numpy(value: Any) -> None:
    with contextlib.suppress(ImportError):  # then no task here computes with it
        importlib.import_module("numpy").seterr(**(value or _NUMPY))


#: by module, how its setting is looked up and how it is made
_HOW: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "sys": (_interpreter, _set_interpreter),
    "warnings": (_warnings, _set_warnings),
    "decimal": (_decimal, _set_decimal),
    "locale": (_locale, _set_locale),
    "socket": (_socket, _set_socket),
    "csv": (_csv, _set_csv),
    "numpy": (_numpy, _set_numpy),
    "logging": (logging_settings.described, logging_settings.configure),
}
#: what each thread has of its own: that of the main thread is the program's
_contexts: Settings = {"decimal": None, "numpy": None}


def glance() -> tuple[Any, ...]:
    """What is cheap to look at for each task: while it is the same, `settings` are taken to be."""
    decimal = sys.modules["decimal"].getcontext() if "decimal" in sys.modules else None
    context = (decimal.prec, decimal.rounding) if decimal else None
    return sys.getrecursionlimit(), tuple(warnings.filters), context, logging_settings.glance()


def settings() -> Settings:
    """The settings of this process."""
    found: Settings = {}
    for name, (look, _) in _HOW.items():
        with contextlib.suppress(KeyError, AttributeError):  # it isn't loaded, or not wholly
            found[name] = look()
    if threading.current_thread() is threading.main_thread():
        _contexts.update({name: found.get(name) for name in _contexts})
    return found | _contexts


def adopt(new: Settings, last: Settings) -> None:
    """Make `new` the settings of this process, where it isn't `last`: those may be what tasks have made of them."""
    for name, (_, make) in _HOW.items():
        if new.get(name) != last.get(name):
            make(new.get(name))
