"""The plain types that a pickle has no opcode for: which names it may ask for, and how a value of each is made.

A pickle that asks for `decimal.Decimal` gets a `Maker`, which is no type and nobody's value: `plain_reader` lets it do
nothing but make. Every maker takes only what a pickle of its type holds, in an amount that was written down. For any
other type it gets a `Stranger`: nothing is imported, and nothing made. Of a value of a subclass of `str`, `int`,
`float` or `bytes` what is plain is kept; its attributes, and what hangs on them, may be strangers and are dropped.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import pathlib
import pickle
import uuid
from collections.abc import Callable
from typing import Any

__all__ = ["NAMES", "Factory", "Maker", "Stranger", "find_name", "set_state"]

#: builtin types, whose values a pickle mostly writes without their names
_BUILTINS = (bool, str, int, float, complex, bytes, bytearray, list, tuple, dict, set, frozenset)
#: bits of a fraction's numerator and denominator; the time to reduce it grows with their square
FRACTION_BITS = 1 << 15
#: characters of a decimal number, and its largest exponent, which is that of the standard context
DECIMAL_CHARS, DECIMAL_EXPONENT = 1 << 18, 999_999
#: characters of a path, which is what the most generous system takes, and parts of one
PATH_CHARS = 1 << 15
#: bits of the numbers of a range
RANGE_BITS = 63


class Factory:
    """What a pickle gets for `(list,)`: the one argument of a `defaultdict` that is a type."""

    __slots__ = ("type",)

    def __init__(self, type: type) -> None:
        self.type = type


class Maker:
    """What a pickle gets for the name of a plain type. `make(*args)` makes a value of it."""

    __slots__ = ("_factory", "make", "name")

    def __init__(self, name: str, make: Callable[..., Any], factory: Any) -> None:
        self.name, self.make = name, make
        self._factory = factory if isinstance(factory, type) else None

    def as_factory(self) -> Factory:
        """The type itself, for a `defaultdict`."""
        if self._factory is None:
            raise pickle.UnpicklingError(f"{self.name} itself is not plain data")
        return Factory(self._factory)


#: types whose values a plain value is made of: `str` of `(str, "text")`
_KEPT = frozenset({str, int, float, bytes})


class Stranger:
    """What a pickle gets for a type that is not plain, and for a value of it, which must not get into a plain value."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def new(self, args: Any) -> Any:
        """The plain value that a value of a subclass of `str` or the like is; else a stranger."""
        return args[0] if type(args) is tuple and len(args) == 1 and type(args[0]) in _KEPT else Stranger(self.name)


#: what a pickle gets for a name, which is no value
NAMES = frozenset({Maker, Factory, Stranger})


def find_name(module: str, name: str) -> Maker | Stranger:
    """What makes values of a plain type; a stranger for any other type."""
    if module == "__builtin__":  # as protocol 2 calls it
        module, name = "builtins", "range" if name == "xrange" else name
    elif module == "pathlib._local":  # as Python 3.13 calls it
        module = "pathlib"
    return _MAKERS.get((module, name)) or Stranger(f"{module}.{name}")


def set_state(value: Any, state: Any) -> None:
    """Do what a pickle's BUILD does, for the one plain type that has a state: a UUID; what else has one loses it."""
    if type(value) in _KEPT or type(value) is Stranger:
        return
    if type(value) is not uuid.UUID or type(state) is not dict or not _is_uuid_number(state.get("int")):
        raise pickle.UnpicklingError("only a UUID has a state, and its number is an int of 128 bits")
    safe = state.get("is_safe")
    object.__setattr__(value, "int", state["int"])
    object.__setattr__(value, "is_safe", uuid.SafeUUID.unknown if safe is None else uuid.SafeUUID(safe))


def _is_uuid_number(number: Any) -> bool:
    return type(number) is int and 0 <= number < 1 << 128


def _exactly(plain: type) -> Callable[..., Any]:
    """A maker of what is there already, as `(str, ("text",))` is what a subclass of `str` travels as."""

    def make(*args: Any) -> Any:
        if not args:
            return plain()
        (value,) = args
        if type(value) is not plain:
            raise pickle.UnpicklingError(f"a {plain.__name__} of {type(value).__name__} is not plain data")
        return value

    return make


def _of_a_list(plain: type) -> Callable[..., Any]:
    def make(items: Any) -> Any:
        if type(items) is not list:
            raise pickle.UnpicklingError(f"a {plain.__name__} of {type(items).__name__} is not plain data")
        return plain(items)

    return make


