"""The client's picklers: what is defined beside the notebook goes by value, as it is here now.

A function takes along the globals that it uses and, of the modules beside the notebook, what it names in them; other
things there may be as they like. What no pickle can hold (a lock, a connection) goes as "attribute NAME of module M".
"""

from __future__ import annotations

import copyreg
import io
import operator
import pickle
import sys
import threading
import types
from collections.abc import Iterator
from itertools import accumulate
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from dqlab.client.module_values import Attribute, Homes, ModuleValue, defaults, importable
from dqlab.wire.arrivals import is_set, keep_class
from dqlab.wire.local_code import (
    attribute,
    client_module,
    is_local_module,
    named_global,
    names_in,
    parts_of_wrapper,
    stand_in,
)
from dqlab.wire.made_anew import MadeAnew, is_made_anew
from dqlab.wire.messages import ATOMS
from dqlab.wire.named_types import parts_of_named_type
from dqlab.wire.proxies import reduce_proxy_maker, refuse_end_of_pipe
from dqlab.wire.value_pickler import Method, Step, ValuePickler, is_code

__all__ = ["CodePickler", "Verdicts", "is_global", "modules_in", "seeks"]

#: what may be asked of a module that never ran: how it is called, and where relative imports begin
_ABOUT = ("__name__", "__package__", "__path__", "__file__")
#: by these a function may look for globals whose names its code doesn't tell; by those too, if it is from `__main__`,
#: which no worker can import
_SEEKERS = frozenset({"globals", "eval", "exec", "__subclasses__"})
_IMPORTERS = frozenset({"modules", "import_module", "__import__", "__main__"})
#: by these it may look for whatever there is in a module that it reaches
_LISTERS = frozenset({"vars", "dir", "__dict__", "getmembers"})
#: values that were tried, by their ids and whether locks in them are made anew, and why each can't be pickled, or None
Verdicts = dict[tuple[int, bool], tuple[Any, Exception | None]]


def _send_by_value(name: Any) -> None:
    if name != "__main__" and is_local_module(name) and isinstance(module := sys.modules[name], types.ModuleType):
        cloudpickle.register_pickle_by_value(module)  # what has put an object in its place is by value anyway


def seeks(function: types.FunctionType) -> bool:
    """Whether a function may look for globals by names that its code doesn't tell (`globals()[name]`, `eval`)."""
    names = names_in(function.__code__)
    return not _SEEKERS.isdisjoint(names) or (function.__module__ == "__main__" and not _IMPORTERS.isdisjoint(names))


