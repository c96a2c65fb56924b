"""Which state every task is in, and what each change of state does: one place for all of them. Pure.

    admit ──> ready ─────────> leased ──> done | failed ──> the client's outbox ──> kept for whoever asks by id
                ^ └> cancelled   │
                └─── delayed <───┘

A change of state moves the counts, notes the event, puts the tasks into their queue's line or their client's outbox,
and leaves in `signals` what has become possible by it. Who is given what, and why, is decided in `leases` and
`plain_queues`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

from dqlab.broker import topics
from dqlab.broker.change_listener import ChangeListener
from dqlab.broker.clients import CLIENT_IDS, Client, Clients
from dqlab.broker.events import EventLog
from dqlab.broker.functions import Functions
from dqlab.broker.kept_outcomes import KeptOutcomes, outcome_size
from dqlab.broker.meters import Latency, Rate
from dqlab.broker.tasks import CANCELLED, DELAYED, DONE, FAILED, FINAL, LEASED, READY, Run, Span, State
from dqlab.broker.topics import Topic
from dqlab.broker.waiting_line import WaitingLine
from dqlab.errors import BadInput
from dqlab.wire.messages import Failure

__all__ = ["States"]

#: bytes of results that wait for one client before its tasks are held back
UNREAD_BYTES = 64 << 20
#: names of queues
MOST_QUEUES = 10_000


class States:
    """`backlog` is how many tasks may wait in one queue."""

    def __init__(self, backlog: int) -> None:
        self.backlog = backlog
        self.events = EventLog()
        self.signals: set[Topic] = set()  #: what has become possible since somebody last looked
        self.functions = Functions()
        self.counts: dict[str, dict[str, int]] = {}  #: tasks by queue and state
        self.lines: dict[str, WaitingLine] = {}
        self.clients = Clients()
        self.blocked: set[int] = set()  #: clients for whom too much waits
        self.kept = KeptOutcomes()
        self.changes: ChangeListener | None = None  #: what a journal has to write, where there is one
        self.rate, self.latency = Rate(), Latency()
        self._delayed: list[tuple[float, int, Span]] = []
        self._serial = 0  #: breaks ties among delayed tasks

    # -- queues ------------------------------------------------------------------------------------------------

    def counts_of(self, queue: str) -> dict[str, int]:
        """The counts of a queue, which is made if there is none of that name."""
        if queue not in self.counts:
            if len(self.counts) >= MOST_QUEUES:
                raise BadInput(f"queue {queue!r} is one too many", f"the master has {MOST_QUEUES}, use one of them")
            self.counts[queue] = dict.fromkeys([*(state.value for state in State), "redelivered"], 0)
        return self.counts[queue]

    def line(self, queue: str) -> WaitingLine:
        """The line of a queue."""
        if queue not in self.lines:
            self.lines[queue] = WaitingLine(queue)
        return self.lines[queue]

    def pause(self, queue: str, paused: bool, now: float) -> None:
        """Stop (or go on) giving out the tasks of a queue; what is leased is finished."""
        self.counts_of(queue)
        line = self.line(queue)
        line.paused = paused
        if self.changes is not None:
            self.changes.queue(queue)
        self.events.add(now, "paused" if paused else "resumed", queue=queue)
        self.signals.add(line.news)

    def ready_in(self, queue: str) -> int:
        """Tasks of a queue that a worker could have now."""
        counts = self.counts.get(queue)
        return counts["ready"] if counts else 0

    def waiting_in(self, queue: str) -> int:
        """Tasks of a queue that count for its backlog."""
        counts = self.counts.get(queue)
        return counts["ready"] + counts["delayed"] if counts else 0

    def unfinished(self, queues: Iterable[str] | None = None) -> int:
        """Tasks that are ready, delayed or leased in some queues (None: in all)."""
        names = self.counts if queues is None else [q for q in queues if q in self.counts]
        return sum(self.counts[q][state] for q in names for state in ("ready", "delayed", "leased"))

    # -- changes of state --------------------------------------------------------------------------------------

    def has_room(self, queue: str, count: int) -> bool:
        """Whether `count` more tasks fit into a queue; `BadInput` if they never will."""
        if count > self.backlog:
            raise BadInput(f"{count} tasks at once, and the backlog holds {self.backlog}", "send them in parts")
        return self.waiting_in(queue) + count <= self.backlog

    def admit(self, client: Client, run: Run, now: float) -> None:
        """New tasks of a client: they are ready."""
        queue = run.header.queue
        self.counts_of(queue)["ready"] += run.count
        client.remember(run)
        if self.changes is not None:
            run.changes = self.changes
            self.changes.submitted(run)
        if run.header.function:
            self.functions.use(run.header.function)
        line = self.line(queue)
        line.append(client.number, run.spans[0])
        self.events.add(now, "submitted", queue, run.first, run.count)
        self.signals.add(line.news)

    def lease(self, span: Span, worker: str | None, now: float) -> None:
        """A worker has them, or a script (None); they are out of the line already."""
        span.worker = worker
        span.attempt += 1
        self._move(span, LEASED, now)
        self.note(span, "leased", now)

    def make_ready(self, span: Span, now: float, at_end: bool = False) -> None:
        """They wait again: before all others, or at the end of the line."""
        self._move(span, READY, now)
        span.worker = None
        line, client = self.line(span.run.queue), span.run.first // CLIENT_IDS
        (line.append if at_end else line.appendleft)(client, span)
        self.signals.add(line.news)

    def redeliver(self, span: Span, worker: str, reason: str, now: float, at_end: bool = False) -> None:
        """Whoever had them is gone, and nobody is to blame: they wait again."""
        self.counts_of(span.run.queue)["redelivered"] += len(span)
        self.note(span, "redelivered", now, worker=worker, reason=reason)
        self.make_ready(span, now, at_end)

    def delay(self, span: Span, wait: float, reason: str, now: float) -> None:
        """They wait for `wait` seconds before they are ready again."""
        self.note(span, "delayed", now, seconds=wait, reason=reason)
        self._move(span, DELAYED, now)
        span.due = now + wait
        self._wait_for(span)

    def done(self, span: Span, result: Any, seconds: float, now: float) -> None:
        """They ended well, after `seconds` of work."""
        span.result, n = result, span.hi - span.lo
        self.rate.add(n, now)
        self.latency.add(now - span.run.submitted, n)
        self.note(span, "done", now, seconds=seconds)
        self._finish(span, DONE, now)

    def fail(self, span: Span, failure: Failure, now: float, worker: str | None = None) -> None:
        """They ended badly, for good."""
        span.result = failure
        self.note(span, "failed", now, reason=failure.summary, worker=worker)
        self._finish(span, FAILED, now)

    def cancel(self, span: Span, lo: int, hi: int, now: float) -> Span:
        """Their client takes back the items [lo, hi) of a ready or delayed span; return these."""
        was_ready = span.state is READY
        piece = self._isolate(span, lo, hi)
        self.note(piece, "cancelled", now)
        self._finish(piece, CANCELLED, now)
        if piece is span and was_ready:
            self.line(span.run.queue).cancelled()
        return piece

    def requeue(self, span: Span, now: float) -> None:
        """A failed span begins anew, with all its attempts."""
        span.begin_anew()
        self.events.add(now, "requeued", queue=span.run.queue, task=span.first, count=len(span))
        self.make_ready(span, now)

    def take_out(self, span: Span, exc: Exception, now: float) -> None:
        """Handing out or making ready a span went wrong: it ends as failed, so that the others go on."""
        self.fail(span, Failure(kind="lost", summary=f"the master could not hand it out: {exc!r}"), now)

    def take_up(self, span: Span, unread: bool, now: float) -> None:
        """A span of an earlier life of the master goes where its state says."""
        if span.state not in FINAL:  # those are counted with the ones that are forgotten
            self.counts_of(span.run.queue)[span.state] += len(span)
        if span.state is READY:
            self.line(span.run.queue).append(span.run.first // CLIENT_IDS, span)
        elif span.state is DELAYED:
            self._wait_for(span)
        elif span.state in FINAL:
            needed = unread or span.state is FAILED  # nobody could read it while there was no master
            self.kept.keep(span, now if needed else span.since, unread)

    def _move(self, span: Span, state: State, now: float) -> None:
        counts, n = self.counts[span.run.header.queue], span.hi - span.lo
        counts[span.state] -= n
        counts[state] += n
        span.state, span.since = state, now
        if span.run.changes is not None:
            span.run.changes.moved(span)

    def _wait_for(self, span: Span) -> None:
        self._serial += 1
        heapq.heappush(self._delayed, (span.due, self._serial, span))

    def _finish(self, span: Span, state: State, now: float) -> None:
        self._move(span, state, now)
        if state is not FAILED:
            self._is_through(span)
        client = self.clients[span.run.first // CLIENT_IDS]
        if client.plain and state is not FAILED:
            client.forget(span)
        elif client.plain or not client.connected:
            self.kept.keep(span, now, unread=not client.plain)
        else:
            self.deliver(client, span)
        if client.plain:
            self.signals.add(topics.IDLE)

    def _is_through(self, span: Span) -> None:
        """Nobody will run these tasks again: with the last of a run go its payload and its need of the function."""
        run = span.run
        run.open -= span.hi - span.lo
        if not run.open:
            run.payload = None
            if run.changes is not None:
                run.changes.through(run)
            if run.header.function:
                self.functions.release(run.header.function)

    def _isolate(self, span: Span, lo: int, hi: int) -> Span:
        """Take [lo, hi) out of a ready or delayed span, leaving what stands before and behind it where it was."""
        if lo > span.lo and hi < span.hi:
            behind = span.cut(hi, span.hi)
            if span.state is READY:
                self.line(span.run.queue).insert_after(span, behind)
            else:
                self._wait_for(behind)
        return span.cut(lo, hi)

    def note(
        self, span: Span, kind: str, now: float, seconds: float | None = None, reason: str | None = None,
        worker: str | None = None,
    ) -> None:  # fmt: skip
        """Remember an event of some tasks."""
        self.events.add(
            now, kind, span.run.header.queue, span.run.first + span.lo, span.hi - span.lo,
            span.worker if worker is None else worker, span.attempt, seconds=seconds, reason=reason,
        )  # fmt: skip

    # -- outcomes wait for their client -------------------------------------------------------------------------

    def deliver(self, client: Client, span: Span) -> None:
        """A final span waits for its client from now on."""
        client.serial += 1
        client.outbox.append((client.serial, span))
        client.unread += outcome_size(span)
        if client.unread > UNREAD_BYTES:
            self.blocked.add(client.number)
        self.signals.add(topics.results(client.number))

    def has_read(self, client: Client, size: int) -> None:
        """`size` bytes less wait for the client; its tasks go on if they were held back."""
        client.unread -= size
        if client.unread <= UNREAD_BYTES and client.number in self.blocked:
            self.blocked.remove(client.number)
            self.signals.update(line.news for line in self.lines.values())

    # -- time --------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: delayed tasks, results that nobody fetched, clients and functions that are not needed."""
        while self._delayed and self._delayed[0][0] <= now:
            span = heapq.heappop(self._delayed)[2]
            if span.state is DELAYED:
                self.make_ready(span, now)
        for span in self.kept.overdue(now):
            if span.state is FAILED:
                self._is_through(span)
            self.clients[span.run.first // CLIENT_IDS].forget(span)
        self.clients.forget(now)
        self.functions.trim()
