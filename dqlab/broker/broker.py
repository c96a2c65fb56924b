"""The broker: every task's state, and every decision about it. Pure: no sockets, no threads, no clock of its own.

    client ──submit──> ┌ states ────────────────────────────────────────┐
           <─collect── │ ready ──> leased ──> done | failed | cancelled │ <──lease, settle── leases        <── worker
                       │   ^──────── delayed                            │ <──get, settle──── plain_queues  <── script
                       └────────────────────────────────────────────────┘

One task, step by step:

1. `submit` makes it ready (`states.admit`) and leaves the topic "ready" in `signals`;
2. a worker that asks is given it (`leases.lease`), with as many others as it should have (`batch_size`);
3. the worker's report decides what becomes of it (`leases.settle`): done, ready again, delayed, or failed;
4. its outcome waits for the client (`collect`), and is then kept for a while.

The master calls one method at a time and passes the time in. A method that raises has changed nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import islice
from typing import Any

from dqlab.broker.changes import Changes
from dqlab.broker.clients import CLIENT_IDS, Client
from dqlab.broker.kept_outcomes import outcome_size
from dqlab.broker.leases import Leases
from dqlab.broker.plain_queues import PlainQueues
from dqlab.broker.states import States
from dqlab.broker.tasks import DELAYED, FAILED, FINAL, READY, Run, Span
from dqlab.broker.workers import worker_stats
from dqlab.errors import BadInput
from dqlab.wire.messages import PLAIN, Header, NewTasks

__all__ = ["Broker"]

#: bytes of results in one answer (more only if one result alone is larger)
COLLECT_BYTES = 8 << 20


class Broker:
    """Has the states, gives leases, serves the plain queues. Here is what clients ask for.

    `lease` in seconds; `backlog` is how many tasks may wait in one queue; `pills` are the stop signs of plain scripts.
    """

    def __init__(
        self, *, lease: float = 15.0, max_attempts: int = 3, backlog: int = 2_000_000, pills: Iterable[Any] = (),
        now: float = 0.0, seed: int = 0,
    ) -> None:  # fmt: skip
        self.max_attempts = max_attempts
        self.states = States(backlog)
        self.plain = PlainQueues(self.states, max_attempts, lease, pills)
        self.leases = Leases(self.states, self.plain, lease, seed, now)
        self._started = now

    def keep_changes(self) -> Changes:
        """Say from now on what has changed, for a journal."""
        changes = self.states.changes = self.states.clients.changes = Changes(self.states, self.plain)
        return changes

    # -- clients come and go -----------------------------------------------------------------------------------

    def reopen_client(self, client: Client, pending: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """The client is back: what has finished meanwhile of its `pending` (first, count) is delivered again, behind
        what is on its way to it already. Returns what was forgotten meanwhile, as (first, lo, hi): [lo, hi) behind
        `first`."""
        pending = list(pending)
        client.connected = True
        waiting = {id(span) for _, span in client.outbox}
        spans = {id(span): span for first, count in pending for span in client.spans_in(first, count)}
        missed = [span for key, span in spans.items() if span.state in FINAL and key not in waiting]
        self.states.kept.take_back(missed)
        for span in missed:
            if self.states.changes is not None:
                self.states.changes.span(span)
            self.states.deliver(client, span)
        return [(first, lo, hi) for first, count in pending for lo, hi in client.gaps_in(first, count)]

    def close_client(self, client: Client, now: float) -> None:
        """The client went; its tasks go on, and its results are kept for it, or for whoever asks by id."""
        if not client.connected:
            return
        while client.outbox:
            self.states.kept.keep(client.outbox.popleft()[1], now, unread=True)
        self.states.has_read(client, client.unread)
        self.states.clients.disconnect(client, now)

    # -- tasks go in, outcomes come out ------------------------------------------------------------------------

    def submit(self, client: Client, tasks: NewTasks, now: float) -> bool:
        """Take tasks in, or return False because their queue is full. Tasks that are sent twice are taken once."""
        first, count, header = tasks.first, tasks.count, tasks.header
        if header.queue == PLAIN or header.kind == PLAIN:
            raise BadInput("queue 'plain' holds plain tasks only", "put them with master.tasks.put")
        if first < client.first or first + count > client.first + CLIENT_IDS - 1:
            raise BadInput(f"tasks {first} + {count} are not of client {client.number}")
        if first <= client.last:
            return True
        if header.function not in self.states.functions:
            raise BadInput(f"function {header.function!r} was never sent")
        self.states.counts_of(header.queue)
        if not self.states.has_room(header.queue, count):
            return False
        self.states.admit(client, Run(first, count, header, tasks.payload, self._attempts(header), now), now)
        return True

    def _attempts(self, header: Header) -> int:
        """A task is delivered at least as often as its retries ask for."""
        return header.max_attempts or max(self.max_attempts, header.retries + 1)

    def cancel(self, first: int, count: int, now: float) -> list[tuple[int, int]]:
        """Cancel those of a client's tasks that have not started; return them as (first, count) pairs."""
        client, cancelled = self.states.clients.get(first // CLIENT_IDS), []
        for span in client.spans_in(first, count) if client else ():
            if span.state in (READY, DELAYED):
                start = first - span.run.first
                piece = self.states.cancel(span, max(span.lo, start), min(span.hi, start + count), now)
                cancelled.append((piece.first, len(piece)))
        return cancelled

    def collect(self, client: Client, ack: int, limit: int = COLLECT_BYTES) -> list[tuple[int, Span]]:
        """The client's finished spans with a serial above `ack`, oldest first; those up to `ack` it has."""
        size = 0
        while client.outbox and client.outbox[0][0] <= ack:
            span = client.outbox.popleft()[1]
            size += outcome_size(span)
            self.states.kept.keep(span, span.since)
            if self.states.changes is not None:
                self.states.changes.span(span)
        self.states.has_read(client, size)
        batch, size = [], 0
        for serial, span in client.outbox:
            batch.append((serial, span))
            size += outcome_size(span)
            if size > limit:
                break
        return batch

    def find(self, task: int) -> Span | None:
        """The span that holds a task; None if there never was one, or it is forgotten."""
        client = self.states.clients.get(task // CLIENT_IDS)
        run = client.run_of(task) if client else None
        return run.span_of(task) if run else None

    def open_spans(self, limit: int) -> list[Span]:
        """At most `limit` spans that have not ended, the oldest client's first."""
        clients = list(self.states.clients.values())
        spans = (span for client in clients for span in client.spans_in(client.first, CLIENT_IDS))
        return list(islice((span for span in spans if span.state not in FINAL), limit))

    # -- what failed -------------------------------------------------------------------------------------------

    def requeue(self, queue: str | None, now: float) -> int:
        """Make the failed tasks of a queue (None: of all) ready again, with all their attempts; return how many."""
        spans = [s for s in self._failed() if queue is None or s.run.queue == queue]
        self.states.kept.take_back(spans)
        for client in self.states.clients.values():
            self.states.has_read(client, sum(outcome_size(span) for span in client.take_back(spans)))
        for span in spans:
            self.states.requeue(span, now)
        return sum(map(len, spans))

    def failures(self, limit: int = 20) -> list[Span]:
        """The failed tasks that are remembered, newest first."""
        return heapq.nlargest(limit, self._failed(), key=lambda span: span.since)

    def _failed(self) -> list[Span]:
        waiting = (span for client in self.states.clients.values() for _, span in client.outbox)
        return [*self.states.kept.failed(), *(span for span in waiting if span.state is FAILED)]

    # -- time, and what is going on ----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        self.leases.expire(now)
        self.plain.tick(now)
        self.states.tick(now)
        self.leases.reclaim(now)

    def refused(self, reason: str, now: float) -> None:
        """A peer asked for something that the master does not do."""
        self.states.events.add(now, "refused", reason=reason)

    def stats(self, now: float) -> dict[str, Any]:
        """Counts by queue and by worker, throughput (tasks/s), latency (s): the shape of `dqlab status --json`."""
        return {"queues": self.queue_stats(sorted(self.states.counts)), **self.other_stats(now)}

    def queue_stats(self, queues: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The part of `stats` that is about some queues."""
        counts, lines = self.states.counts, self.states.lines
        return {queue: dict(counts[queue], paused=queue in lines and lines[queue].paused) for queue in queues}

    def other_stats(self, now: float) -> dict[str, Any]:
        """The part of `stats` that is about no queue."""
        states = self.states
        return {
            **worker_stats(states.lines.values(), self.leases.workers.values(), now),
            "throughput": states.rate.per_second(now),
            "latency": {"p50": states.latency.percentile(0.5), "p95": states.latency.percentile(0.95)},
            "uptime": now - self._started,
            "late": self.leases.late,
            **self.plain.stats(),
        }
