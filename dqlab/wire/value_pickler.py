"""How values of tasks are pickled at either end: as cloudpickle does it, with what it leaves out."""

from __future__ import annotations

import collections
import copyreg
import functools
import io
import pickle
import types
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterator
from typing import Any, cast

import cloudpickle

from dqlab.wire.arrivals import (
    class_for,
    is_set,
    make_enum,
    make_skeleton,
    members_of,
    members_with_data,
    set_attributes,
    set_class,
)
from dqlab.wire.local_code import (
    begin_global,
    behind,
    imported_behind,
    is_local_module,
    parts_of_wrapper,
    rebuild_cached_property,
    set_function,
)
from dqlab.wire.made_anew import with_new
from dqlab.wire.messages import ATOMS

__all__ = ["Dumper", "Method", "Step", "ValuePickler", "is_code"]

#: what cloudpickle from 3.1.3 on calls the file of all code
_NO_FILE = "<dynamic-code>"
#: by these, or one that they call, an instance is made, or put into a set
_CALLED = ("__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__", "__setstate__", "__hash__")
#: types of attributes in which no instance is
_PLAIN = frozenset({*ATOMS, types.FunctionType, property, classmethod, staticmethod})
#: types of containers that a program begins with empty
_FILLED = (
    dict, list, set, collections.defaultdict, collections.OrderedDict,
    weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet,
)  # fmt: skip
#: types of containers that are looked into
_CONTAINERS = (*_FILLED, tuple, frozenset, collections.deque)
#: a function of a class, and what `local_code.set_function` is to give it
Method = tuple[types.FunctionType, tuple[Any, ...]]


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


def is_code(value: Any) -> bool:
    """Whether no method of a class is called where it arrives."""
    return type(value) in ATOMS or isinstance(value, types.FunctionType | types.ModuleType | type)


def _turn(cls: type, value: Any) -> int:
    """When a class is given an attribute: at once, once it has its methods, or last, as these make what is in it."""
    if type(value) in _PLAIN:
        return 0
    types = _types_in(value)
    if any(cls in each.__mro__ for each in types):
        return 2 * _has_methods_for_pickles(cls)
    return int(any(is_local_module(each.__module__) for each in types))


def _types_in(value: Any) -> set[type]:
    """The types of a value and of all that is in it, if it is a container."""
    types, seen, waiting = {type(value)}, set(), [value]
    while waiting:
        each = waiting.pop()
        if type(each) in _CONTAINERS and id(each) not in seen:
            seen.add(id(each))
            inside = [x for x in (*each, *(each.values() if hasattr(each, "values") else ())) if type(x) not in ATOMS]
            types.update(map(type, inside))
            waiting += inside
    return types


def _empty(value: Any) -> Any:
    """As what a registry of instances begins: a method that makes one looks there for others."""
    if type(value) is collections.defaultdict:
        return type(value)(value.default_factory)
    return type(value)() if type(value) in _FILLED else None


def _has_methods_for_pickles(cls: type) -> bool:
    """Whether a method is called where an instance arrives; else the class may need to have its instance (if it is one
    of a kind) before a method is called."""
    return any(getattr(cls, name, None) is not getattr(object, name, None) for name in _CALLED)


class _Due:
    """What is still due to classes that are needed for each other."""

    def __init__(self) -> None:
        self.methods: list[Method] = []
        self.attributes: tuple[list[Any], list[Any], list[Any]] = [], [], []  #: by their turns


class Step:
    """A part of a pickle that is decided when its turn has come."""

    def __init__(self, reduced: Callable[[], tuple[Any, ...]]) -> None:
        self._reduced = reduced

    def __reduce__(self) -> Any:
        return self._reduced()


