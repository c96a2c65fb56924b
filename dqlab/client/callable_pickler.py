"""How a callable is pickled: in two parts, for it may be called by many tasks, and none may see what another did to it.

What all its copies share, functions and classes and their globals, is loaded once in a worker's child; what was
submitted with it, a bound object or the values of a closure, is loaded for each task.
"""

from __future__ import annotations

import io
import operator
import sys
import types
from typing import Any

from dqlab.client.code_pickler import CodePickler, Verdicts, is_global, modules_in
from dqlab.client.module_values import ModuleValue, defaults
from dqlab.wire.local_code import Namespace, is_local_module, set_function
from dqlab.wire.messages import ATOMS

__all__ = ["CallablePickler"]


class CallablePickler(CodePickler):
    """Pickles what was submitted with a callable; all that its copies share is put into `shared`, to be pickled with
    a `CodePickler` of its own."""

    def __init__(self, file: io.BytesIO, verdicts: Verdicts | None = None) -> None:
        super().__init__(file, verdicts)
        self.shared: list[Any] = []
        self._places: dict[int, int] = {}  #: in `shared`, by the ids of what was put there

    def reduce_module(self, module: types.ModuleType) -> Any:
        """A module beside the notebook is shared."""
        return super().reduce_module(module) if not is_local_module(module.__name__) else self._share(module, module)

    def reduce_wrapper(self, function: Any, parts: tuple[Any, ...]) -> Any:
        """A cache is shared; where it is a global, with the functions that use it as that, too."""
        if not is_global(function):
            return self._share(function, function)
        return self._share(function, ModuleValue(sys.modules[function.__module__], function.__qualname__, function))

    def reduce_class(self, cls: type, reduced: tuple[Any, ...], *more: Any) -> Any:
        """A class is shared."""
        return self._share(cls, cls)

    def reduce_function(self, function: types.FunctionType, reduced: tuple[Any, ...]) -> Any:
        """A function is shared, up to what it was defined with: closure, defaults, attributes."""
        values = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        if function.__closure__ is None and not vars(function) and all(type(value) in ATOMS for value in values):
            return self._share(function, function)
        cells = tuple(types.CellType(*modules_in(cell)) for cell in function.__closure__ or ())
        bare = types.FunctionType(function.__code__, function.__globals__, closure=cells)
        make, (_, _, *rest), (attributes, slots), *_, setter = reduced
        slots |= {"__globals__": {}, "_cloudpickle_submodules": [], **defaults(function, self.homes, self._value)}
        if self.verdicts is not None:
            slots["__closure__"] = self.with_new(slots["__closure__"])
        code, names = (_Part(self._share(function.__code__, bare), part) for part in ("__code__", "__globals__"))
        return make, (code, names, *rest), (setter, (attributes, slots), ()), None, None, set_function

    def _value(self, value: ModuleValue) -> _Whole:
        return _Whole(self._share(value.value, value))

    def _share(self, key: Any, value: Any) -> tuple[Any, ...]:
        if id(key) not in self._places:
            self._places[id(key)] = len(self.shared)
            self.shared.append(value)
        return operator.getitem, (Namespace, self._places[id(key)])


class _Part:
    """Code or globals of a function that is shared."""

    def __init__(self, place: tuple[Any, ...], name: str) -> None:
        self.place, self.name = place, name

    def __reduce__(self) -> Any:
        return getattr, (_Whole(self.place), self.name)


class _Whole:
    def __init__(self, place: tuple[Any, ...]) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return self.place
