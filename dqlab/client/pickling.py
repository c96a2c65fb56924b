"""Functions and values as they travel: pickled so that a worker elsewhere can load them.

What is installed (the standard library, site-packages) travels by name; what is defined in a notebook, in `__main__`
or in a module beside them travels by value, because a worker can't import it.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
import sysconfig
import types
from collections import ChainMap
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import cloudpickle

__all__ = ["PYTHON", "dump_call", "dump_function", "dump_values"]

#: the version that by-value pickles are bound to
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

_STDLIB = tuple(path for name in ("stdlib", "platstdlib") if (path := sysconfig.get_paths().get(name)))
#: folders of installed packages: of an environment, of Debian, of a user
_PACKAGES = {"site-packages", "dist-packages"}
#: what every worker has, wherever it lies
_OURS = {"dqlab", "cloudpickle"}
#: what a function may refer to and still be pickled only once: its pickle can't change behind our back
_ATOMS = (int, float, complex, str, bytes, bool, type(None), types.ModuleType, types.BuiltinFunctionType, type)

#: what the plain pickler does as well as cloudpickle, and much faster
_SIMPLE = frozenset({int, float, complex, str, bytes, bool, type(None)})

#: what cloudpickle from 3.1.3 on calls the file of all code
_NO_FILE = "<dynamic-code>"

_cache: dict[Any, tuple[tuple[Any, ...], tuple[str, bytes, str]]] = {}


@lru_cache(maxsize=10_000)
def _travels_by_value(name: str, file: str | None) -> bool:
    if not file or name.partition(".")[0] in _OURS:
        return False
    return not file.startswith(_STDLIB) and _PACKAGES.isdisjoint(PurePath(file).parts)


def _register_local_modules() -> None:
    """Make cloudpickle send what is defined in modules beside the notebook by value."""
    global _modules_seen
    if len(sys.modules) == _modules_seen:
        return
    _modules_seen = len(sys.modules)
    known = cloudpickle.list_registry_pickle_by_value()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and name not in known and isinstance(module, types.ModuleType):
            if getattr(module, "__name__", None) == name and _travels_by_value(name, file):
                cloudpickle.register_pickle_by_value(module)


_modules_seen = 0


def _reduce_code(code: types.CodeType) -> Any:
    """As cloudpickle does it, but code keeps the name of its file, without which a traceback leads nowhere."""
    make, args = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    return make, tuple(code.co_filename if arg == _NO_FILE else arg for arg in args)


class _Pickler(cloudpickle.Pickler):
    dispatch_table = ChainMap({types.CodeType: _reduce_code}, cloudpickle.Pickler.dispatch_table)


def dump_values(values: Any) -> tuple[bytes, str]:
    """`(pickle, python)`: python is "" if any Python can load it, else the one version that can."""
    _register_local_modules()
    file = io.BytesIO()
    _Pickler(file).dump(values)
    data = file.getvalue()
    return data, PYTHON if b"cloudpickle" in data else ""


def dump_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, str]:
    """The same for the arguments of one call, which are often only a number or a string."""
    if not kwargs and all(type(arg) in _SIMPLE for arg in args):
        return pickle.dumps((args, kwargs), 5), ""
    return dump_values((args, kwargs))


def dump_function(function: Callable[..., Any]) -> tuple[str, bytes, str]:
    """`(digest, pickle, python)` of a function; pickled again each time unless that could make no difference."""
    try:
        stamp = _stamp(function)
        found = _cache.get(function) if stamp is not None else None
        if found is not None and stamp is not None and list(map(id, found[0])) == list(map(id, stamp)):
            return found[1]
    except TypeError:  # not hashable
        stamp = None
    data, python = dump_values(function)
    result = hashlib.sha256(data).hexdigest()[:32], data, python
    if stamp is not None:
        if len(_cache) > 1_000:
            _cache.clear()
        _cache[function] = stamp, result
    return result


def _stamp(function: Any) -> tuple[Any, ...] | None:
    """All that a plain function refers to, if none of it can change in place; else None."""
    if type(function) is types.BuiltinFunctionType or isinstance(function, type):
        return ()
    if type(function) is not types.FunctionType:
        return None
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    names = _global_names(function.__code__)
    if names is None:
        return None
    values = tuple(function.__globals__[name] for name in names if name in function.__globals__)
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    rest = (*cells, *values, *defaults)
    if function.__dict__ or not all(isinstance(value, _ATOMS) for value in rest):
        return None
    # Classes and modules from here can be changed in place; those installed elsewhere are taken as they are.
    if any(isinstance(v, type) and _travels_by_value(v.__module__, _file_of(v.__module__)) for v in rest):
        return None
    return (function.__code__, *rest)


def _file_of(module: str) -> str | None:
    return "__main__" if module == "__main__" else getattr(sys.modules.get(module), "__file__", None)


@lru_cache(maxsize=1_000)
def _global_names(code: types.CodeType) -> tuple[str, ...] | None:
    """The global names that a function without inner functions may read; None if it has inner ones."""
    if any(isinstance(const, types.CodeType) for const in code.co_consts):
        return None
    return code.co_names
