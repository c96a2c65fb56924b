"""A broker made of what an earlier one left: all that was accepted is where it was, but for leases. Pure.

Who held a lease is gone for this broker, whatever it does meanwhile: its tasks wait again, before all others. That the
master died is nobody's fault: it stands in their history, and uses up no attempt. Only what a client's thread has from
a plain `get` it keeps, as its client will come back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dqlab.broker.broker import Broker
from dqlab.broker.changes import Changes, ClientRow, QueueRow, RunRow, SpanRow
from dqlab.broker.clients import Client
from dqlab.broker.numbered_calls import AnswerRow
from dqlab.broker.tasks import CANCELLED, DONE, LEASED, Run, Span
from dqlab.wire.messages import PLAIN

__all__ = ["DIED", "LIVES", "Remains", "revive"]

#: what stands in the history of a task that was leased when the master ended
DIED = "the master died"
#: numbers that each life of a master has to itself: of events, of leases, of outcomes as a client was told them
LIVES = 1 << 32


@dataclass(kw_only=True)
class Remains:
    """What a broker leaves, as rows. `life` is how many brokers lived before."""

    life: int = 0
    clients: list[ClientRow] = field(default_factory=list)
    queues: list[QueueRow] = field(default_factory=list)
    functions: dict[str, bytes] = field(default_factory=dict)
    runs: list[RunRow] = field(default_factory=list)
    spans: list[SpanRow] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)  #: on the plain result queue, oldest first
    answers: list[AnswerRow] = field(default_factory=list)  #: that threads of clients may not have heard
    taken: int = 0  #: serial of the first of them


def revive(broker: Broker, remains: Remains, now: float) -> Changes:
    """Fill a broker that has done nothing yet; what changes from here on is in the `Changes` that are returned."""
    states = broker.states
    states.events.begin_at(remains.life * LIVES)
    broker.leases.tokens = remains.life * LIVES
    states.functions.add(remains.functions)
    for row in remains.clients:
        _take_up_client(broker, row, remains.life, now)
    for queue in remains.queues:
        counts = states.counts_of(queue.queue)
        counts.update(done=queue.done, failed=queue.failed, cancelled=queue.cancelled, redelivered=queue.redelivered)
        states.line(queue.queue).paused = queue.paused
    runs = {row.first: _take_up_run(states.clients, row) for row in remains.runs}
    broker.plain.take_up_results(remains.results, remains.taken)
    spans = {_span(runs[row.run], row): row.unread for row in remains.spans}
    for span in _in_line(spans):
        states.take_up(span, spans[span], now)
    changes = broker.keep_changes()
    for run in runs.values():
        run.changes = changes
        if run.open and run.header.function:
            states.functions.use(run.header.function)
    if remains.life:
        states.events.add(now, "restarted", reason=DIED)
    for answer in remains.answers:
        broker.plain.numbered.take_up(answer, now)
    for span in sorted((span for span in spans if span.state is LEASED and span.thread), key=_since):
        broker.plain.numbered.take_up_held(span, now)
    lost = (span for span in spans if span.state is LEASED and not span.thread)
    for span in sorted(lost, key=_first, reverse=True):
        worker, by_script = span.worker or "", span.worker is None
        # A lost connection never dead-letters a plain task; and no task is a delivery nearer to that by our death.
        span.attempt = 0 if by_script else span.attempt - 1
        span.ended_badly(worker, DIED)
        states.redeliver(span, worker, DIED, now)
    return changes


def _take_up_client(broker: Broker, row: ClientRow, life: int, now: float) -> None:
    client = Client(row.number, row.token, row.last)
    client.serial = life * LIVES
    broker.states.clients.take_up(client)
    if row.plain:
        broker.plain.take_up_client(client)
    else:
        broker.states.clients.disconnect(client, now)


def _take_up_run(clients: dict[int, Client], row: RunRow) -> Run:
    run = Run(row.first, row.count, row.header, row.payload, row.max_attempts, row.submitted)
    run.spans.clear()
    run.open = 0
    client = clients[row.client]
    last = client.last
    client.remember(run)
    client.last = max(last, client.last)
    return run


def _span(run: Run, row: SpanRow) -> Span:
    span = Span(run, row.first - run.first, row.first - run.first + row.count)
    span.state, span.attempt, span.errors, span.deaths = row.state, row.attempt, row.errors, row.deaths
    span.suspect, span.due, span.since, span.worker = row.suspect, row.due, row.since, row.worker
    span.history, span.printed, span.result, span.thread = row.history, row.printed, row.result, row.thread
    run.spans.append(span)
    if span.state not in (DONE, CANCELLED):
        run.open += len(span)
    return span


def _in_line(spans: Iterable[Span]) -> list[Span]:
    """In the order in which they wait: what has waited before, the last first; what is new; what was given up."""

    def place(span: Span) -> tuple[int, float, int]:
        if span.run.queue == PLAIN and span.errors:
            return 2, span.since, span.first
        return (0, -span.since, span.first) if span.since else (1, 0.0, span.first)

    return sorted(spans, key=place)


def _since(span: Span) -> float:
    return span.since


def _first(span: Span) -> int:
    return span.first
