"""What a callable holds, as far as that decides how often it is pickled here, and loaded in a worker."""

from __future__ import annotations

import dis
import functools
import sys
import types
from functools import lru_cache
from typing import Any

from dqlab.client.code_pickler import seeks
from dqlab.wire.local_code import is_local_module, names_in
from dqlab.wire.messages import ATOMS

__all__ = ["fingerprint", "holds_state"]

#: what `functools.lru_cache` makes
_CACHED = type(functools.lru_cache(len))
_BUILTIN = (types.BuiltinFunctionType, types.MethodWrapperType)
_NAMED = (types.FunctionType, types.BuiltinFunctionType, type)


def goes_by_name(obj: Any) -> bool:
    """Whether a worker finds a function or class by its name, in what is installed."""
    module, name = (
        getattr(obj, "__module__", None),
        getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None),
    )
    if not isinstance(module, str) or not isinstance(name, str) or is_local_module(module):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


def holds_state(obj: Any, within: tuple[Any, ...] = ()) -> bool:
    """Whether a task could change what was submitted with a callable; what is shared (globals) doesn't count."""
    if type(obj) in ATOMS or isinstance(obj, type | types.ModuleType | _CACHED) or any(obj is x for x in within):
        return False
    within = (*within, obj)
    if isinstance(obj, types.FunctionType):
        if goes_by_name(obj):
            return False
        return _rebinds(obj.__code__) or any(holds_state(value, within) for value in _submitted_with(obj))
    if isinstance(obj, _BUILTIN):
        return holds_state(obj.__self__, within)
    if isinstance(obj, types.MethodType):
        return holds_state(obj.__self__, within) or holds_state(obj.__func__, within)
    if type(obj) is functools.partial:
        return any(holds_state(value, within) for value in (obj.func, *obj.args, *obj.keywords.values()))
    return not goes_by_name(obj)


def _submitted_with(function: types.FunctionType) -> tuple[Any, ...]:
    """The values of a function's closure, its defaults and its attributes."""
    if function.__closure__ is function.__defaults__ is function.__kwdefaults__ is None and not vars(function):
        return ()
    cells = (cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType())
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return (*cells, *defaults, *vars(function).values())


@lru_cache(maxsize=10_000)
def _rebinds(code: types.CodeType) -> bool:
    """Whether a function, or one within it, gives a variable of its closure another value (`nonlocal`)."""
    if not code.co_freevars:
        return False
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return any(map(_rebinds, inner)) or any(
        step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in code.co_freevars
        for step in dis.get_instructions(code)
    )


def fingerprint(function: Any) -> tuple[Any, ...] | None:
    """All that decides what a callable's pickle is, each to be compared by identity; None if that can't be told.

    A function is followed through the globals that it uses, and through modules beside the notebook, to other functions
    and to atoms. Whatever else there is, an instance, a list, a class from here, may have changed in place.
    """
    parts: list[Any] = []
    return tuple(parts) if _collect(function, parts, set()) else None


def _collect(value: Any, parts: list[Any], seen: set[Any], names: frozenset[str] = frozenset()) -> bool:
    """Add what `value` consists of to `parts`, of a module what `names` name in it; False if that is in doubt."""
    parts.append(value)
    if type(value) in ATOMS or (id(value), names) in seen:
        return True
    seen.add((id(value), names))
    if isinstance(value, types.ModuleType):
        if not is_local_module(value.__name__):
            return True
        return all(_collect(vars(value)[name], parts, seen, names) for name in names if name in vars(value))
    if isinstance(value, _NAMED) and goes_by_name(value):
        owner = getattr(value, "__self__", None)
        return owner is None or isinstance(owner, types.ModuleType)
    if type(value) is not types.FunctionType or vars(value).keys() - {"__wrapped__"} or seeks(value):
        return False
    inside = names_in(value.__code__)
    used = [value.__globals__[name] for name in inside if name in value.__globals__]
    parts.append(value.__code__)
    return all(_collect(part, parts, seen, inside) for part in (*_submitted_with(value), *used))
