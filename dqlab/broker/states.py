"""The ledger: which state every task is in, whom its outcome belongs to, and what has happened. Pure.

    submit ──> ready ─────────> leased ──> done | failed ──> the client's outbox ──> kept for whoever asks by id
                 ^ └> cancelled   │
                 └─── delayed <───┘

`Broker` builds on it: it decides which worker is given what, and what its word means. Here is what each change of state
does: the counts, the event, the queue's line or the client's outbox, and the signal for whoever may be waiting.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

from dqlab.broker.clients import CLIENT_IDS, Client, Clients
from dqlab.broker.events import EventLog
from dqlab.broker.functions import Functions
from dqlab.broker.kept_outcomes import Shelf, size_of
from dqlab.broker.meters import Latency, Rate
from dqlab.broker.tasks import FINAL, Run, Span, State
from dqlab.broker.waiting_line import Line
from dqlab.errors import BadInput
from dqlab.wire.messages import check_queue

__all__ = ["Ledger"]

#: bytes of results that wait for one client before its tasks are held back
UNREAD_BYTES = 64 << 20
#: names of queues
MOST_QUEUES = 10_000


class Ledger:
    """``backlog`` is how many tasks may wait in one queue; ``now`` is the time at the start, in seconds."""

    def __init__(self, backlog: int, now: float) -> None:
        self.backlog = backlog
        self.events = EventLog()
        self.signals: set[tuple[str, Any]] = set()
        self.functions = Functions()
        self.counts: dict[str, dict[str, int]] = {}
        self.clients = Clients()
        self._blocked: set[int] = set()  #: clients for whom too much waits
        self._started = now
        self._lines: dict[str, Line] = {}
        self._delayed: list[tuple[float, int, Span]] = []
        self._serial = 0  #: breaks ties among delayed tasks
        self._shelf = Shelf()
        self._rate, self._latency = Rate(), Latency()

    # -- clients: submit, cancel, results ----------------------------------------------------------------------

    def open_client(self) -> Client:
        """A new client, with ids of its own."""
        return self.clients.open()

    def reopen_client(self, number: int, pending: Iterable[tuple[int, int]], now: float) -> list[tuple[int, int, int]]:
        """The client is back: what has finished meanwhile of its ``pending`` (first, count) is delivered again, behind
        what is on its way to it already. Returns what was forgotten meanwhile, as (first, lo, hi): [lo, hi) behind
        ``first``."""
        client, pending = self.clients.find(number, now), list(pending)
        client.connected = True
        waiting = {id(span) for _, span in client.outbox}
        spans = {id(span): span for first, count in pending for span in client.spans_in(first, count)}
        missed = [span for key, span in spans.items() if span.state in FINAL and key not in waiting]
        self._shelf.take_back(missed)
        for span in missed:
            self._deliver(client, span)
        return [(first, lo, hi) for first, count in pending for lo, hi in client.gaps_in(first, count)]

    def close_client(self, number: int, now: float) -> None:
        """The client went; its tasks go on, and its results wait `KEEP_SECONDS` for it, or whoever asks by id."""
        client = self.clients.get(number)
        if client is None or not client.connected:
            return
        while client.outbox:
            self._shelf.keep(client.outbox.popleft()[1], now, unread=True)
        self._has_read(client, client.unread)
        self.clients.disconnect(client, now)

    def submit(self, number: int, run: Run, now: float) -> bool:
        """Take a run in, or return False because its queue is full. A run sent twice is taken once."""
        run.check()
        client = self.clients.find(number, now)
        if run.first < client.first or run.first + run.count > (number + 1) * CLIENT_IDS:
            raise BadInput(f"tasks {run.first} + {run.count} are not of client {number}")
        if run.first <= client.last:
            return True
        if run.function not in self.functions and run.kind != "plain":
            raise BadInput(f"function {run.function!r} was never sent")
        if not self._admit(client, run.queue, run.first, run.count, now):
            return False
        if run.function:
            self.functions.use(run.function)
        self._line(run.queue).append(number, client.remember(run, now))
        return True

    def _admit(self, client: Client, queue: str, first: int, count: int, now: float) -> bool:
        """Count new tasks of a client as ready, or return False because the queue is full."""
        if count > self.backlog:
            raise BadInput(f"{count} tasks at once, and the backlog holds {self.backlog}", "send them in parts")
        counts = self._counts(queue)
        if counts["ready"] + counts["delayed"] + count > self.backlog:
            return False
        counts["ready"] += count
        client.last = first + count - 1
        self.events.add(now, "submitted", queue, first, count)
        self.signals.add(("ready", queue))
        return True

    def cancel(self, first: int, count: int, now: float) -> list[tuple[int, int]]:
        """Cancel those of a client's tasks that have not started; return them as (first, count) pairs."""
        client, cancelled = self.clients.get(first // CLIENT_IDS), []
        for span in client.spans_in(first, count) if client else ():
            if span.state in (State.READY, State.DELAYED):
                start = first - span.run.first
                was_ready = span.state is State.READY
                piece = self._isolate(span, max(span.lo, start), min(span.hi, start + count))
                self._finish(piece, State.CANCELLED, "cancelled", now)
                if piece is span and was_ready:
                    self._line(span.run.queue).cancelled()
                cancelled.append((piece.first, len(piece)))
        return cancelled

    def collect(self, number: int, ack: int, limit: int = 8 << 20) -> list[tuple[int, Span]]:
        """The client's finished spans with a serial above ``ack``, oldest first; those up to ``ack`` it has."""
        client, size = self.clients[number], 0
        while client.outbox and client.outbox[0][0] <= ack:
            span = client.outbox.popleft()[1]
            size += size_of(span.result)
            self._shelf.keep(span, span.since)
        self._has_read(client, size)
        batch, size = [], 0
        for serial, span in client.outbox:
            batch.append((serial, span))
            size += size_of(span.result)
            if size > limit:
                break
        return batch

    def find(self, task: int) -> Span | None:
        """The span that holds a task; None if there never was one, or it is forgotten."""
        client = self.clients.get(task // CLIENT_IDS)
        run = client.run_of(task) if client else None
        return run.span_of(task) if run else None

    def requeue(self, queue: str | None, now: float) -> int:
        """Make the failed tasks of a queue (None: of all) ready again, with all their attempts; return how many."""
        spans = [s for s in self._failed() if queue is None or s.run.queue == queue]
        self._shelf.take_back(spans)
        for client in self.clients.values():
            self._has_read(client, sum(size_of(span.result) for span in client.take_back(spans)))
        for span in spans:
            span.begin_anew()
            self.events.add(now, "requeued", queue=span.run.queue, task=span.first, count=len(span))
            self._ready(span, now)
        return sum(map(len, spans))

    def failures(self, limit: int = 20) -> list[Span]:
        """The failed tasks that are remembered, newest first."""
        return heapq.nlargest(limit, self._failed(), key=lambda span: span.since)

    def _failed(self) -> list[Span]:
        waiting = (span for client in self.clients.values() for _, span in client.outbox)
        return [*self._shelf.failed(), *(span for span in waiting if span.state is State.FAILED)]

    # -- queues and time ---------------------------------------------------------------------------------------

    def pause(self, queue: str, paused: bool, now: float) -> None:
        """Stop (or go on) giving out the tasks of a queue; what is leased is finished."""
        check_queue(queue)
        self._counts(queue)
        self._line(queue).paused = paused
        self.events.add(now, "paused" if paused else "resumed", queue=queue)
        self.signals.add(("ready", queue))

    def ready(self, queue: str) -> int:
        """Tasks of a queue that a worker could have now."""
        counts = self.counts.get(queue)
        return counts["ready"] if counts else 0

    def waiting(self, queue: str) -> int:
        """Tasks of a queue that count for its backlog."""
        counts = self.counts.get(queue)
        return counts["ready"] + counts["delayed"] if counts else 0

    def unfinished(self, queues: Iterable[str] | None = None) -> int:
        """Tasks that are ready, delayed or leased in some queues (None: in all)."""
        names = self.counts if queues is None else [q for q in queues if q in self.counts]
        return sum(self.counts[q][state] for q in names for state in ("ready", "delayed", "leased"))

    def tick(self, now: float) -> None:
        """Do what is due: delayed tasks, results that nobody fetched, clients and functions that are not needed."""
        while self._delayed and self._delayed[0][0] <= now:
            span = heapq.heappop(self._delayed)[2]
            if span.state is State.DELAYED:
                self._ready(span, now)
        for span in self._shelf.overdue(now):
            if span.state is State.FAILED:
                self._is_through(span)
            self.clients[span.run.first // CLIENT_IDS].forget(span)
        self.clients.forget(now)
        self.functions.trim()

    # -- changes of state --------------------------------------------------------------------------------------

    def _counts(self, queue: str) -> dict[str, int]:
        if queue not in self.counts:
            if len(self.counts) >= MOST_QUEUES:
                raise BadInput(f"queue {queue!r} is one too many", f"the master has {MOST_QUEUES}, use one of them")
            names = [state.value for state in State]
            self.counts[queue] = dict.fromkeys([*names, "redelivered"], 0)
        return self.counts[queue]

    def _line(self, queue: str) -> Line:
        if queue not in self._lines:
            self._lines[queue] = Line()
        return self._lines[queue]

    def _move(self, span: Span, state: State, now: float) -> None:
        self._recount(span.run.queue, len(span), span.state, state)
        span.state, span.since = state, now

    def _recount(self, queue: str, count: int, old: State, new: State) -> None:
        counts = self.counts[queue]
        counts[old] -= count
        counts[new] += count

    def _ready(self, span: Span, now: float) -> None:
        self._move(span, State.READY, now)
        span.worker = None
        self._line(span.run.queue).appendleft(span.run.first // CLIENT_IDS, span)
        self.signals.add(("ready", span.run.queue))

    def _redeliver(self, span: Span, worker: str, reason: str, now: float) -> None:
        queue = span.run.queue
        self._counts(queue)["redelivered"] += len(span)
        self._note(span, "redelivered", now, worker=worker, reason=reason)
        self._ready(span, now)

    def _delay(self, span: Span, wait: float, now: float) -> None:
        self._move(span, State.DELAYED, now)
        span.due = now + wait
        self._wait_for(span)

    def _wait_for(self, span: Span) -> None:
        self._serial += 1
        heapq.heappush(self._delayed, (span.due, self._serial, span))

    def _finish(self, span: Span, state: State, reason: str | None, now: float, worker: str | None = None) -> None:
        if state is State.FAILED:
            self._note(span, "failed", now, reason=reason, worker=worker or span.worker)
        elif state is State.CANCELLED:
            self._note(span, "cancelled", now)
        self._move(span, state, now)
        if state is not State.FAILED:
            self._is_through(span)
        number = span.run.first // CLIENT_IDS
        client = self.clients[number]
        if client.plain and state is not State.FAILED:
            client.forget(span)
        elif client.plain or not client.connected:
            self._shelf.keep(span, now, unread=not client.plain)
        else:
            self._deliver(client, span)
        if client.plain:
            self.signals.add(("plain idle", None))

    def _is_through(self, span: Span) -> None:
        """Nobody will run these tasks again: with the last of a run go its payload and its need of the function."""
        run = span.run
        run.open -= len(span)
        if not run.open:
            run.payload = None
            if run.function:
                self.functions.release(run.function)

    def _deliver(self, client: Client, span: Span) -> None:
        client.serial += 1
        client.outbox.append((client.serial, span))
        client.unread += size_of(span.result)
        if client.unread > UNREAD_BYTES:
            self._blocked.add(client.number)
        self.signals.add(("results", client.number))

    def _has_read(self, client: Client, size: int) -> None:
        """``size`` bytes less wait for the client; its tasks go on if they were held back."""
        client.unread -= size
        if client.unread <= UNREAD_BYTES and client.number in self._blocked:
            self._blocked.remove(client.number)
            self.signals.update(("ready", queue) for queue in self._lines)

    def _isolate(self, span: Span, lo: int, hi: int) -> Span:
        """Take [lo, hi) out of a ready or delayed span, leaving what stands before and behind it where it was."""
        if lo > span.lo and hi < span.hi:
            behind = span.cut(hi, span.hi)
            if span.state is State.READY:
                self._line(span.run.queue).insert_after(span, behind)
            else:
                self._wait_for(behind)
        return span.cut(lo, hi)

    def _note(
        self, span: Span, kind: str, now: float, seconds: float | None = None, reason: str | None = None,
        worker: str | None = None,
    ) -> None:  # fmt: skip
        worker = span.worker if worker is None else worker
        self.events.add(
            now, kind, span.run.queue, span.first, len(span), worker, span.attempt, seconds=seconds, reason=reason
        )

    # -- what is going on --------------------------------------------------------------------------------------

    def stats(self, now: float) -> dict[str, Any]:
        """Counts by queue, throughput (tasks/s), latency (s)."""
        return {
            "queues": {
                queue: dict(counts, paused=queue in self._lines and self._lines[queue].paused)
                for queue, counts in sorted(self.counts.items())
            },
            "workers": [],
            "throughput": self._rate.per_second(now),
            "latency": {"p50": self._latency.percentile(0.5), "p95": self._latency.percentile(0.95)},
            "uptime": now - self._started,
        }
