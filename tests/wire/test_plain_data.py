"""Plain data: what it is, that it arrives as it was, and that no pickle does more than its length allows."""

import collections
import copyreg
import datetime
import decimal
import enum
import fractions
import os
import pathlib
import pickle
import struct
import subprocess
import time
import tracemalloc
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dqlab.errors import BadInput
from dqlab.wire.plain_data import as_plain, check_plain, dump_plain, load_plain, pickled
from tests.plain import PYTHONS

ZONE = datetime.timezone(datetime.timedelta(hours=2), "here")
VALUES = [
    None, True, 0, -1, 255, 65_535, 2**31, -(2**31), 2**63, 2**100, 1.5, 1 + 2j, "", "h\xe9llo \U0001f600", "\ud800",
    b"", b"\x00\xff", b"x" * 300, bytearray(), bytearray(b"abc"), [], [1, [2]], (), (1,), (1, 2), (1, 2, 3, 4), {},
    {"a": 1, (1, 2): 3}, set(), {1, "a"}, frozenset(), frozenset([1]), datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 1, 2, 3, 4), datetime.datetime(2024, 2, 29, tzinfo=ZONE), datetime.time(1, 2),
    datetime.timedelta(-3, 7), ZONE, decimal.Decimal("1.50"), decimal.Decimal("-Infinity"), fractions.Fraction(-2, 3),
    uuid.UUID(int=5), uuid.uuid1(), pathlib.PurePosixPath("/a"), pathlib.PureWindowsPath("c:/x"), pathlib.Path("a/b"),
    range(3), range(10, 0, -2), collections.OrderedDict(b=1, a=2), collections.Counter("hello"),
    collections.deque([1, 2]), collections.deque([1, 2], 5), collections.defaultdict(list, {1: [2]}),
    collections.defaultdict(None, {1: 2}), collections.defaultdict(collections.Counter, {1: collections.Counter("a")}),
]  # fmt: skip


def same(found: Any, value: Any) -> bool:
    return type(found) is type(value) and found == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_are_read_as_they_were(value: Any, protocol: int) -> None:
    assert same(load_plain(pickle.dumps(value, protocol)), value)
    assert same(load_plain(bytearray(pickle.dumps([value] * 10_000, protocol))), [value] * 10_000)
    assert same(load_plain(dump_plain(value)), value) and same(as_plain(value), value)


atoms = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
    | st.text() | st.text(st.characters()) | st.binary() | st.dates() | st.datetimes() | st.times() | st.timedeltas()
    | st.decimals(allow_nan=False) | st.fractions() | st.uuids()
)  # fmt: skip
keys = atoms | st.tuples(atoms, atoms) | st.frozensets(st.integers())
plain = st.recursive(
    atoms | st.binary().map(bytearray) | st.sets(keys),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner)
    | st.lists(inner).map(collections.deque) | st.dictionaries(keys, inner).map(collections.OrderedDict),
    max_leaves=50,
)  # fmt: skip


@given(plain, st.integers(2, 5))
def test_any_plain_value_is_read_as_it_was(value: Any, protocol: int) -> None:
    assert same(load_plain(pickle.dumps(value, protocol)), value)


@given(st.lists(plain, max_size=3))
def test_a_value_that_appears_often_is_one_value(values: list[Any]) -> None:
    found = load_plain(pickle.dumps([values, values, *values]))
    assert found[0] is found[1] and found[0] == found[2:] == values
    assert all(a is b for a, b in zip(found[0], found[2:], strict=True) if isinstance(a, list | dict | set))


def test_a_list_that_holds_itself() -> None:
    ring: list[Any] = []
    ring.append((ring,))
    found = load_plain(pickle.dumps(ring))
    assert found[0][0] is found


def test_payloads_beside_the_message() -> None:
    data, buffers = pickled([pickle.PickleBuffer(b"ab"), pickle.PickleBuffer(bytearray(b"cd"))])
    assert len(buffers) == 2
    assert load_plain(data, [bytearray(b"ab"), bytearray(b"cd")]) == [b"ab", b"cd"]
    with pytest.raises(pickle.UnpicklingError):
        load_plain(data)


