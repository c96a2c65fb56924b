"""What has changed since somebody last asked: kept only for a master that has a journal. Pure.

The objects of the broker say that they have changed (`Changes` holds them, not copies); `take` turns them, as they are
by then, into rows. So a task that was submitted, leased and done between two looks is written once, and one that was
read and forgotten too is not written at all. `broker.revival` makes a broker of such rows again.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple, TypedDict

from dqlab.broker.clients import CLIENT_IDS, Client
from dqlab.broker.numbered_calls import AnswerRow
from dqlab.broker.plain_queues import PlainQueues
from dqlab.broker.states import States
from dqlab.broker.tasks import FINAL, LEASED, Run, Span, State
from dqlab.wire.messages import Header
from dqlab.wire.printed import Shown

__all__ = ["Batch", "Changes", "ClientRow", "QueueRow", "RunRow", "SpanRow"]


class ClientRow(NamedTuple):
    """A client, and the last task id that was accepted from it."""

    number: int
    token: bytes
    last: int
    plain: bool


class QueueRow(NamedTuple):
    """What is known of a queue but not of its tasks: how many of them ended, also of those that are forgotten."""

    queue: str
    paused: bool
    done: int
    failed: int
    cancelled: int
    redelivered: int


class RunRow(NamedTuple):
    """A run; without a `payload` if nobody will run its tasks again."""

    first: int
    count: int  # type: ignore[assignment]  # of a row, not of a tuple
    client: int
    header: Header
    max_attempts: int
    submitted: float
    payload: Any


class SpanRow(NamedTuple):
    """Tasks `first` .. `first + count - 1`, and what has become of them."""

    first: int
    count: int  # type: ignore[assignment]  # of a row, not of a tuple
    run: int
    state: State
    attempt: int
    errors: int
    deaths: int
    suspect: bool
    due: float
    since: float
    worker: str | None
    unread: bool
    history: tuple[tuple[str, str], ...]
    printed: tuple[Shown, ...]
    result: Any
    thread: tuple[int, int] | None = None


class Batch(TypedDict, total=False):
    """All that changed between two looks; whoever writes it down writes all of it or nothing, in its order.

    What has nothing isn't there: a plain script waits for each of its values, and few of these have any.
    """

    ended: list[tuple[int, int]]  #: (first, count) of runs that are forgotten
    dropped: list[int]  #: first tasks of spans that are forgotten, their run is not
    through: list[int]  #: first tasks of runs whose payload nobody needs any more
    gone: list[int]  #: numbers of clients that are forgotten
    clients: list[ClientRow]
    queues: list[QueueRow]
    runs: list[RunRow]
    functions: list[tuple[str, bytes]]  #: those that the runs need, by digest
    spans: list[SpanRow]
    results: list[tuple[int, Any]]  #: (serial, value) on the plain result queue
    taken: list[int]  #: results below this serial were taken, and told
    confirmed: list[tuple[int, int, str]]  #: (client, thread, call): they have theirs
    answers: list[AnswerRow]


class Changes:
    """Hears of each change; true while there is one that nobody has taken."""

    def __init__(self, states: States, plain: PlainQueues) -> None:
        self._states, self._plain = states, plain
        self._plain.untold = {}
        self._taken, self._put = self._plain.taken, self._plain.taken + len(self._plain.results)
        self._forget()

    def _forget(self) -> None:
        self._new: dict[Run, None] = {}
        self._through: dict[Run, None] = {}
        self._ended: dict[Run, None] = {}
        self._spans: dict[Span, None] = {}
        self._dropped: list[Span] = []
        self._queues: dict[str, None] = {}
        self._clients: dict[int, None] = {}
        self._gone: list[int] = []
        self._answers: dict[tuple[int, int, str], None] = {}

    def __bool__(self) -> bool:
        return bool(
            self._spans or self._new or self._ended or self._dropped or self._queues or self._clients or self._gone
            or self._through or self._answers or self._told != self._taken or self._results_end != self._put
        )  # fmt: skip

    @property
    def _told(self) -> int:
        """Serial of the first result that somebody may still have to hear."""
        untold = self._plain.untold
        return min(serial for serial, _ in untold.values()) if untold else self._plain.taken

    @property
    def _results_end(self) -> int:
        return self._plain.taken + len(self._plain.results)

    # -- what the broker says ----------------------------------------------------------------------------------

    def submitted(self, run: Run) -> None:
        """A run is new."""
        self._new[run] = None
        self._spans[run.spans[0]] = None

    def moved(self, span: Span) -> None:
        """A span is in another state, and with it the counts of its queue."""
        self._spans[span] = self._queues[span.run.header.queue] = None

    def span(self, span: Span) -> None:
        """Something else about a span is new: where it ends, or whether its outcome was read."""
        self._spans[span] = None

    def through(self, run: Run) -> None:
        """Nobody will run these tasks again."""
        self._through[run] = None

    def dropped(self, span: Span) -> None:
        """A span is forgotten, and its run with the last one."""
        self._spans.pop(span, None)
        if span.run.spans:
            self._dropped.append(span)
        else:
            run, client = span.run, self._states.clients[span.run.first // CLIENT_IDS]
            self._ended[run] = None
            if run.first + run.count > client.last:
                self._clients[client.number] = None  # its last task id stands in no run any more

    def queue(self, name: str) -> None:
        """A queue was paused, or goes on."""
        self._queues[name] = None

    def client(self, number: int) -> None:
        """A client is new."""
        self._clients[number] = None

    def client_gone(self, number: int) -> None:
        """A client is forgotten, and can't come back."""
        self._gone.append(number)

    def answered(self, key: tuple[int, int, str]) -> None:
        """A client's thread is answered a numbered call, or has that answer."""
        self._answers[key] = None

    # -- what somebody writes down -----------------------------------------------------------------------------

    def take(self) -> Batch:
        """Everything that changed since the last call, as it is now."""
        states, new, ended, batch = self._states, self._new, self._ended, Batch()
        if ended:
            batch["ended"] = [(run.first, run.count) for run in ended if run not in new]
        if self._dropped:
            batch["dropped"] = [s.first for s in self._dropped if s.run not in new and s.run not in ended]
        if self._through:
            batch["through"] = [run.first for run in self._through if run not in new and run not in ended]
        if self._gone:
            batch["gone"] = self._gone
        if self._clients:
            batch["clients"] = [_client_row(states.clients[n]) for n in self._clients if n in states.clients]
        if self._queues:
            batch["queues"] = [self._queue_row(name) for name in self._queues]
        if new:
            batch["runs"] = runs = [_run_row(run) for run in new if run not in ended]
            digests = {row.header.function for row in runs if row.payload is not None}
            if functions := [(digest, states.functions[digest]) for digest in digests if digest in states.functions]:
                batch["functions"] = functions
        if self._spans:
            batch["spans"] = [self._span_row(span) for span in self._spans]
        self._take_results(batch)
        if self._answers:
            answers = self._plain.numbered.answers
            batch["confirmed"] = [key for key in self._answers if key not in answers]
            batch["answers"] = [answers[key] for key in self._answers if key in answers]
        self._forget()
        return batch

    def _take_results(self, batch: Batch) -> None:
        plain, end, told = self._plain, self._results_end, self._told
        first = max(self._put, plain.taken)
        if end != self._put:
            # What was put and taken since is written too, until whoever has it has heard it.
            batch["results"] = results = [row for row in (plain.untold or {}).values() if row[0] >= self._put]
            if end > first:
                values = list(islice(reversed(plain.results), end - first))
                results += zip(range(first, end), reversed(values), strict=True)
        if told != self._taken:
            batch["taken"] = [told]
        self._taken, self._put = told, end

    def _span_row(self, span: Span) -> SpanRow:
        unread = span.state in FINAL and not self._states.kept.is_spare(span)
        return SpanRow(
            span.first, len(span), span.run.first, span.state, span.attempt, span.errors, span.deaths, span.suspect,
            span.due, span.since, span.worker, unread, span.history, span.printed, span.result,
            span.thread if span.state is LEASED and span.worker is None else None,
        )  # fmt: skip

    def _queue_row(self, name: str) -> QueueRow:
        counts, line = self._states.counts_of(name), self._states.lines.get(name)
        return QueueRow(
            name, line is not None and line.paused, counts["done"], counts["failed"], counts["cancelled"],
            counts["redelivered"],
        )  # fmt: skip


def _run_row(run: Run) -> RunRow:
    client = run.first // CLIENT_IDS
    return RunRow(run.first, run.count, client, run.header, run.max_attempts, run.submitted, run.payload)


def _client_row(client: Client) -> ClientRow:
    return ClientRow(client.number, client.token, client.last, client.plain)
