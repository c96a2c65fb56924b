"""How values of tasks are pickled at either end: as cloudpickle does it, with what it leaves out."""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
import types
from collections import ChainMap
from collections.abc import Callable
from typing import Any, cast

import cloudpickle

from dqlab.wire.arrivals import class_for, make_skeleton, set_class
from dqlab.wire.local_code import behind, imported_behind, parts_of_wrapper, rebuild_cached_property, set_function
from dqlab.wire.made_anew import with_new
from dqlab.wire.messages import ATOMS

__all__ = ["Dumper", "ValuePickler"]

#: what cloudpickle from 3.1.3 on calls the file of all code
_NO_FILE = "<dynamic-code>"


def _reduce_code(code: types.CodeType) -> Any:
    """As cloudpickle does it, but code keeps the name of its file, without which a traceback leads nowhere."""
    reduced: Any = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    make, args = reduced
    return make, tuple(code.co_filename if type(arg) is str and arg == _NO_FILE else arg for arg in args)


def _reduce_cached_property(found: Any) -> Any:
    return rebuild_cached_property, (found.func, found.attrname)


def _reduce_dispatch_method(found: Any) -> Any:
    """From Python 3.12 on it has a cache of weak references, and does without."""
    return copyreg.__newobj__, (type(found),), {**vars(found), "_method_cache": None}  # type: ignore[attr-defined]


class ValuePickler(cloudpickle.Pickler):
    """Pickles any value; `by_value` says whether code is in it, which only the same version of Python reads."""

    dispatch_table: Any = ChainMap(
        cast(
            dict[type, Any],
            {
                types.CodeType: _reduce_code,
                functools.cached_property: _reduce_cached_property,
                functools.singledispatchmethod: _reduce_dispatch_method,
            },
        ),
        dict(cloudpickle.Pickler.dispatch_table),
    )

    dump: Any = pickle.Pickler.dump  # cloudpickle's own makes another error of a `RecursionError`

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, 5)
        self.by_value = False

    def reducer_override(self, obj: Any) -> Any:
        """How a function or class that travels by value is taken apart; `NotImplemented` for all else."""
        if imported_behind and isinstance(obj, types.FunctionType | type) and (parts := behind(obj)) is not None:
            return parts
        if (parts := parts_of_wrapper(obj)) is not None:
            return self.reduce_wrapper(obj, parts)
        reduced = super().reducer_override(obj)
        if not isinstance(reduced, tuple) or len(reduced) != 6:
            return reduced
        self.by_value = True
        if isinstance(obj, types.FunctionType):
            return self.reduce_function(obj, reduced)
        return self.reduce_class(obj, reduced)

    def reduce_wrapper(self, function: Any, parts: tuple[Any, ...]) -> Any:
        """Take apart what `functools` has made of a function, given how it is made."""
        return parts

    def reduce_function(self, function: types.FunctionType, reduced: tuple[Any, ...]) -> Any:
        """Take a function apart, given how cloudpickle does."""
        make, args, state, *_, setter = reduced
        return make, args, (setter, state, ()), None, None, set_function

    def reduce_class(self, cls: type, reduced: tuple[Any, ...]) -> Any:
        """Take a class apart, given how cloudpickle does: where it came from, it is not set back on its return."""
        make, args, (attributes, slots), *_, setter = reduced
        if make is make_skeleton:  # which forgets these
            *first, namespace, tracker, extra = args
            slots_too = {"__slots__": attributes.pop("__slots__")} if attributes.get("__slots__") else {}
            args = (*first, {**namespace, "__qualname__": cls.__qualname__, **slots_too}, tracker, extra)
        return class_for, (make, *args), (setter, (with_new(attributes), slots)), None, None, set_class


class Dumper:
    """Pickles one value after another, each for itself; to make a pickler costs more than most values do."""

    def __init__(self, make: Callable[[io.BytesIO], ValuePickler] = ValuePickler) -> None:
        self._file = io.BytesIO()
        self._pickler = make(self._file)

    def dump(self, value: Any) -> bytes:
        """The pickle of a value as it is now."""
        if type(value) in ATOMS:
            return pickle.dumps(value, 5)
        self._file.seek(0)
        self._file.truncate()
        self._pickler.clear_memo()
        self._pickler.dump(value)
        return self._file.getvalue()

    @property
    def by_value(self) -> bool:
        """Whether there was code in anything that was pickled."""
        return self._pickler.by_value