# -- other types -------------------------------------------------------------------------------------------------------


class Thing:
    """Not plain."""


class Shout(str):
    def __str__(self) -> str:
        return self.upper()


class Colour(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")
Bag = type("Bag", (dict,), {"__module__": __name__})


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Shout("abc"), "abc"), (Colour.RED, 1), (Point(1, 2), (1, 2)), (Bag(a=[Shout("x")]), {"a": ["x"]}),
        (type("F", (float,), {})(1.5), 1.5), (type("B", (bytes,), {})(b"x"), b"x"), (type("L", (list,), {})([1]), [1]),
        (type("S", (set,), {})([1]), {1}), (type("F", (frozenset,), {})([1]), frozenset([1])),
        (type("C", (complex,), {})(1j), 1j), (type("A", (bytearray,), {})(b"x"), bytearray(b"x")),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_of_subclasses_travel_as_the_plain_values_that_they_are(value: Any, plain: Any) -> None:
    assert same(as_plain([value]), [plain]) and same(load_plain(dump_plain(value)), plain)


class Link(str):
    """As parsers give it: what it was found in hangs on it."""

    def __new__(cls, text: str, parent: Any) -> "Link":
        made = super().__new__(cls, text)
        made.parent = parent
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (str(self),)


Number = type("Number", (int,), {"__module__": __name__})
Weight = type("Weight", (float,), {"__module__": __name__})
Blob = type("Blob", (bytes,), {"__module__": __name__})
Items = type("Items", (list,), {"__module__": __name__})


def bag_of_everything() -> Any:
    """What may hang on a value: an object, values of subclasses, types, and itself."""
    thing = Thing()
    vars(thing).update(me=thing, bag=Bag(a=1), items=Items([1]), colour=Colour.RED, kinds=[int, Thing, dict])
    return thing


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Shout("abc"), "abc"), (Number(5), 5), (Number(1 << 90), 1 << 90), (Weight(0.5), 0.5), (Blob(b"x"), b"x"),
        ({Shout("a"): [Number(1), (Weight(0.5),)]}, {"a": [1, (0.5,)]}), ([Shout("a")] * 2, ["a", "a"]),
        (Link("x", bag_of_everything()), "x"), ({"title": Link("x", [bag_of_everything()])}, {"title": "x"}),
    ],
    ids=repr,
)  # fmt: skip
def test_what_a_script_sends_of_a_subclass_of_str_and_the_like_is_taken_by_value(
    value: Any, plain: Any, protocol: int
) -> None:
    assert same(load_plain(pickle.dumps(value, protocol)), plain)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Colour.RED, "Colour"), (Point(1, 2), "Point"), (Bag(a=1), "Bag"), (Items([1]), "Items"),
        ([Link("x", None), Thing()], "Thing"), (collections.deque([Thing()]), "Thing"), ({1: {2: Thing()}}, "Thing"),
        (collections.OrderedDict(a=Thing()), "Thing"), ([{Thing(): 1}], "Thing"), (({Thing()},), "Thing"),
        (collections.defaultdict(list, a=[Thing()]), "Thing"), (collections.defaultdict(Thing), "Thing"),
        ([decimal.Decimal(1), int], "itself"), ([decimal.Decimal], "itself"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_a_script_sends_of_other_classes_is_refused_by_name(value: Any, name: str, protocol: int) -> None:
    with pytest.raises(pickle.UnpicklingError, match=name if protocol > 2 else None):
        load_plain(pickle.dumps(value, protocol))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Thing(), "Thing"), (Thing, "Thing"), (len, "len"), (os, "module"), (lambda: 0, "lambda"), (range, "itself"),
        (ValueError("x"), "ValueError"), (complex, "itself"), (uuid.UUID, "itself"), (int, "itself"),
        (memoryview(b"x"), "memoryview"), (slice(3), "slice"), (st.none(), "hypothesis"),
        (object(), "object"),
        (collections.defaultdict(Thing), "Thing"), (collections.defaultdict(uuid.UUID), "UUID"),
    ],
)  # fmt: skip
def test_other_values_are_refused_by_the_name_of_their_type(
    value: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever imports Dask has other ways to pickle exceptions from then on, with other names.
    monkeypatch.delitem(copyreg.dispatch_table, ValueError, raising=False)
    with pytest.raises(BadInput, match=name):
        dump_plain([1, {"a": (value,)}])


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_every_python_reads_a_path_that_any_python_has_sent(version: str) -> None:
    path = pathlib.PurePosixPath("/a/b")
    data = pickled([path, pathlib.PureWindowsPath("c:/x"), "pathlib._local"], 4)[0]
    assert load_plain(data)[0] == path
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[0].parts)"
    told = subprocess.run([PYTHONS[version], "-c", code], input=data, capture_output=True, timeout=20)
    assert told.stdout.decode().strip() == "('/', 'a', 'b')", told.stderr
    code = "import pathlib, pickle, sys; sys.stdout.buffer.write(pickle.dumps(pathlib.PurePosixPath('/a/b')))"
    sent = subprocess.run([PYTHONS[version], "-c", code], capture_output=True, timeout=20)
    assert load_plain(sent.stdout) == path


