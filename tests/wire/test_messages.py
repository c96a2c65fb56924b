"""What travels: each message arrives as it was, and one with a wrong field is refused by the field's name."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.errors import BadInput
from dqlab.wire.messages import (
    BESIDE,
    KINDS,
    Failure,
    Finished,
    Found,
    Header,
    Lease,
    Message,
    NewTasks,
    Options,
    Outcome,
    Report,
    beside,
)  # fmt: skip
from dqlab.wire.plain_data import load_plain
from dqlab.wire.printed import STREAMS

# -- any message of each kind ------------------------------------------------------------------------------------------

ids = st.integers(0, 2**63 - 1)
counts = st.integers(1, 2**63 - 1)
names = st.text(max_size=20).filter(str.isprintable)
queues = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
seconds = st.floats(0, 1e9) | st.integers(0, 10**9)
buffers = st.binary(max_size=20) | st.just(b"x" * BESIDE) | st.binary(max_size=20).map(bytearray)
chosen = {
    "queue": queues,
    "retries": st.integers(0, 10**6),
    "timeout": st.none() | st.floats(0, 1e9, exclude_min=True),
    "max_attempts": st.none() | st.integers(1, 10**6),
}
headers = st.builds(Header, **chosen, kind=st.sampled_from([*KINDS]), function=names, python=names)
failures = st.builds(
    Failure, kind=st.sampled_from(["error", "timeout", "lost"]), exception=st.none() | st.binary(max_size=20),
    traceback=st.text(max_size=50), summary=st.text(max_size=50),
)  # fmt: skip
histories = st.lists(st.tuples(names, names), max_size=3)
texts = st.text(max_size=50)
pieces = st.lists(st.tuples(ids, st.sampled_from(STREAMS), texts), max_size=3)
outcomes = st.builds(
    Outcome, state=names, result=st.none() | st.binary() | failures.map(Failure.encode), attempts=ids,
    history=histories, printed=st.lists(st.tuples(names, ids, st.sampled_from(STREAMS), texts), max_size=3),
)  # fmt: skip


def reports(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Report]:
    lo, more = st.integers(0, 2**62), st.integers(1, 2**62 - 1)
    ends = st.tuples(lo, more).map(lambda pair: (pair[0], sum(pair)))
    return st.builds(
        lambda token, ends, value, seconds, printed: Report(
            kind=kind, token=token, lo=ends[0], hi=ends[1], value=value, seconds=seconds, printed=printed
        ),
        ids, ends, values, seconds, pieces,
    )  # fmt: skip


MESSAGES: dict[str, st.SearchStrategy[Any]] = {
    "Options": st.builds(Options, **chosen),
    "Header": headers,
    "NewTasks": st.builds(NewTasks, first=ids, count=counts, header=headers, payload=buffers),
    "Lease": st.builds(
        Lease, token=ids, first=ids, lo=ids, hi=counts, attempt=ids, careful=st.booleans(), header=headers,
        payload=st.none() | buffers | st.lists(names),
    ),
    "Failure": failures,
    "Report done": reports("done", buffers | st.lists(names)),
    "Report error": reports("error", failures),
    "Report timeout": reports("timeout", failures),
    "Report died": reports("died", st.text(max_size=50)),
    "Report lost": reports("lost", st.none()),
    "Report released": reports("released", st.none()),
    "Outcome": outcomes,
    "Finished": st.builds(Finished, serial=ids, first=ids, lo=ids, hi=counts, outcome=outcomes),
    "Found": st.builds(Found, outcome=outcomes, index=ids, count=counts, kind=names),
}  # fmt: skip


def travel(message: Message) -> tuple[Any, ...]:
    """What arrives of a message, at a master that reads with care."""
    return load_plain(pickle.dumps(message.encode(), 5))


@pytest.mark.parametrize("messages", MESSAGES.values(), ids=MESSAGES)
@given(data=st.data())
def test_a_message_arrives_as_it_was(messages: st.SearchStrategy[Message], data: st.DataObject) -> None:
    message = data.draw(messages)
    row = travel(message)
    assert type(row) is tuple
    assert type(message).decode(row) == message
    assert type(message).decode(list(row)) == message


def test_every_message_is_among_them() -> None:
    known = {kind for kind in Message.__subclasses__() if kind.__module__ == Message.__module__} | {Header}
    assert {name.partition(" ")[0] for name in MESSAGES} == {kind.__name__ for kind in known}


# -- what makes no sense -----------------------------------------------------------------------------------------------

HEADER = Header(kind="map", function="f")
OUTCOME = Outcome(state="done", result=b"x", attempts=1, history=[])
#: one good message of each kind
GOOD: list[Message] = [
    Options(),
    HEADER,
    NewTasks(first=1, count=2, header=HEADER, payload=b"x"),
    Lease(token=1, first=1, lo=0, hi=2, attempt=1, careful=False, header=HEADER, payload=b"x"),
    Failure(kind="error", exception=b"x", traceback="t", summary="s"),
    Report(kind="done", token=1, lo=0, hi=2, value=b"x", seconds=0.5),
    OUTCOME,
    Finished(serial=1, first=1, lo=0, hi=2, outcome=OUTCOME),
    Found(outcome=OUTCOME, index=0, count=2, kind="map"),
]
#: what no field of that name takes
WRONG: dict[str, list[Any]] = {
    "queue": ["a b", "", None, 5],
    "kind": [None, 5, b"map", "x\n"],
    "function": [None, 5, "a\nb"],
    "python": [None, 3.11],
    "timeout": [0, -1.0, "5", float("nan")],
    "retries": [-1, 1.5],
    "max_attempts": [0, -1],
    "payload": [],
    "careful": [0, 1, None],
    "exception": ["text", 5],
    "traceback": [None, b"x", "x" * 70_000],
    "summary": [None, b"x"],
    "state": [None, 5],
    "seconds": [-1, "5", None, float("nan")],
} | {name: [-1, 2**63, "1", 1.0, None] for name in ("first", "token", "lo", "attempt", "serial", "attempts", "index")}
WRONG |= {name: [0, *WRONG["first"]] for name in ("count", "hi")}
#: fields that hold numbers: True, which Python takes for 1, is none of them
NUMBERS = {
    "first", "count", "token", "lo", "hi", "attempt", "serial", "attempts", "index", "retries", "timeout",
    "max_attempts", "seconds",
}  # fmt: skip


def wrong_fields() -> list[Any]:
    found = []
    for message in GOOD:
        for place, (name, _) in enumerate(type(message).checks):
            values = [*WRONG.get(name, []), *([True, False] if name in NUMBERS else [])]
            if (type(message), name) == (NewTasks, "payload"):
                values = ["text", [1], (1,), None]
            for value in values:
                found.append(pytest.param(message, place, value, id=f"{type(message).__name__} {name}={value!r:.12}"))
    return found


@pytest.mark.parametrize(("message", "place", "value"), wrong_fields())
def test_a_wrong_field_is_refused_with_its_name_and_what_is_taken(message: Message, place: int, value: Any) -> None:
    row = list(travel(message))
    row[place] = value
    name, check = type(message).checks[place]
    with pytest.raises(BadInput) as refused:
        type(message).decode(tuple(row))
    assert refused.value.message.startswith(f"{name}=")
    assert refused.value.hint == check.means and check.means


@pytest.mark.parametrize("message", GOOD, ids=lambda message: type(message).__name__)
def test_a_row_of_the_wrong_shape_is_refused(message: Message) -> None:
    row = travel(message)
    for wrong in (row[:-1], (*row, None), (), None, 5, "x" * len(row), dict(enumerate(row)), set()):
        with pytest.raises(BadInput, match=f"of {len(row)} fields expected"):
            type(message).decode(wrong)


@pytest.mark.parametrize("message", [m for m in GOOD if not isinstance(m, Options)], ids=lambda m: type(m).__name__)
def test_what_is_nested_is_checked_too(message: Message) -> None:
    row, names = list(travel(message)), [name for name, _ in type(message).checks]
    for name, wrong, said in [("header", (1, 2), "header of 7 fields"), ("outcome", (1, 2), "Outcome of 5 fields")]:
        if name in names:
            row[names.index(name)] = wrong
            with pytest.raises(BadInput, match=said):
                type(message).decode(row)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("done", None), ("done", "text"), ("done", (1,)), ("died", b"x"), ("died", None), ("lost", b"x"),
        ("released", 0), ("error", None), ("error", b"x"), ("error", ("error", None)), ("timeout", "too long"),
    ],
)  # fmt: skip
def test_a_report_brings_what_its_kind_has(kind: str, value: Any) -> None:
    with pytest.raises(BadInput, match=r"value of type|Failure"):
        Report.decode((kind, 1, 0, 1, value, 0.0, []))


@pytest.mark.parametrize("printed", [None, "text", [(1, "stdout")], [(1, "stdin", "x")], [("1", "stdout", "x")]])
def test_what_a_report_says_was_printed_is_pieces(printed: Any) -> None:
    with pytest.raises(BadInput, match="printed="):
        Report.decode(("done", 1, 0, 1, b"x", 0.0, printed))


@pytest.mark.parametrize(("lo", "hi"), [(1, 1), (2, 1)])
def test_a_report_is_of_some_tasks(lo: int, hi: int) -> None:
    with pytest.raises(BadInput, match=rf"of \[{lo}, {hi}\)"):
        Report.decode(("lost", 1, lo, hi, None, 0.0, []))


def test_a_header_of_fields_that_cannot_be_looked_up_is_refused() -> None:
    row = list(HEADER.encode())
    for place in range(len(row)):
        with pytest.raises(BadInput, match="header"):
            Header.decode((*row[:place], [], *row[place + 1 :]))


@pytest.mark.parametrize("cls", [Options, Header])
def test_options_that_make_no_sense_are_refused_when_they_are_made(cls: type[Options]) -> None:
    more = {"kind": "map"} if cls is Header else {}
    for name in ("queue", "retries", "timeout", "max_attempts"):
        for value in [*WRONG[name], True]:
            with pytest.raises(BadInput) as refused:
                cls(**more, **{name: value})
            assert refused.value.message.startswith(f"{name}=")


# -- what saves work ---------------------------------------------------------------------------------------------------


def test_a_header_is_the_same_tuple_in_every_message() -> None:
    """So that a message with a thousand runs of one header holds it once."""
    header = Header(kind="map", function="f")
    assert header.encode() is header.encode()
    runs = [NewTasks(first=i, count=1, header=header, payload=b"x") for i in range(1_000)]
    assert all(run.encode()[2] is header.encode() for run in runs)
    size = len(pickle.dumps([run.encode() for run in runs], 5))
    assert size < 1_000 * (len(pickle.dumps(header.encode(), 5)) // 2)


def test_a_header_that_was_seen_before_is_looked_at_once_but_true_is_not_taken_for_one() -> None:
    row = Header(kind="map", function="seen", retries=1).encode()
    assert Header.decode(row) is Header.decode(tuple(row))
    place = [name for name, _ in Header.checks].index("retries")
    for alike in (True, 1.0):
        with pytest.raises(BadInput, match="retries="):
            Header.decode((*row[:place], alike, *row[place + 1 :]))


@pytest.mark.parametrize("size", [0, BESIDE - 1, BESIDE, 10 * BESIDE])
def test_only_large_payloads_go_beside_the_message(size: int) -> None:
    for data in (b"x" * size, bytearray(size)):
        assert isinstance(beside(data), pickle.PickleBuffer) is (size >= BESIDE)
    assert beside("x" * size) == "x" * size