def _bytearray(data: bytes | str = b"", encoding: str = "latin-1") -> bytearray:
    # `bytearray(10**12)` would allocate; only a copy of what arrived is plain data.
    if isinstance(data, str):  # as protocol 2 has it
        return bytearray(_encode(data, encoding))
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"a bytearray of {type(data).__name__} is not plain data")
    return bytearray(data)


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"_codecs.encode to {encoding!r} is not plain data")
    return text.encode("latin1")


def _decimal(text: str) -> decimal.Decimal:
    if type(text) is not str or len(text) > DECIMAL_CHARS:
        raise pickle.UnpicklingError(f"a Decimal of more than {DECIMAL_CHARS} digits is not plain data")
    number = decimal.Decimal(text)
    if number.is_finite() and abs(number.adjusted()) > DECIMAL_EXPONENT:
        raise pickle.UnpicklingError(f"a Decimal with an exponent above {DECIMAL_EXPONENT} is not plain data")
    return number


def _fraction(numerator: int | str, denominator: int = 1) -> fractions.Fraction:
    # Before Python 3.12 a fraction travels as text; "1e999999999" would be computed.
    if isinstance(numerator, str):
        numerator, _, below = numerator.partition("/")
        numerator, denominator = int(numerator), int(below or "1")
    if max(numerator.bit_length(), denominator.bit_length()) > FRACTION_BITS:
        raise pickle.UnpicklingError(f"a fraction of more than {FRACTION_BITS} bits is not plain data")
    return fractions.Fraction(numerator, denominator)


def _range(*numbers: int) -> range:
    if any(type(number) is not int or number.bit_length() > RANGE_BITS for number in numbers):
        raise pickle.UnpicklingError(f"a range of numbers of more than {RANGE_BITS} bits is not plain data")
    return range(*numbers)


def _uuid() -> uuid.UUID:
    made = object.__new__(uuid.UUID)
    set_state(made, {"int": 0})  # the right one follows
    return made


def _counter(counts: dict[Any, Any] | None = None) -> collections.Counter[Any]:
    return collections.Counter(_exactly(dict)(counts or {}))


def _defaultdict(factory: Any = None) -> collections.defaultdict[Any, Any]:
    if factory is not None and not isinstance(factory, type):
        raise pickle.UnpicklingError("a defaultdict whose factory is no plain type is not plain data")
    return collections.defaultdict(factory)


def _deque(items: Any = (), maxlen: int | None = None) -> collections.deque[Any]:
    if type(items) not in (list, tuple):
        raise pickle.UnpicklingError(f"a deque of {type(items).__name__} is not plain data")
    return collections.deque(items, maxlen)


def _path(plain: Callable[..., Any]) -> Callable[..., Any]:
    def make(*parts: str) -> Any:
        if sum(map(len, parts)) + len(parts) > PATH_CHARS:
            raise pickle.UnpicklingError(f"a path of more than {PATH_CHARS} characters is not plain data")
        return plain(*parts)

    return make


_PATHS = ("PurePath", "PurePosixPath", "PureWindowsPath", "Path", "PosixPath", "WindowsPath")
_DATES = ("date", "datetime", "time", "timedelta", "timezone")
_MAKES: dict[tuple[str, str], Callable[..., Any]] = {
    **{("builtins", plain.__name__): _exactly(plain) for plain in _BUILTINS},
    ("builtins", "complex"): complex,
    ("builtins", "set"): _of_a_list(set),
    ("builtins", "frozenset"): _of_a_list(frozenset),
    ("builtins", "bytearray"): _bytearray,
    ("builtins", "range"): _range,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): lambda: collections.OrderedDict(),
    ("collections", "Counter"): _counter,
    ("collections", "defaultdict"): _defaultdict,
    ("collections", "deque"): _deque,
    ("decimal", "Decimal"): _decimal,
    ("fractions", "Fraction"): _fraction,
    ("uuid", "UUID"): _uuid,
    **{("datetime", name): getattr(datetime, name) for name in _DATES},
    **{("pathlib", name): _path(getattr(pathlib, name)) for name in _PATHS},
}
#: types that the factory of a `defaultdict` may be
_FACTORIES: dict[str, type] = {
    **{f"builtins.{plain.__name__}": plain for plain in _BUILTINS},
    **{f"collections.{name}": getattr(collections, name) for name in ("OrderedDict", "Counter", "deque")},
}
_MAKERS = {
    (module, name): Maker(f"{module}.{name}", make, _FACTORIES.get(f"{module}.{name}"))
    for (module, name), make in _MAKES.items()
}