# -- no more work than the length allows -------------------------------------------------------------------------------

#: seconds, and bytes of memory, for a message, and for each of its bytes: many times what was measured
SECONDS, SECONDS_PER_BYTE = 2.0, 100e-6
MEMORY, MEMORY_PER_BYTE = 1 << 21, 400


def read_within_bounds(data: bytes) -> None:
    """Read what may be anything: it is a value or an `UnpicklingError`, within time and memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        try:
            load_plain(data)
        except pickle.UnpicklingError:
            pass
        peak, seconds = tracemalloc.get_traced_memory()[1], time.process_time() - began
    finally:
        tracemalloc.stop()
    assert peak < MEMORY + MEMORY_PER_BYTE * len(data)
    assert seconds < SECONDS + SECONDS_PER_BYTE * len(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise(data: bytes) -> None:
    for words in (data, b"\x80\x04" + data, data + b"."):
        read_within_bounds(words)


_OPCODES = [bytes([code]) for code in b"K\x8c\x8aN()]}\x8ft\x85\x86\x87aesu\x90\x910 1qrhj\x94R\x81b\x93."]
_PIECES = [
    b"K\x01", b"M\x01\x02", b"\x8c\x01a", b"\x8a\x09" + b"\xff" * 9, b"q\x00", b"h\x00", b"q\x01", b"h\x01",
    b"\x8c\x0bcollections\x8c\x05deque\x93", b"cbuiltins\nset\n", b"cbuiltins\nbytearray\n", b"cbuiltins\nlist\n",
    b"ccollections\ndefaultdict\n", b"cuuid\nUUID\n)\x81", b"cdecimal\nDecimal\n\x8c\x031e9\x85R",
]  # fmt: skip


@given(st.lists(st.sampled_from(_OPCODES + _PIECES), max_size=60))
def test_no_opcodes_do_more_than_raise(pieces: list[bytes]) -> None:
    read_within_bounds(b"\x80\x04" + b"".join(pieces) + b".")


_HARMLESS = [bytes([code]) for code in b"N\x88\x89()]}t\x85\x86\x87ae\x94"] + [
    b"K\x01", b"M\x01\x02", b"J\xff\xff\xff\xff", b"G" + bytes(8), b"\x8c\x01a", b"\x8c\x02\xc3\xa9", b"\x8c\x01\xff",
    b"C\x02\x8c.", b"\x8a\x00", b"\x8a\x09" + b"\xff" * 9, b"h\x00", b"h\x01", b"h\x02",
]  # fmt: skip


@given(st.lists(st.sampled_from(_HARMLESS), max_size=60))
def test_what_the_standard_unpickler_may_read_is_read_by_it_as_by_ours(pieces: list[bytes]) -> None:
    def read(data: bytes) -> str:
        try:
            return repr(load_plain(data))
        except pickle.UnpicklingError:
            return "nonsense"

    data = b"\x80\x04" + b"".join(pieces) + b"."
    ours = read(data + b"what follows the end is read by ours only")
    assert read(data) == ours or (ours == "nonsense" and b"(e" in data)  # to give nothing to no list does no harm


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(plain, st.integers(2, 5), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4))
def test_no_pickle_with_wrong_bytes_does_more_than_raise(
    value: Any, protocol: int, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(pickle.dumps(value, protocol))
    for place, byte in changes:
        data[place % len(data)] = byte
    read_within_bounds(bytes(data))
    read_within_bounds(bytes(data[: changes[0][0] % len(data)]))


BIG = (1 << 8 * 100_000).to_bytes(100_001, "little") + b"\x00"
BOMBS = {
    "an index of the memo": b"\x80\x05K\x01r" + struct.pack("<I", 2**32 - 1) + b".",
    "a hash of 2**39 steps": b"\x80\x05}K\x01q\x000" + b"h\x00h\x00\x86q\x000" * 39 + b"h\x00K\x01s.",
    "the same in a frozenset": b"\x80\x05K\x01q\x000" + b"h\x00h\x00\x86q\x000" * 39 + b"(h\x00\x91.",
    "a large tuple hashed often": b"\x80\x05}((" + b"K\x01" * 10_000 + b"tq\x000"
    + b"(" + b"".join(b"h\x00M%b\x86N" % struct.pack("<H", i) for i in range(10_000)) + b"u.",
    "a large int hashed often": b"\x80\x05\x8b" + struct.pack("<I", len(BIG)) + BIG + b"q\x000}("
    + b"".join(b"h\x00M%b\x86N" % struct.pack("<H", i) for i in range(10_000)) + b"u.",
    "numbers with one hash": b"\x80\x05}(" + b"".join(
        b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(1, 10_000)) + b"u.",
    "the same, one by one": b"\x80\x05}" + b"".join(
        b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"Ns" for i in range(1, 10_000)) + b".",
    "tuples with one hash": b"\x80\x05\x8f(" + b"".join(
        b"(" + b"".join(b"J" + struct.pack("<i", -1 - (i >> k & 1)) for k in range(14)) + b"t" for i in range(1 << 12))
    + b"\x90.",
    "a long bytes copied often": b"\x80\x05B" + struct.pack("<I", 10**5) + b"x" * 10**5 + b"\x85q\x000"
    b"cbuiltins\nbytearray\nq\x010" + b"h\x01h\x00R" * 10_000 + b".",
    "a set copied often": b"\x80\x05](" + b"".join(b"M%b" % struct.pack("<H", i) for i in range(10_000))
    + b"e\x85q\x000cbuiltins\nset\nq\x010" + b"h\x01h\x00R" * 10_000 + b".",
    "a counter copied often": pickle.dumps({str(i): i for i in range(5_000)})[:-1] + b"\x85r\xff\xff\xff\xff0"
    b"ccollections\nCounter\nr\xfe\xff\xff\xff0" + b"j\xfe\xff\xff\xffj\xff\xff\xff\xffR" * 10_000 + b".",
    "a fraction of zeros": b"\x80\x04cfractions\nFraction\n\x8c\x0b1e999999999\x85R.",
    "a decimal that no int can hold": b"\x80\x04cdecimal\nDecimal\n\x8c\x0b1e999999999\x85R.",
    "bytes that did not come": b"\x80\x04cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x40\x85R.",
    "a length that did not come": b"\x80\x05\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "a bytearray that did not come": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x.",
    "a negative length": b"\x80\x05\x8b\xff\xff\xff\xffx.",
    "an int of a million bytes": b"\x80\x05\x8b" + struct.pack("<I", 10**6) + b"x" * 10**6 + b".",
    "a range of large numbers": b"\x80\x05cbuiltins\nrange\n\x8b" + struct.pack("<I", len(BIG)) + BIG + b"\x85R.",
    "a path of a million parts": b"\x80\x05cpathlib\nPureWindowsPath\n(" + b"\x8c\x01a" * 200_000 + b"tR.",
    "deep tuples": b"\x80\x04)" + b"\x85" * 100_000 + b".",
    "deep lists": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep lists, each in the one before": b"\x80\x04]r\x00\x00\x00\x00" + b"".join(
        b"]r%b0j%bj%ba0" % tuple(struct.pack("<I", n) for n in (i + 1, i, i + 1)) for i in range(1_000)) + b".",
    "a type that is left in a value": b"\x80\x04]cbuiltins\nset\na.",
    "a type in a tuple": b"\x80\x04cbuiltins\nset\ncbuiltins\nlist\n\x86.",
    "the argument of a defaultdict": b"\x80\x04]cbuiltins\nlist\n\x85a.",
    "a type alone": b"\x80\x04cbuiltins\nset\n.",
    "a UUID of a wrong number": b"\x80\x04cuuid\nUUID\n)\x81}\x8c\x03int\x8c\x01xsb.",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_be_too_much_is_refused_at_once(name: str) -> None:
    read_within_bounds(BOMBS[name])
    with pytest.raises(pickle.UnpicklingError):
        load_plain(BOMBS[name])


def test_indices_of_the_memo_need_not_begin_at_zero() -> None:
    """As Python 2 counts."""
    assert load_plain(b"\x80\x02]q\x01(K\x07h\x01e.")[0] == 7


def test_a_deep_nest_is_refused_where_it_could_not_be_sent_on() -> None:
    nest = load_plain(b"\x80\x04" + b"]" * 390 + b"a" * 389 + b".")
    with pytest.raises(BadInput, match="nested more than 380 deep"):
        check_plain([nest])
    with pytest.raises(BadInput):
        as_plain(nest)
    assert as_plain(nest[0][0][0][0][0][0][0][0][0][0][0]) == nest[0][0][0][0][0][0][0][0][0][0][0]


def test_large_ordinary_values_are_not_taken_for_harmful_ones() -> None:
    shared = (1, 2, "three")
    cube = [(x, y, z) for x in range(-6, 6) for y in range(-6, 6) for z in range(-6, 6)]
    ordinary: list[Any] = [
        [(i, str(i), (i, i)) for i in range(4_000)], {"a": (shared,) * 20_000}, {i: i for i in range(4_000)},
        {(shared, i) for i in range(4_000)}, set(cube), [{"url": str(i), "n": i, 1: i / 7} for i in range(1_000)],
        {fractions.Fraction(i, 7): i for i in range(1_000)}, {decimal.Decimal(i): i for i in range(1_000)},
        {pathlib.PurePosixPath(str(i)) for i in range(1_000)}, [uuid.UUID(int=i) for i in range(1_000)], 2**500_000,
        [bytearray(b"x" * 1000)] * 5_000, {1.5 * i for i in range(4_000)}, {2**64 + i for i in range(4_000)},
        {datetime.date(2024, 1, 1) + datetime.timedelta(i) for i in range(1_000)}, [{} for _ in range(4_000)],
        collections.Counter(range(4_000)), {frozenset([i, i + 1]) for i in range(2_000)},
    ]  # fmt: skip
    for value in ordinary:
        for protocol in (2, 5):
            assert load_plain(pickle.dumps(value, protocol)) == value


def test_numbers_in_a_row_are_read_as_one_by_one() -> None:
    values = [1, 300, 70_000, -1, 1.5, None, True, False, 2**40, "text", 5]
    for length in range(len(values) * 2):
        row = (values * 2)[:length]
        assert load_plain(pickle.dumps(row)) == row and load_plain(pickle.dumps(tuple(row))) == tuple(row)
    data = pickle.dumps([70_000] * 10)
    for end in range(len(data)):
        with pytest.raises(pickle.UnpicklingError):
            load_plain(data[:end])
