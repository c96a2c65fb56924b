"""Plain data: the values that may cross the master, and how they are read from a pickle without running anything.

A pickle is a program. Its only way to code is a name that it asks for, so `PlainUnpickler` knows the names of the plain
types and refuses every other; and what it gives out for a name is sealed, so that a pickle can make values with it but
neither change it nor leave it lying in a value. What remains is a pickle that is too much work: tuples of tuples that
are cheap to write down and take for ever (or too deep a recursion) to hash. Those that could be so are read with care.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import io
import pathlib
import pickle
import uuid
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from dqlab.errors import BadInput

__all__ = ["PlainUnpickler", "check_plain", "dump_plain", "load_plain"]

#: what to do about a value that is not plain
PLAIN_TYPES = "use numbers, strings, bytes, lists, dicts, sets, dates, paths"

#: bits of a fraction's numerator and denominator; the time to reduce it grows with their square
FRACTION_BITS = 1 << 17
#: a pickle with fewer repetitions (`GET`, `DUP`) and fewer tuples than this is never too much work
REPETITIONS, TUPLES = 40, 5_000
#: tuples within tuples, and how many a tuple may seem to hold beyond those that were written down
DEPTH, REPEATED = 500, 100_000


class _Sealed(type):
    """The type of what a pickle gets for a name: nothing on it can be set."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"{cls.__name__} cannot be changed")


def _sealed(name: str, make: Callable[..., Any]) -> _Sealed:
    return _Sealed(name, (), {"__slots__": (), "__new__": lambda cls, *args: make(*args)})


def _bytearray(data: bytes = b"") -> bytearray:
    # `bytearray(10**12)` would allocate; only a copy of bytes that arrived is plain data.
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"a bytearray of {type(data).__name__} is not plain data")
    return bytearray(data)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"_codecs.encode to {encoding!r} is not plain data")
    return text.encode("latin1")


def _fraction(numerator: int | str, denominator: int = 1) -> fractions.Fraction:
    # Before Python 3.12 a fraction travels as text; "1e999999999" would be computed.
    if isinstance(numerator, str):
        numerator, _, below = numerator.partition("/")
        numerator, denominator = int(numerator), int(below or "1")
    if max(numerator.bit_length(), denominator.bit_length()) > FRACTION_BITS:
        raise pickle.UnpicklingError(f"a fraction of more than {FRACTION_BITS} bits is not plain data")
    return fractions.Fraction(numerator, denominator)


def _uuid() -> uuid.UUID:
    return object.__new__(uuid.UUID)  # its number follows, by `UUID.__setstate__`


_PATHS = ("PurePath", "PurePosixPath", "PureWindowsPath", "Path", "PosixPath", "WindowsPath")
_MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "complex"): complex,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytearray"): _bytearray,
    ("_codecs", "encode"): _encode,
    ("decimal", "Decimal"): decimal.Decimal,
    ("fractions", "Fraction"): _fraction,
    ("uuid", "UUID"): _uuid,
    **{("datetime", name): getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta", "timezone")},
    **{(module, name): getattr(pathlib, name) for name in _PATHS for module in ("pathlib", "pathlib._local")},
}
_PLAIN = {(module, name): _sealed(f"{module}.{name}", make) for (module, name), make in _MAKERS.items()}


def _find(module: str, name: str) -> Any:
    try:
        return _PLAIN[module, name]
    except KeyError:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data") from None


class PlainUnpickler(pickle.Unpickler):
    """Unpickles None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset and the
    date, time, Decimal, Fraction, UUID and path types of the standard library; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """The plain type of that name; `pickle.UnpicklingError` if there is none."""
        return _find(module, name)


class _CarefulUnpickler(pickle._Unpickler):
    """The same, written in Python, which lets us look at each tuple before somebody hashes it."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO, *, buffers: Iterable[Any] = ()) -> None:
        super().__init__(file, buffers=buffers)
        self._tuples: dict[int, tuple[int, int, Any]] = {}  #: id -> depth, tuples in it, the tuple (so that it stays)

    def find_class(self, module: str, name: str) -> Any:
        return _find(module, name)

    def weigh(self) -> None:
        """Look at the tuple that was just made."""
        made = self.stack[-1]  # type: ignore[attr-defined]
        inner = [self._tuples[id(item)] for item in made if id(item) in self._tuples]
        depth = 1 + max((found[0] for found in inner), default=0)
        weight = 1 + sum(found[1] for found in inner)
        self._tuples[id(made)] = depth, weight, made
        if depth > DEPTH or weight > len(self._tuples) + REPEATED:
            raise pickle.UnpicklingError("tuples nested too deeply are not plain data")

    def load_build(self) -> None:
        if not isinstance(self.stack[-1].get("int"), int):  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("only a UUID has a state, and its number is an int")
        super().load_build()  # type: ignore[misc]


def _weighing(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def load_tuple(self: _CarefulUnpickler) -> None:
        load(self)
        self.weigh()

    return load_tuple


for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _CarefulUnpickler.dispatch[_code[0]] = _weighing(pickle._Unpickler.dispatch[_code[0]])
_CarefulUnpickler.dispatch[pickle.BUILD[0]] = _CarefulUnpickler.load_build


def load_plain(data: bytes, *, careful: bool = True, buffers: Iterable[Any] = ()) -> Any:
    """Return the value in a pickle of plain data; `pickle.UnpicklingError` names the first type that is not.

    `careful` is for pickles of those who might mean harm; `buffers` is what the pickle left out (PEP 574).
    """
    with_care = careful and len(data) > REPETITIONS and _too_much(data)
    unpickler = _CarefulUnpickler if with_care else PlainUnpickler
    try:
        return unpickler(io.BytesIO(data), buffers=buffers).load()
    except EOFError as exc:  # which would look as if the connection had ended
        raise pickle.UnpicklingError("a pickle that is cut short") from exc


def _too_much(data: bytes) -> bool:
    """Whether reading the pickle could be too much work, to judge by how often certain bytes are in it."""
    size = len(data)
    if size - len(data.translate(None, b"gjh2")) >= REPETITIONS:
        return True
    return size >= TUPLES and size - len(data.translate(None, b"t\x85\x86\x87")) >= TUPLES


def check_plain(values: Any) -> None:
    """Raise `BadInput` for what could be read here, but not be sent on: a type itself, or too deep a nest."""
    try:
        pickle.dumps(values, 4)
    except Exception as exc:
        raise BadInput(f"not a plain value: {exc}", PLAIN_TYPES) from None


def dump_plain(value: Any) -> bytes:
    """The pickle of a plain value; `BadInput` names the type that is not plain."""
    try:
        data = pickle.dumps(value, 4)
        check_plain(load_plain(data))
    except BadInput:
        raise
    except Exception as exc:
        raise BadInput(f"not a plain value: {exc}", PLAIN_TYPES) from None
    return data
