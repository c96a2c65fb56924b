"""What arrives by value, again and again: is it what was brought before, or has it changed where it comes from?

What tasks have made of a class or a global stays as long as what is brought is the same.
"""

from __future__ import annotations

import enum
import hashlib
import io
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from sys import intern
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import cloudpickle

from dqlab.wire.local_code import arrived, parts_of_wrapper
from dqlab.wire.made_anew import MadeAnew, is_made_anew
from dqlab.wire.messages import ATOMS
from dqlab.wire.named_types import parts_of_named_type

__all__ = [
    "class_for",
    "digest",
    "is_set",
    "keep_class",
    "make_enum",
    "make_skeleton",
    "members_of",
    "members_with_data",
    "set_attributes",
    "set_class",
]

#: classes that are defined in this process and have travelled, by their ids
_kept: WeakValueDictionary[int, type] = WeakValueDictionary()
#: the digests of what a class that has come here was given last
_brought: WeakKeyDictionary[type, dict[str, Any]] = WeakKeyDictionary()
#: what cloudpickle makes a class with, unless it is an enum
make_skeleton = cloudpickle.cloudpickle._make_skeleton_class
#: in the place of an attribute: what the members of an enum hold, and what of that each has where it is made
_MEMBERS, _OF_MEMBERS = "members of an enum", {"_value_", "_name_", "__objclass__", "_sort_order_"}


class _Sum(io.RawIOBase):
    """Takes a pickle for its checksum."""

    def __init__(self) -> None:
        self.sum = hashlib.sha256()

    def write(self, data: Any, /) -> int:
        self.sum.update(data)
        return len(data)


def _called(*what: object) -> tuple[object, ...]:
    """Stands in the pickle of a digest for what isn't looked into."""
    return what


class _DigestPickler(cloudpickle.Pickler):
    """Pickles functions without their globals, which are compared one by one, classes and modules by who they are."""

    def __init__(self, sum: _Sum) -> None:
        super().__init__(sum, 5, buffer_callback=lambda buffer: sum.write(buffer.raw()) and None)

    # A name that came first is that which Python keeps for its like: the same code has more equal strings that are not
    # one object when it comes again.

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            return _called, ("module", obj.__name__)
        if isinstance(obj, types.CodeType):
            reduce: Any = cloudpickle.Pickler.dispatch_table[types.CodeType]
            return reduce(obj.replace(co_qualname=intern(obj.co_qualname)))
        if is_made_anew(obj):
            return MadeAnew(obj).__reduce__()
        if (parts := parts_of_wrapper(obj) or parts_of_named_type(obj)) is not None:
            return parts
        reduced = super().reducer_override(obj)
        if not isinstance(reduced, tuple) or len(reduced) != 6:
            return reduced
        if isinstance(obj, types.FunctionType):
            attributes, slots = reduced[2]
            names = {"__name__": intern(obj.__name__), "__qualname__": intern(obj.__qualname__)}
            slots |= {**names, "__globals__": None, "_cloudpickle_submodules": None}
            return _called, (obj.__code__, attributes, slots)
        return _called, ("class", id(obj))


def digest(value: Any) -> Any:
    """Equal for values that are the same when they have just arrived; equal to nothing where that can't be told."""
    if type(value) in ATOMS:
        return type(value), value
    sum = _Sum()
    try:
        _DigestPickler(sum).dump(value)
    except Exception:
        return object()
    return sum.sum.digest()


def class_for(make: Callable[..., type], *args: Any) -> type:
    """The class that is to be given its attributes next: that which is here already, or one that is made.

    What a metaclass or an `__init_subclass__` that has come here, too, would do to it was done where it comes from.
    """
    known: type | None = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(args[-2])
    if known is not None:
        return known
    if make is not make_skeleton:
        return make(*args)
    meta, *rest = args
    with _without_init_subclass(args[2]):
        return make(partial(_new_class, meta) if _has_come(meta) else meta, *rest)


def _has_come(cls: type) -> bool:
    return arrived.get(id(cls)) is cls or _kept.get(id(cls)) is cls


