"""Code that no worker can import by itself: which that is, and how it is put together where it has travelled by value.

What is installed (the standard library, site-packages) travels by name. What is defined in a notebook, in `__main__`
or in a module beside them travels by value. There a `StandIn` takes the place of its module: a module that holds what
the travelled functions reach in it, and finds everything else in the worker's own import.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import PurePath
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import cloudpickle

__all__ = [
    "Namespace", "StandIn", "arrived", "attribute", "behind", "begin_global", "brought_global", "client_module",
    "describe", "globals_in", "hide_all", "imported_behind", "is_local", "is_local_module", "latest_class",
    "named_global", "names_in", "parts_of_wrapper", "rebuild_cache", "rebuild_cached_property", "rebuild_dispatch",
    "search_path", "set_function", "show", "stand_in",
]  # fmt: skip

#: the names of the globals in a function's code and in the functions within it
globals_in: Callable[[types.CodeType], Iterable[str]] = cloudpickle.cloudpickle._extract_code_globals
#: what `functools.lru_cache` makes
_CACHED = type(functools.lru_cache(len))
#: the code of all that `functools.singledispatch` makes
_DISPATCH: Any = getattr(functools.singledispatch(len), "__code__")  # noqa: B009

_STDLIB = tuple(path for name in ("stdlib", "platstdlib") if (path := sysconfig.get_paths().get(name)))
#: folders of installed packages: of an environment, of Debian, of a user
_PACKAGES = {"site-packages", "dist-packages"}
#: what every worker has, wherever it lies
_OURS = {"dqlab", "cloudpickle"}


@lru_cache(maxsize=10_000)
def is_local(name: str, file: str | None) -> bool:
    """Whether the module of this name and file lies beside the notebook, where no worker looks for it by itself."""
    if not file or name.partition(".")[0] in _OURS:
        return False
    return not file.startswith(_STDLIB) and _PACKAGES.isdisjoint(PurePath(file).parts)


def is_local_module(name: object) -> bool:
    """The same of a module that is imported here, and of `__main__`."""
    return name == "__main__" or (isinstance(name, str) and is_local(name, _place_of(name)))


def _place_of(name: str) -> str | None:
    """The file of a module, or the folder of a package that has none (PEP 420); a module that is made by hand, and that
    no import finds, has its name for one."""
    module = sys.modules.get(name)
    file: str | None = getattr(module, "__file__", None)
    if file is None and module is not None:
        if (path := getattr(module, "__path__", None)) is not None:
            return next(iter(path), None)
        if getattr(module, "__spec__", None) is None and "." not in name:
            return name
    return file


@lru_cache(maxsize=10_000)
def names_in(code: types.CodeType) -> frozenset[str]:
    """Every name of a global or an attribute in a function's code and in the functions within it."""
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return frozenset(code.co_names).union(*map(names_in, inner))


def search_path() -> tuple[str, ...]:
    """The folders where modules beside the notebook are looked for, as absolute paths."""
    path = tuple(sys.path)
    return _local_folders(path, "" if _is_absolute(path) else os.getcwd())


@lru_cache(maxsize=16)
def _is_absolute(path: tuple[str, ...]) -> bool:
    return all(map(os.path.isabs, path))


@lru_cache(maxsize=16)
def _local_folders(path: tuple[str, ...], here: str) -> tuple[str, ...]:
    folders = [os.path.join(here, entry) if entry else here for entry in path]
    return tuple(dict.fromkeys(folder for folder in folders if is_local("", folder)))


class Namespace:
    """Stands in the pickle of a callable for the list of what it shares with all its copies; never made."""


#: classes that have come here by value, by their ids, the last one last
arrived: WeakValueDictionary[int, type] = WeakValueDictionary()
#: globals of modules that are to come, and what they are until then
_begun: WeakKeyDictionary[StandIn, dict[str, Any]] = WeakKeyDictionary()
#: modules that this process has imported behind a `StandIn`, by name
imported_behind: dict[str, types.ModuleType] = {}


class StandIn(types.ModuleType):
    """A module beside the notebook, in a worker: what is reached in it has travelled along, all else is in the worker's
    own import of it. Tasks that import the module are given this."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__name__ == "__main__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if (cls := latest_class(self.__name__, name)) is not None:
            return cls
        try:
            return getattr(_import_behind(self.__name__), name)
        except ImportError as exc:
            raise AttributeError(f"module {self.__name__!r} came without {name!r}, and there: {exc}") from exc

    def __dir__(self) -> list[str]:
        try:
            there = dir(_import_behind(self.__name__)) if self.__name__ != "__main__" else []
        except ImportError:
            there = []
        return sorted({*super().__dir__(), *there})

    def __reduce__(self) -> Any:
        return importlib.import_module, (self.__name__,)


def describe(module: StandIn, about: dict[str, Any]) -> None:
    """Give it what may be asked of a module that never ran, `__file__` and the like, and where its data lie."""
    vars(module).update(about)
    file, name = about.get("__file__"), module.__name__
    if file is not None and name != "__main__" and module.__spec__ is None:
        path = about.get("__path__")
        spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=path)
        vars(module).update(__spec__=spec, __loader__=spec and spec.loader)


def latest_class(module: str, name: str) -> type | None:
    """The class of this name that has arrived last, if there is one."""
    classes = reversed(list(arrived.values()))
    return next((cls for cls in classes if cls.__module__ == module and cls.__qualname__ == name), None)


def _import_behind(name: str) -> types.ModuleType:
    """This process's own import of a module, also where a `StandIn` is in its place."""
    shown = sys.modules.get(name)
    if not isinstance(shown, StandIn):
        return importlib.import_module(name)
    if name not in imported_behind:
        del sys.modules[name]
        try:
            imported_behind[name] = importlib.import_module(name)
        finally:
            sys.modules[name] = shown
            _bind(shown)
    return imported_behind[name]