def _sought(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """What of a module's globals may be looked for so: functions and classes from here, and atoms."""
    for name, value in vars(module).items():
        if isinstance(value, types.FunctionType | type):
            if is_local_module(value.__module__):
                yield name, value
        elif type(value) in ATOMS and not name.startswith("_"):
            yield name, value


def _reached(values: Any, names: frozenset[str]) -> Iterator[tuple[types.ModuleType, dict[str, Any]]]:
    """The modules beside the notebook among `values` and in those, each with what it holds under one of `names`."""
    seen: set[int] = set()
    waiting = list(values)
    while waiting:
        module = waiting.pop()
        if isinstance(module, types.ModuleType) and is_local_module(module.__name__) and id(module) not in seen:
            seen.add(id(module))
            found = {name: vars(module)[name] for name in sorted(names & vars(module).keys())}
            waiting += found.values()
            yield module, found


def _imported(names: frozenset[str]) -> list[types.ModuleType]:
    """The modules beside the notebook that a line of a function may import, with these names in its code."""
    each = {part for name in names for part in accumulate(name.split("."), "{}.{}".format)} - {"__main__"}
    return [sys.modules[name] for name in sorted(each & sys.modules.keys()) if is_local_module(name)]


def modules_in(*cells: types.CellType) -> list[types.ModuleType]:
    """The modules among the variables of a closure."""
    values = (cell.cell_contents for cell in cells if cell != types.CellType())
    return [value for value in values if isinstance(value, types.ModuleType)]


def is_global(code: Any) -> bool:
    """Whether its module has a function or class under its name, where a task may look for it, or `pickle` there."""
    return vars(sys.modules.get(code.__module__ or "", types)).get(code.__qualname__) is code


def _may_be_global(obj: Any) -> bool:
    """Whether an object from the script may be a global that is pickled by its name (`MISSING`)."""
    cls = type(obj)
    reduces_itself = cls.__module__ == "__main__" and cls.__reduce__ is not object.__reduce__
    return reduces_itself and cls not in copyreg.dispatch_table


def _named_type(obj: Any, parts: tuple[Any, ...]) -> Any:
    """What `typing` has made for a module beside the notebook is a global of that, which isn't run in a worker."""
    module, name = sys.modules.get(obj.__module__), obj.__name__
    if module is None or not is_local_module(module.__name__) or vars(module).get(name) is not obj:
        return NotImplemented
    return named_global, (module, name, Step(lambda: parts))


class _NamedError(pickle.PicklingError):
    """What can't be pickled, by its name, and what to do about it."""


def _named(what: str, user: types.FunctionType, why: Exception) -> _NamedError:
    if isinstance(why, _NamedError):
        return why
    remedy = "make it inside the function, or in a module beside the notebook"
    return _NamedError(f"{what}, which {user.__qualname__} uses, can't be pickled: {why} ({remedy})")


class _Globals:
    """The globals of a module's functions."""

    def __init__(self, module: types.ModuleType) -> None:
        self.module = module

    def __reduce__(self) -> Any:
        return vars, (self.module,)


class CodePickler(ValuePickler):
    """Pickles values with the code that they need. `verdicts` makes it look for what can't be pickled, and avoid it:
    slower, so only for what has failed without."""

    dispatch_table: Any = ValuePickler.dispatch_table.copy()  # of which the first map is a copy
    dispatch_table[Connection] = refuse_end_of_pipe

    def __init__(self, file: io.BytesIO, verdicts: Verdicts | None = None, anew: bool = False) -> None:
        super().__init__(file)
        self.verdicts, self._anew = verdicts, anew

    def forget(self) -> None:
        """Know nothing more of the last value: what is told by ids holds as long as nothing but the pickler runs."""
        super().forget()
        self.homes = Homes()
        self._modules: dict[int, types.ModuleType] = {}  #: by the ids of their globals: those that never ran as one

    def reducer_override(self, obj: Any) -> Any:
        """How code is taken apart; `NotImplemented` for all else."""
        parts = parts_of_wrapper(obj)
        if parts is not None:
            return self.reduce_wrapper(obj, parts)
        if isinstance(obj, types.FunctionType | type):
            _send_by_value(getattr(obj, "__module__", None))
            return self._from_own_import(obj) or reduce_proxy_maker(obj) or super().reducer_override(obj)
        if isinstance(obj, types.ModuleType):
            return self.reduce_module(obj)
        if self._anew and is_made_anew(obj):
            return MadeAnew(obj).__reduce__()
        if self._anew and isinstance(obj, threading.Thread):
            raise pickle.PicklingError(f"cannot pickle {type(obj).__name__!r} object, which is a thread")
        if (parts := parts_of_named_type(obj)) is not None:
            return _named_type(obj, parts)
        return self._reduce_global(obj) if _may_be_global(obj) else NotImplemented

    def _reduce_global(self, obj: Any) -> Any:
        """What calls itself a global of its module is that in a worker, too, where the script isn't run."""
        reduced = obj.__reduce_ex__(5)
        if not isinstance(reduced, str) or (main := sys.modules["__main__"]).__dict__.get(reduced) is not obj:
            return reduced
        return named_global, (main, reduced, Step(lambda: (object.__new__, (type(obj),), vars(obj))))

    def reduce_module(self, module: types.ModuleType) -> Any:
        """A module beside the notebook arrives empty, and the functions that use it fill it."""
        if not is_local_module(module.__name__) and id(vars(module)) not in self._modules:
            return NotImplemented
        self.by_value = True
        make = client_module if sys.modules.get(module.__name__) is module else stand_in
        about = {name: vars(module)[name] for name in _ABOUT if name in vars(module)}
        if "__path__" in about:
            about["__path__"] = list(about["__path__"])  # of a package without a file it is no list
        return make, (about,)

    def attributes(self, values: dict[str, Any]) -> dict[str, Any]:
        """Attributes of a class; those that are globals, too, are the same objects there."""
        return super().attributes(self.homes.at_home(values))

    def reduce_class(self, cls: type, reduced: tuple[Any, ...], *more: Any) -> Any:
        """Take a class apart that will come home in results."""
        keep_class(cls)
        return super().reduce_class(cls, reduced, is_global(cls))

    def reduce_function(self, function: types.FunctionType, reduced: tuple[Any, ...]) -> Any:
        """Take a function apart, with what it reaches in modules beside the notebook."""
        make, (code, _, *rest), (attributes, slots), *_, setter = reduced
        used, names = slots["__globals__"], names_in(function.__code__)
        if is_global(function):
            used[function.__qualname__] = function
        home = self._module_of(function.__globals__)
        if seeks(function):
            used = self._whatever(home) | used
        slots |= {"__globals__": self._without_stuck(home.__name__, used, function), **defaults(function, self.homes)}
        beside = _reached([*used.values(), *_imported(names), *modules_in(*function.__closure__ or ())], names)
        lists = not _LISTERS.isdisjoint(names)
        reached = [
            (module, self._without_stuck(module.__name__, (self._whatever(module) if lists else {}) | found, function))
            for module, found in beside
        ]
        state = setter, (attributes, slots), tuple(reached)
        return self.with_state(function, make, (code, _Globals(home), *rest), state)

    def used_by(self, methods: list[Method]) -> tuple[list[ModuleValue], list[ModuleValue]]:
        """The globals that methods use: code, and what may be made by it in the order of its module."""
        used = {
            (module, name): value
            for function, (_, (_, slots), reached) in methods
            for module, names in (*reached, (self._module_of(function.__globals__), slots["__globals__"]))
            for name, value in names.items()
        }
        places = {module: {name: i for i, name in enumerate(vars(module))} for module, _ in used}
        order = sorted(used, key=lambda at: places[at[0]].get(at[1], 0))
        values = [ModuleValue(*at, used[at]) for at in order]
        return [v for v in values if is_code(v.value)], [v for v in values if not is_code(v.value)]

    def _whatever(self, module: types.ModuleType) -> dict[str, Any]:
        """What of a module's globals may be looked for and can be pickled."""
        return {name: value for name, value in _sought(module) if self._stuck(value) is None}

    def _module_of(self, names: dict[str, Any]) -> types.ModuleType:
        module = sys.modules.get(names.get("__name__", ""))
        if module is not None and vars(module) is names:
            self._modules[id(names)] = module
        elif id(names) not in self._modules:
            self._modules[id(names)] = unborn = types.ModuleType(names.get("__name__", "__main__"))
            vars(unborn).update({name: names[name] for name in _ABOUT if name in names})
        return self._modules[id(names)]

    # -- what can't be pickled -----------------------------------------------------------------------------------

    def _without_stuck(self, module: str, names: dict[str, Any], user: types.FunctionType) -> dict[str, Any]:
        """`names` of a module; those that can't be pickled are to be found in a worker's own import of it, or of that
        which they are from."""
        found = self.homes.of_module(module, names)
        stuck = {name: why for name, value in names.items() if (why := self._stuck(value)) is not None}
        for name, why in stuck.items():
            value, at = names[name], self.homes.of(names[name])
            home = (at[0].__name__, at[1]) if at is not None else (module, name)
            if not importable(home[0]) and self._stuck(value, anew=True) is None:
                new = self.with_new(value)
                found[name] = ModuleValue(*at, new) if at is not None and home != (module, name) else new
            elif isinstance(why, _NamedError) or not importable(home[0]):
                raise _named(f"global variable {name!r} of module {module!r}", user, why)
            else:
                found[name] = Attribute(*home)
        return found

    def with_new(self, value: Any) -> Any:
        """Stands in the pickle for a value in which locks and the like are made anew."""
        before = self._anew

        def switch(anew: bool) -> Any:
            self._anew = anew
            return is_set, ()

        steps = Step(lambda: switch(True)), value, Step(lambda: switch(before))
        return Step(lambda: (operator.getitem, (steps, 1)))

    def _from_own_import(self, obj: Any) -> Any:
        """A function or class that can't be pickled, if a worker can import it."""
        if self.verdicts is None or not importable(obj.__module__) or self._stuck(obj) is None:
            return None
        found: Any = sys.modules[obj.__module__]
        for part in obj.__qualname__.split("."):
            found = getattr(found, part, None)
        return (attribute, (obj.__module__, obj.__qualname__)) if found is obj else None

    def _stuck(self, value: Any, anew: bool = False) -> Exception | None:
        """Why a value can't be pickled; None if it can, or if just that is being found out."""
        if type(value) in ATOMS or self.verdicts is None:
            return None
        anew = anew or self._anew
        if (id(value), anew) not in self.verdicts:
            self.verdicts[id(value), anew] = value, None
            try:
                trial = CodePickler(io.BytesIO(), self.verdicts, anew)
                trial.homes = self.homes  # still the same: they need not be looked for again for each value
                trial.dump(value)
            except Exception as exc:
                self.verdicts[id(value), anew] = value, exc
        return self.verdicts[id(value), anew][1]