def _new_class(meta: type, *args: Any) -> type:
    """A class as those above its metaclass make it that are installed."""
    installed: Any = next(cls for cls in meta.__mro__ if not _has_come(cls))
    made: type = installed.__new__(meta, *args)
    installed.__init__(made, *args)
    return made


@contextmanager
def _without_init_subclass(bases: tuple[type, ...]) -> Iterator[None]:
    """As long as this lasts, no `__init_subclass__` that has come here is called, but for those it would call."""
    hidden = [
        (cls, vars(cls)["__init_subclass__"])
        for cls in dict.fromkeys(cls for base in bases for cls in getattr(base, "__mro__", ()))
        if "__init_subclass__" in vars(cls) and _has_come(cls)
    ]
    for cls, _ in hidden:
        type.__delattr__(cls, "__init_subclass__")
    try:
        yield
    finally:
        for cls, method in hidden:
            type.__setattr__(cls, "__init_subclass__", method)


def set_class(cls: type, state: tuple[Any, ...]) -> None:
    """Give a class that has arrived its attributes, and until then what stands for those that come later; one that
    comes home is left as it is here by now."""
    setter, (attributes, slots), others, *_ = state
    if _kept.get(id(cls)) is cls:
        return
    arrived.pop(id(cls), None)
    arrived[id(cls)] = cls  # the last one, now
    for name in _brought.setdefault(cls, {}).keys() - attributes.keys() - set(others):
        del _brought[cls][name]
        if name in vars(cls):
            type.__delattr__(cls, name)  # it has been deleted where the class comes from
    for name in others.keys() - vars(cls).keys():
        type.__setattr__(cls, name, others[name])
    setter(cls, (_changed(cls, attributes), slots))


def set_attributes(cls: type, setter: Callable[..., Any], attributes: dict[str, Any]) -> None:
    """Give it those that could only be made once it had others."""
    if _kept.get(id(cls)) is not cls:
        changed = _changed(cls, attributes)
        for name, state in changed.pop(_MEMBERS, {}).items():
            vars(cls)["_member_map_"][name].__dict__.update(state)
        setter(cls, (changed, {}))


def members_with_data(cls: Any) -> dict[str, tuple[Any, tuple[Any, ...]]] | None:
    """The members of an enum whose `__new__` makes numbers or texts of their values, each with what makes it again."""
    kind = cls._member_type_
    if not isinstance(cls._new_member_, types.FunctionType) or not hasattr(kind, "__getnewargs__") or kind is tuple:
        return None
    return {member.name: (member.value, kind.__getnewargs__(member)) for member in cls}


def make_enum(
    kind: Any, bases: Any, name: str, qualname: str, members: dict[str, Any], module: str, tracker: str, _: object
) -> Any:
    """Such an enum, as cloudpickle makes others."""

    def new(cls: type, value: Any, data: tuple[Any, ...]) -> Any:
        member = kind.__new__(cls, *data)
        member._value_ = value
        return member

    meta: Any = type(bases[-1])
    names = meta.__prepare__(name, bases)
    for key, value in {"__new__": new, **members}.items():
        names[key] = value
    made = meta.__new__(meta, name, bases, names)
    made.__module__, made.__qualname__ = module, qualname
    return cloudpickle.cloudpickle._lookup_class_or_track(tracker, made)


def members_of(cls: type) -> dict[str, Any]:
    """What the members of an enum were given when they were made, under one name; nothing of other classes."""
    if not isinstance(cls, enum.EnumMeta):
        return {}
    every: list[Any] = list(cls)
    members = {member.name: vars(member) for member in every}
    given = {
        name: {key: value for key, value in found.items() if key not in _OF_MEMBERS} for name, found in members.items()
    }
    return {_MEMBERS: given} if any(given.values()) else {}


def _changed(cls: type, attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that are not what was brought before."""
    before, brought = _brought[cls], {name: digest(value) for name, value in attributes.items()}
    changed = {name: attributes[name] for name, value in brought.items() if before.get(name) != value}
    before.update(brought)
    return changed


def is_set(*_: object) -> None:
    """The last word on a class whose parts have been set one after the other."""


def keep_class(cls: type) -> None:
    """A class that is defined here is about to travel."""
    if arrived.get(id(cls)) is not cls:
        _kept[id(cls)] = cls
