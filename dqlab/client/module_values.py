"""Values that are globals of a module too (`MISSING = object()`), where a function has them for defaults or a class for
attributes: they must be the same objects in a worker, whichever function has brought them first."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from dqlab.wire.local_code import brought_global
from dqlab.wire.messages import ATOMS

__all__ = ["ModuleValue", "defaults", "with_module_values"]

#: what is told from a module's globals without a look at these: no state, or code that is looked at for itself
_OTHERS = frozenset(
    {*ATOMS, types.FunctionType, property, classmethod, staticmethod, types.MemberDescriptorType, tuple}
)


class ModuleValue:
    """Stands in a pickle for a global of a module."""

    def __init__(self, module: str, name: str, value: Any) -> None:
        self.module, self.name, self.value = module, name, value

    def __reduce__(self) -> Any:
        return brought_global, (self.module, self.name, self.value)


def with_module_values(module: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values`, with a `ModuleValue` in the place of each that is a global of the module."""
    found = sys.modules.get(module or "")
    if found is None or all(type(value) in _OTHERS for value in values.values()):
        return dict(values)
    names = {id(value): name for name, value in vars(found).items() if type(value) not in _OTHERS}
    return {
        name: ModuleValue(found.__name__, names[id(value)], value) if id(value) in names else value
        for name, value in values.items()
    }


def defaults(function: types.FunctionType, put: Callable[[ModuleValue], Any] = lambda value: value) -> dict[str, Any]:
    """The default values of a function, by place and by name, with what `put` makes of each `ModuleValue`."""
    places = {str(i): value for i, value in enumerate(function.__defaults__ or ())}

    def found(values: Mapping[str, Any]) -> dict[str, Any]:
        values = with_module_values(function.__module__, values)
        return {name: put(value) if isinstance(value, ModuleValue) else value for name, value in values.items()}

    return {
        "__defaults__": function.__defaults__ and tuple(found(places).values()),
        "__kwdefaults__": function.__kwdefaults__ and found(function.__kwdefaults__),
    }
