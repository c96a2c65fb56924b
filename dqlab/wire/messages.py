"""What travels between a master, its clients and its workers: one record for each thing that is said.

    client ──NewTasks──>  master  ──Lease──>  worker ──Lease──> child
           <─Finished──           <─Report──         <─Report──

What tasks have in common is their `Header`, from the options that a user chose to the child that runs them; what became
of a task is its `Outcome`. Plain data knows no classes, so a record travels as the tuple of its fields: `encode` and
`decode` are made from them, and what arrives is checked field by field. Who must trust the sender anyway (a client its
master, a child its worker) does with `restore`.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Self

from dqlab.errors import BadInput
from dqlab.wire import checks
from dqlab.wire.checks import BUFFERS, Check, Holds, check_fields, check_queue, optional

__all__ = [
    "ATOMS", "CALLS", "FUNCTION_BYTES", "KEPT", "KINDS", "PAYLOADS_HELD", "PLAIN", "WIRE_VERSION", "Failure",
    "Finished", "Found", "Header", "Lease", "Message", "NewTasks", "Options", "Outcome", "Report", "beside",
    "check_queue", "takes", "takes_message",
]  # fmt: skip

#: what dqlab's own peers say to each other: another number is another language, and is refused
WIRE_VERSION = 4
#: the queue of the two plain BaseManager queues
PLAIN = "plain"
#: payloads that a worker keeps, so that further leases of their runs travel without one
PAYLOADS_HELD = 4
#: how long the master keeps what nobody fetches, for those who come too late
KEPT = "results are kept for an hour, the last 100,000 of them"
#: bytes from which a payload travels beside its message rather than in it
BESIDE = 1 << 10
#: bytes of pickled functions that a worker's child keeps, and the worker knows it to keep; the newest stays in any case
FUNCTION_BYTES = 64 << 20
#: types whose values nobody can change: what is packed together arrives as if each had travelled alone
ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None)})

#: kinds of tasks, by what their payload is and how the function is called with an item of it
KINDS = {
    "call": "one pickled (args, kwargs); function(*args, **kwargs)",
    "calls": "a pickled list of such pickles",
    "map": "a pickled list of arguments, all of them atoms; function(argument)",
    "star": "a pickled list of tuples of such arguments; function(*arguments)",
    "maps": "a pickled list of pickled arguments; function(argument)",
    "stars": "a pickled list of pickled tuples of arguments; function(*arguments)",
    "plain": "a list of plain values; handler(value)",
}
#: kinds whose results are pickled one by one (of several tasks a list of these, of one just that)
CALLS = ("call", "calls")
#: kinds of report, and what each brings as its value
REPORTS = {
    "done": "the pickled list of results (of plain tasks the list itself)",
    "error": "the `Failure` of one task that raised",
    "timeout": "the `Failure` of one task that was ended because it ran too long",
    "died": "why the process of one task ended",
    "lost": "None: begun, but the results went down with a neighbour",
    "released": "None: never begun",
}


def beside(data: Any) -> Any:
    """Mark a payload (bytes) to travel beside its message: it is neither pickled nor copied on its way."""
    return pickle.PickleBuffer(data) if isinstance(data, BUFFERS) and len(data) >= BESIDE else data


def takes(check: Check, large: bool = False, **more: Any) -> Any:
    """A field of a message that takes what `check` says, and may be `large`; `more` goes to `dataclasses.field`."""
    return field(metadata={"check": check, "apart": large}, **more)


def takes_message(kind: type[Message]) -> Any:
    """A field of a message that is a message itself."""
    return field(metadata={"message": kind, "apart": True})


class Message:
    """A record that travels. Its subclasses are dataclasses whose fields are plain values, which nobody changes."""

    checks: ClassVar[tuple[tuple[str, Check], ...]]
    _holds: ClassVar[tuple[Holds, ...]]
    _names: ClassVar[tuple[str, ...]]
    _nested: ClassVar[tuple[tuple[int, type[Message]], ...]]
    _values: ClassVar[attrgetter[tuple[Any, ...]]]
    _apart: ClassVar[tuple[int, ...]]

    def encode(self) -> tuple[Any, ...]:
        """The message as it travels: its fields in their order, large payloads marked to go beside it."""
        values = [*self._values(self)]
        for i in self._apart:
            values[i] = value.encode() if isinstance(value := values[i], Message) else beside(value)
        return tuple(values)

    @classmethod
    def decode(cls, row: Any) -> Self:
        """The message that has arrived; `BadInput` names the first field that makes no sense."""
        check_fields(cls.__name__, cls.checks, cls._holds, row)
        return cls._make(row, "decode")

    @classmethod
    def restore(cls, row: Any) -> Self:
        """The same without a look at its fields, where the sender is known to have made it by `encode`."""
        return cls._make(row, "restore")

    @classmethod
    def _make(cls, row: Any, how: str) -> Self:
        values = [*row]
        for place, kind in cls._nested:
            values[place] = getattr(kind, how)(values[place])
        return cls(*values)

    @classmethod
    def seal(cls) -> None:
        """Look the fields up once; for each message below."""
        known = [f for f in fields(cls) if f.init]  # type: ignore[arg-type]
        cls._names = tuple(f.name for f in known)
        cls.checks = tuple((f.name, f.metadata.get("check", checks.ANY)) for f in known)
        cls._holds = tuple(check.holds for _, check in cls.checks)
        cls._nested = tuple((i, f.metadata["message"]) for i, f in enumerate(known) if "message" in f.metadata)
        cls._values = attrgetter(*cls._names)
        cls._apart = tuple(i for i, f in enumerate(known) if f.metadata.get("apart"))


@dataclass(frozen=True)
class Options(Message):
    """How tasks are treated: the half of their header that a user chooses."""

    #: where they wait
    queue: str = takes(checks.QUEUE, default="default")
    #: how often a task that raised, or ran too long, is tried again
    retries: int = takes(checks.RETRIES, default=0)
    #: seconds that one may run
    timeout: float | None = takes(checks.TIMEOUT, default=None)
    #: deliveries after which a task that keeps losing its worker is failed (None: as the master has it)
    max_attempts: int | None = takes(optional(checks.ATTEMPTS), default=None)

    def __post_init__(self) -> None:
        check_fields(type(self).__name__, self.checks, self._holds, self._values(self))


@dataclass(frozen=True, kw_only=True)
class Header(Options):
    """All that the tasks of a run have in common."""

    #: how a worker calls; see `KINDS`
    kind: str = takes(checks.one_of(*KINDS))
    #: digest of the pickled function; "" for plain tasks, whose worker has a handler
    function: str = takes(checks.DIGEST, default="")
    #: "3.11" if function or items travel by value, which only that Python can read
    python: str = takes(checks.NAME, default="")

    @cached_property
    def _encoded(self) -> tuple[Any, ...]:
        return super().encode()

    def encode(self) -> tuple[Any, ...]:
        """The header as it travels: the same tuple each time, so that a message with many runs holds it once."""
        return self._encoded

    @classmethod
    def decode(cls, row: Any) -> Self:
        """The header that has arrived. There are few of them, so that each is looked at once."""
        if type(row) not in (tuple, list) or len(row) != len(cls.checks):
            raise BadInput(f"a header of {len(cls.checks)} fields expected, not {checks.shown(row)}")
        try:
            return cls._known(*row)
        except TypeError:  # a field that is a list, say, and can't be looked up
            raise BadInput(f"header {checks.shown(row)}", "a tuple of plain fields") from None

    restore = decode  # which has looked at most of them before

    @classmethod
    @lru_cache(maxsize=1_000, typed=True)
    def _known(cls, *row: Any) -> Self:
        return cls(**dict(zip(cls._names, row, strict=True)))

    @cached_property
    def key(self) -> tuple[str, str]:
        """What tasks of about one length have in common."""
        return self.queue, self.function


@dataclass(slots=True)
class NewTasks(Message):
    """A client submits tasks `first` .. `first + count - 1`, with one payload."""

    first: int = takes(checks.ID)
    count: int = takes(checks.COUNT)
    header: Header = takes_message(Header)
    #: the items, as their kind has them
    payload: Any = takes(checks.BUFFER, large=True)


@dataclass(slots=True)
class Lease(Message):
    """A worker has the right to tasks [lo, hi) of a run until its next heartbeat is due."""

    token: int = takes(checks.ID)
    #: id of the run's first task
    first: int = takes(checks.ID)
    lo: int = takes(checks.ID)
    hi: int = takes(checks.COUNT)
    attempt: int = takes(checks.ID)
    #: report each task at once: a lost result could not be made again
    careful: bool = takes(checks.FLAG)
    header: Header = takes_message(Header)
    #: is None if this worker was sent the run's payload before
    payload: Any = takes(optional(checks.VALUE), large=True)


@dataclass(slots=True)
class Failure(Message):
    """Why a task ended badly."""

    #: "error" (it raised), "timeout" (it ran too long) or "lost" (its workers died)
    kind: str = takes(checks.one_of("error", "timeout", "lost"))
    #: the pickled exception, None where there is none or it can't be pickled
    exception: bytes | None = takes(optional(checks.BUFFER), large=True, default=None)
    traceback: str = takes(checks.TEXT, default="")
    #: one line
    summary: str = takes(checks.TEXT, default="")


@dataclass(slots=True)
class Report(Message):
    """What a worker says of tasks [lo, hi) of a lease."""

    #: see `REPORTS`
    kind: str = takes(checks.one_of(*REPORTS))
    token: int = takes(checks.ID)
    lo: int = takes(checks.ID)
    hi: int = takes(checks.COUNT)
    value: Any = takes(checks.VALUE, large=True, default=None)
    seconds: float = takes(checks.SECONDS, default=0.0)
    #: what they have printed, as `printed.Piece`s
    printed: Any = takes(checks.PIECES, default=())

    @classmethod
    def decode(cls, row: Any) -> Self:
        """The report that has arrived; `BadInput` where a field, or a value of its kind, makes no sense."""
        report = super(Report, cls).decode(row)
        if report.kind in ("error", "timeout"):
            report.value = Failure.decode(report.value)
        if not report._brings_its_value() or report.lo >= report.hi:
            brought = f"[{report.lo}, {report.hi}) with a value of type {type(report.value).__name__}"
            raise BadInput(f"report {report.kind!r} of {brought}", REPORTS[report.kind])
        return report

    def _brings_its_value(self) -> bool:
        if self.kind == "done":
            return type(self.value) is list or checks.BUFFER.holds(self.value)
        if self.kind == "died":
            return checks.TEXT.holds(self.value)
        return isinstance(self.value, Failure) if self.kind in ("error", "timeout") else self.value is None


@dataclass(slots=True)
class Outcome(Message):
    """What has become of tasks, or is becoming of them, as a client is told."""

    state: str = takes(checks.NAME)
    #: bytes of the pickled results; the `Failure` as it travels, of those that failed
    result: Any = takes(checks.ANY, large=True)
    #: deliveries so far
    attempts: int = takes(checks.ID)
    #: (worker, reason) of the last deliveries that ended badly
    history: Any = takes(checks.ANY)
    #: what they have printed, as `printed.Shown`
    printed: Any = takes(checks.ANY, default=())


@dataclass(slots=True)
class Finished(Message):
    """Tasks [lo, hi) of the run that begins with task `first` are final; the client acknowledges by `serial`."""

    serial: int = takes(checks.ID)
    first: int = takes(checks.ID)
    lo: int = takes(checks.ID)
    hi: int = takes(checks.COUNT)
    outcome: Outcome = takes_message(Outcome)


@dataclass(slots=True)
class Found(Message):
    """One task that somebody asked for by its id: its result is at `index` of `count` results of its kind."""

    outcome: Outcome = takes_message(Outcome)
    index: int = takes(checks.ID)
    count: int = takes(checks.COUNT)
    kind: str = takes(checks.NAME)


for _message in (Options, Header, NewTasks, Lease, Failure, Report, Outcome, Finished, Found):
    _message.seal()