def show(stand_in: StandIn) -> None:
    """From now on tasks that import the module are given this."""
    there = sys.modules.get(stand_in.__name__)
    if there is not None and not isinstance(there, StandIn):
        imported_behind[stand_in.__name__] = there
    sys.modules[stand_in.__name__] = stand_in
    _bind(stand_in)
    cloudpickle.register_pickle_by_value(stand_in)


def _bind(stand_in: StandIn) -> None:
    """Where a package has this module for an attribute, it has what `sys.modules` has."""
    package, _, name = stand_in.__name__.rpartition(".")
    if isinstance(vars(sys.modules.get(package, types)).get(name), types.ModuleType):
        setattr(sys.modules[package], name, stand_in)


def behind(code: Any) -> tuple[Any, ...] | None:
    """How another process finds a function or class of a module that was imported behind a `StandIn`; None of others,
    which go by value."""
    found: Any = imported_behind.get(code.__module__)
    for part in code.__qualname__.split(".") if found is not None else ():
        found = getattr(found, part, None)
    return (attribute, (code.__module__, code.__qualname__)) if found is code else None


def hide_all() -> None:
    """The next task is another client's."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, StandIn):
            cloudpickle.unregister_pickle_by_value(module)
            del sys.modules[name]


def stand_in(about: dict[str, Any]) -> StandIn:
    """A `StandIn` for the module whose `__name__`, `__file__` and the like are in `about`."""
    module = StandIn(about["__name__"])
    describe(module, about)
    return module


def client_module(about: dict[str, Any]) -> StandIn:
    """A `StandIn` for a module that there is at the client; in a worker, one for all functions of that client."""
    return stand_in(about)


def brought_global(module: StandIn, name: str, value: Any) -> Any:
    """The value of a global of the client's; in a worker, the one that all functions of that client share."""
    if name in (begun := _begun.get(module, {})):
        del begun[name], vars(module)[name]
    vars(module).setdefault(name, value)
    return value


def begin_global(module: StandIn, begun: dict[str, Any]) -> None:
    """A global of the client's is about to come: until then it is what it began as, unless there is one already."""
    new = {name: value for name, value in begun.items() if name not in vars(module)}
    vars(module).update(new)
    _begun.setdefault(module, {}).update(new)


def named_global(module: StandIn, name: str, value: Any) -> Any:
    """A global that is pickled by its name: that which a task finds in the module, or else what came."""
    there = sys.modules.get(module.__name__, module)
    if not hasattr(there, name):
        setattr(there, name, value)
    return getattr(there, name)


def attribute(module: str, name: str) -> Any:
    """What `module` holds under `name` where this process imports it: for what no pickle can hold."""
    try:
        found: Any = _import_behind(module)
    except ImportError as exc:
        where = f"{name!r} of module {module!r}"
        raise ImportError(
            f"{where} can't be pickled, and this worker can't import the module: {exc} "
            f"(install {module!r} there, or make {name!r} inside the function that uses it)"
        ) from exc
    for part in name.split("."):
        found = getattr(found, part)
    return found


def set_function(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    """Give a function that has arrived its state, and the modules that it reaches what it needs of them."""
    setter, inner, reached = state
    setter(function, inner)
    for module, names in reached:
        vars(module).update(names)


def _has_no_name(function: Any) -> bool:
    name = function.__module__
    return is_local_module(name) or name not in sys.modules


def parts_of_wrapper(function: Any) -> tuple[Any, ...] | None:
    """How to make what `functools.lru_cache` (with an empty cache) or `singledispatch` has made of a function that goes
    by value; None of all else."""
    if type(function) is _CACHED and _has_no_name(function):
        return rebuild_cache, (function.__wrapped__, function.cache_parameters())
    if isinstance(function, types.FunctionType) and function.__code__ is _DISPATCH and _has_no_name(function):
        registry: Any = function
        return rebuild_dispatch, (sorted(registry.registry.items(), key=lambda item: item[0] is not object),)
    return None


def rebuild_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """A function with an empty `functools.lru_cache`."""
    return functools.lru_cache(**parameters)(function)


def rebuild_dispatch(registered: list[tuple[type, Callable[..., Any]]]) -> Any:
    """A function of `functools.singledispatch`, with what is registered for each type; for `object` it comes first."""
    made = functools.singledispatch(registered[0][1])
    for cls, function in registered[1:]:
        made.register(cls, function)
    return made


def rebuild_cached_property(function: Callable[..., Any], name: str | None) -> Any:
    """A `functools.cached_property`, which under Python 3.11 holds a lock."""
    made: Any = functools.cached_property(function)
    made.attrname = name
    return made