class _Call:
    """A call that is made where it is loaded."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._call = function, args

    def __reduce__(self) -> Any:
        return self._call


class ValuePickler(cloudpickle.Pickler):
    """Pickles any value; `by_value` says whether code is in it, which only the same version of Python reads.

    Where a class arrives it gets its methods first, and then what these use: its instances may be among that, and any
    method may be called to make one.
    """

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

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, 5)
        self.by_value = False
        self.forget()

    def dump(self, obj: Any) -> None:
        """Pickle a value, of which nothing is kept."""
        try:
            pickle.Pickler.dump(self, obj)  # cloudpickle's own makes another error of a `RecursionError`
        finally:
            self.forget()

    def forget(self) -> None:
        """Know nothing any more of the last value, which may change, or be large and wanted by nobody else."""
        self.clear_memo()
        self.due: _Due | None = None  #: as long as methods are pickled

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
        return self.with_state(function, make, args, (setter, state, ()))

    def with_state(self, function: types.FunctionType, make: Any, args: Any, state: tuple[Any, ...]) -> Any:
        """How a function is made and given its state; to a method, what it uses that a method may make is due later."""
        setter, (attributes, slots), reached = state
        names = slots["__globals__"], *(names for _, names in reached)
        if self.due is None or all(is_code(value) for each in names for value in each.values()):
            return make, args, state, None, None, set_function
        used = {"__globals__": slots["__globals__"], "__closure__": None, "_cloudpickle_submodules": []}
        self.due.methods.append((function, (setter, ({}, used), reached)))
        return make, args, (attributes, {**slots, "__globals__": {}}), None, None, setter

    def used_by(self, methods: list[Method]) -> tuple[list[Any], list[Any]]:
        """What is loaded of all that methods use before attributes, and after them, in this order."""
        return [], []

    def attributes(self, values: dict[str, Any]) -> dict[str, Any]:
        """Attributes of a class as they travel."""
        return with_new(values)

    def reduce_class(self, cls: type, reduced: tuple[Any, ...], *more: Any) -> Any:
        """Take a class apart, given how cloudpickle does: where it came from, it is not set back on its return."""
        if cls.__mro__[-2:][0].__module__ == "_ctypes":  # of a library's functions, too, which are this process's
            raise pickle.PicklingError(f"{cls.__name__!r} is a type of ctypes, which is found in a module only")
        make, args, (attributes, slots), *_, setter = reduced
        attributes.pop("__slotnames__", None)  # which the first pickle of an instance leaves there
        if make is make_skeleton:  # which forgets these
            *first, namespace, tracker, extra = args
            slots_too = {"__slots__": attributes.pop("__slots__")} if attributes.get("__slots__") else {}
            args = (*first, {**namespace, "__qualname__": cls.__qualname__, **slots_too}, tracker, extra)
        elif (members := members_with_data(cls)) is not None:
            bases, *first, _, module, tracker, extra = args
            make, args = make_enum, (getattr(cls, "_member_type_"), bases, *first, members, module, tracker, extra)  # noqa: B009
        turns: tuple[dict[str, Any], ...] = {}, members_of(cls), {}
        for name, value in attributes.items():
            turns[_turn(cls, value)][name] = value
        later = {name: _empty(value) for name, value in {**turns[1], **turns[2]}.items()}
        state = setter, (self.attributes(turns[0]), slots), with_new(later), *more
        mine = _Due()

        def methods() -> tuple[Any, ...]:
            self.due = due = self.due or mine
            for turn in (1, 2) if any(turns[1:]) else ():
                due.attributes[turn].append((cls, setter, self.attributes(turns[turn])))
            return set_class, (cls, state)

        def what_is_due() -> tuple[Any, ...]:
            if self.due is not mine:
                return is_set, ()
            self.due = None
            return is_set, tuple(self._in_turn(mine))

        return class_for, (make, *args), (Step(methods), Step(what_is_due)), None, None, is_set

    def _in_turn(self, due: _Due) -> Iterator[Any]:
        code, made = self.used_by(due.methods)
        yield from code
        yield from (_Call(set_attributes, each) for each in due.attributes[1])
        for each in made:  # before any of them: to make one, a method may ask another that is a registry
            registry = vars(each.module).get(each.name)  # itself: what travels may stand for it
            if type(registry) in _FILLED:
                yield _Call(begin_global, (each.module, with_new({each.name: _empty(registry)})))
        yield from made
        yield from (_Call(set_function, each) for each in due.methods)
        yield from (_Call(set_attributes, each) for each in due.attributes[2])


class Dumper:
    """Pickles one value after another, each for itself; to make a pickler costs more than most values do."""

    def __init__(self, make: Callable[[io.BytesIO], ValuePickler] = ValuePickler) -> None:
        self._file = io.BytesIO()
        self._pickler = make(self._file)

    def dump(self, value: Any) -> bytes:
        """The pickle of a value as it is now."""
        if type(value) in ATOMS:
            return pickle.dumps(value, 5)
        try:
            self._pickler.dump(value)
            return self._file.getvalue()
        finally:
            self._file.seek(0)
            self._file.truncate()

    @property
    def by_value(self) -> bool:
        """Whether there was code in anything that was pickled."""
        return self._pickler.by_value
