"""Functions and classes of the client's program in the processes that a task starts with `multiprocessing`.

A process that is forked has them. One that is spawned would run the client's program for them, which may lie on another
machine, and which needs no `if __name__ == "__main__"` here: it is sent them by value, and its `__main__` holds them.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
from multiprocessing.reduction import ForkingPickler
from typing import Any

from dqlab.wire.value_pickler import ValuePickler

__all__ = ["send_main_by_value"]


def send_main_by_value() -> None:
    """From now on `multiprocessing` pickles so here what is defined in `__main__`."""
    setattr(ForkingPickler, "reducer_override", _reduce)  # noqa: B010


def _reduce(pickler: Any, obj: Any) -> Any:
    if not isinstance(obj, types.FunctionType | type) or obj.__module__ != "__main__":
        return NotImplemented
    file = io.BytesIO()
    _Pickler(file).dump(obj)
    return _find, (obj.__qualname__, file.getvalue())


def _find(name: str, pickled: bytes) -> Any:
    """What `__main__` has under this name here; if nothing, it is loaded."""
    found: Any = sys.modules["__main__"]
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, types.FunctionType | type):
        return found
    send_main_by_value()  # what is returned, too
    loaded = pickle.loads(pickled)
    if name.isidentifier():
        _main_names()[name] = loaded
    return loaded


def _main_names() -> dict[str, Any]:
    main: Any = sys.modules["__main__"]
    return vars(getattr(main, "_dqlab_module", main))


class _MainNames:
    """Stands in a pickle for the globals of `__main__`, which its functions share, where it is loaded, too."""

    def __reduce__(self) -> Any:
        return _main_names, ()


class _Pickler(ValuePickler):
    def reduce_function(self, function: types.FunctionType, reduced: tuple[Any, ...]) -> Any:
        if function.__module__ != "__main__":
            return super().reduce_function(function, reduced)
        make, (code, _, *rest), state, *_, setter = reduced
        return make, (code, _MainNames(), *rest), (setter, state), None, None, _set_function


def _set_function(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    """Give a function its state; globals that are there already stay what this process has made of them."""
    setter, (attributes, slots) = state
    names = {name: value for name, value in slots["__globals__"].items() if name not in function.__globals__}
    setter(function, (attributes, {**slots, "__globals__": names}))
