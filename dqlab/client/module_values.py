"""Values that are globals of a module and stand somewhere else, too: for defaults of a function (`MISSING = object()`),
attributes of a class, or globals under another name (`from helper import STATE`). They must be one object in a worker,
whichever function has brought them first, so each goes as the global that it is at home."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

from dqlab.wire.local_code import attribute, brought_global, is_local_module
from dqlab.wire.made_anew import MadeAnew, is_made_anew
from dqlab.wire.messages import ATOMS

__all__ = ["Attribute", "Homes", "ModuleValue", "defaults", "importable"]

#: what is told from a module's globals without a look at these: no state, or code that is looked at for itself
_OTHERS = frozenset(
    {*ATOMS, types.FunctionType, property, classmethod, staticmethod, types.MemberDescriptorType, tuple}
)
#: as a global these are the same under each name
_NAMED = (type, types.ModuleType, types.BuiltinFunctionType)


def importable(module: Any) -> bool:
    """Whether it is a module beside the notebook, which a worker on this machine can import."""
    if module == "__main__" or not is_local_module(module):
        return False
    return getattr(sys.modules.get(module), "__file__", None) is not None


class Attribute:
    """What a worker finds in its own import of a module."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __reduce__(self) -> Any:
        return attribute, (self.module, self.name)


class ModuleValue:
    """Stands in a pickle for a global of a module."""

    def __init__(self, module: types.ModuleType, name: str, value: Any) -> None:
        self.module, self.name, self.value = module, name, value

    def __reduce__(self) -> Any:
        value, module = self.value, self.module.__name__
        if is_made_anew(value):
            value = Attribute(module, self.name) if importable(module) else MadeAnew(value)
        return brought_global, (self.module, self.name, value)


@lru_cache(maxsize=1)
def _beside(*_: object) -> list[str]:
    """The names of the modules beside the notebook; `__main__`, which takes most from others, is the last."""
    names = (name for name in list(sys.modules) if is_local_module(name))
    return sorted(names, key=lambda name: name == "__main__")


def _globals_beside() -> Iterator[tuple[types.ModuleType, str, Any]]:
    for name in _beside(len(sys.modules), next(reversed(sys.modules))):
        if (module := sys.modules.get(name)) is not None:
            yield from ((module, *item) for item in list(vars(module).items()) if type(item[1]) not in _OTHERS)


class Homes:
    """Which values are globals of modules beside the notebook, while one thing is pickled."""

    @cached_property
    def _found(self) -> dict[int, tuple[types.ModuleType, str]]:
        found: dict[int, tuple[types.ModuleType, str]] = {}
        for module, name, value in _globals_beside():
            found.setdefault(id(value), (module, name))
        return found

    def of(self, value: Any) -> tuple[types.ModuleType, str] | None:
        """Module and name of a value that is a global; None of others, and of what has no state."""
        return None if type(value) in _OTHERS else self._found.get(id(value))

    def at_home(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values`, with a `ModuleValue` in the place of each that is a global."""
        places = ((name, value, self.of(value)) for name, value in values.items())
        return {name: ModuleValue(*at, value) if at is not None else value for name, value, at in places}

    def of_module(self, module: str, names: Mapping[str, Any]) -> dict[str, Any]:
        """The same for globals of a module: those that are at home elsewhere, or under another name."""
        found = dict(names)
        for name, value in names.items():
            at = None if isinstance(value, _NAMED) else self.of(value)
            if at is not None and (at[0].__name__, at[1]) != (module, name):
                found[name] = ModuleValue(*at, value)
        return found


def defaults(
    function: types.FunctionType, homes: Homes, put: Callable[[ModuleValue], Any] = lambda value: value
) -> dict[str, Any]:
    """The default values of a function, by place and by name, with what `put` makes of each `ModuleValue`."""
    places = {str(i): value for i, value in enumerate(function.__defaults__ or ())}

    def found(values: Mapping[str, Any]) -> dict[str, Any]:
        values = homes.at_home(values)
        return {name: put(value) if isinstance(value, ModuleValue) else value for name, value in values.items()}

    return {
        "__defaults__": function.__defaults__ and tuple(found(places).values()),
        "__kwdefaults__": function.__kwdefaults__ and found(function.__kwdefaults__),
    }
