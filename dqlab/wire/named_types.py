"""What a module makes for its annotations and `pickle` finds by its name only: in a worker, where the module isn't run,
it is made again."""

from __future__ import annotations

import contextlib
import typing
from typing import Any

__all__ = ["make_named", "parts_of_named_type"]

#: by type, the attributes that it is made of, and under which names those are given which have one
_MADE_OF: dict[Any, tuple[tuple[str, ...], tuple[str, ...]]] = {
    typing.NewType: (("__name__", "__supertype__"), ()),
    typing.ParamSpec: (("__name__",), ("bound", "covariant", "contravariant", "infer_variance", "default")),
    typing.TypeVarTuple: (("__name__",), ("default",)),
    getattr(typing, "TypeAliasType", None): (("__name__", "__value__"), ("type_params",)),
}


def parts_of_named_type(obj: Any) -> tuple[Any, ...] | None:
    """How such a thing is made; None of all else."""
    if type(obj) not in _MADE_OF:
        return None
    first, more = _MADE_OF[type(obj)]
    named = {name: getattr(obj, f"__{name}__") for name in more if hasattr(obj, f"__{name}__")}
    return make_named, (type(obj), [getattr(obj, name) for name in first], named, obj.__module__)


def make_named(kind: Any, args: list[Any], named: dict[str, Any], module: str) -> Any:
    """One of these, which says that it is of `module`."""
    made = kind(*args, **named)
    with contextlib.suppress(AttributeError):  # an alias stays of that which makes it
        made.__module__ = module
    return made
