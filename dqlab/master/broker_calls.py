"""The broker as dqlab's own clients and workers see it: what a connected peer may call.

The object belongs to one connection (`Peer`), because a connection is what leases are bound to. What arrives was
checked against `dqlab.wire.methods`; the methods decode it and hand it to the broker, whose the decisions are.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from dqlab.broker import topics
from dqlab.broker.clients import Client
from dqlab.broker.events import Record, expand
from dqlab.broker.tasks import FINAL, Span
from dqlab.broker.workers import note_stuck
from dqlab.errors import Refused
from dqlab.master.peer import LONGEST_WAIT, Peer
from dqlab.master.told_spans import as_failed, as_finished, as_open, as_outcome
from dqlab.master.waiting_calls import Wait
from dqlab.wire import checks
from dqlab.wire.messages import KEPT, Found, Lease, NewTasks, Report
from dqlab.wire.plain_data import check_plain

__all__ = ["BrokerCalls"]

#: queues whose counts are read under one lock
QUEUES_AT_ONCE = 200
#: bytes of a client's token
TOKEN_BYTES = 32


class BrokerCalls:
    """The calls of dqlab's own clients and workers."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._waiting, self._broker = peer, peer.waiting, peer.broker

    # -- for anybody of dqlab's -------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Who answers: version, an id that no other master has, limits."""
        return self._peer.about

    def stats(self) -> dict[str, Any]:
        """Counts by queue, workers, throughput in tasks/s, latency in seconds."""
        stats = self._waiting.do_now(self._broker.other_stats)
        names = sorted(self._waiting.do(list, self._broker.states.counts))
        queues: dict[str, Any] = {}
        for i in range(0, len(names), QUEUES_AT_ONCE):  # who asks for ten thousand of them holds up nobody
            queues |= self._waiting.do(self._broker.queue_stats, names[i : i + QUEUES_AT_ONCE])
        if self._waiting.journal is not None:
            stats["journal"] = self._waiting.journal.stats()
        return {"queues": queues, **stats, "version": self._peer.about["version"]}

    def events(self, since: int, timeout: float = 0.0, expanded: bool = True, limit: int = 10_000) -> Wait:
        """Events after number `since`, oldest first; waits up to `timeout` seconds for the first."""

        def tell(records: list[Record]) -> list[Any]:
            found = [record.as_dict() for record in records]
            return list(expand(found)) if expanded else found

        def attempt(now: float) -> list[Record]:
            return self._broker.states.events.since(since, limit)

        return Wait((topics.EVENTS,), attempt, min(timeout, LONGEST_WAIT), tell, long=True, early=True)

    def lookup(self, task: int, timeout: float = 0.0) -> Wait:
        """What has become of a task (see `Found`); waits up to `timeout` seconds for it to end."""

        def look(now: float) -> Span | None:
            span = self._broker.find(task)
            return span if span is None or span.state in FINAL else None

        def tell(span: Span | None) -> tuple[Any, ...]:
            span = span or self._broker.find(task)
            if span is None:
                raise Refused(f"the master knows no task {task}", KEPT)
            index, count, kind = task - span.first, len(span), span.run.header.kind
            outcome = replace(as_outcome(span), printed=[shown for shown in span.printed if shown[1] == task])
            return Found(outcome=outcome, index=index, count=count, kind=kind).encode()

        return Wait((topics.EVENTS,), look, min(timeout, LONGEST_WAIT), tell)

    def failures(self, limit: int) -> Wait:
        """The last failed tasks, newest first."""
        return Wait((), lambda now: self._broker.failures(limit), 0.0, lambda spans: list(map(as_failed, spans)))

    def open_tasks(self, limit: int) -> list[dict[str, Any]]:
        """What has not ended, one dictionary a task, the oldest first."""
        now = self._waiting.now()
        spans = self._waiting.do(self._broker.open_spans, limit)
        told = (as_open(span, span.first + i, now) for span in spans for i in range(len(span)))
        return list(islice(told, limit))

    def unfinished(self, queues: list[str] | None) -> int:
        """Tasks that are ready, delayed or leased in some queues (None: in all)."""
        return int(self._waiting.do(self._broker.states.unfinished, queues))

    def pause(self, queue: str, paused: bool) -> Wait:
        """Stop, or go on, giving out the tasks of a queue."""
        return _change(self._broker.states.pause, queue, paused)

    def requeue(self, queue: str | None) -> Wait:
        """Make failed tasks ready again; return how many."""
        return _change(self._broker.requeue, queue)

    def stop_worker(self, name: str) -> None:
        """Ask a worker to end after the task in hand."""
        self._waiting.do(self._broker.leases.stop, name)

    # -- for clients ------------------------------------------------------------------------------------------------

    def stuck(self, name: str) -> None:
        """The client is in the task of worker `name`, and waits for another one, which no worker is free to do."""
        self._waiting.do(note_stuck, self._broker.leases.workers, name)

    def open_client(self) -> Wait:
        """Become a new client: its number, first task id, and the token by which it is known on other connections."""
        token = secrets.token_bytes(TOKEN_BYTES)

        def opened(now: float) -> tuple[int, int, bytes]:
            client = self._peer.client = self._broker.states.clients.open(token)
            return client.number, client.first, token

        return _change(opened)

    def reopen_client(self, pending: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """The client is back and waits for these (first, count) tasks; return what of them is forgotten."""
        client = self._client
        client.collector = id(self._peer)
        return list(self._waiting.do(self._broker.reopen_client, client, pending))

    def close_client(self) -> Wait:
        """The client goes in order."""
        client = self._client
        self._waiting.do_now(self._broker.close_client, client)
        return _change(self._broker.plain.close, client.number, self._peer.address)

    @property
    def _client(self) -> Client:
        if self._peer.client is None:
            raise Refused("this connection is no client's", "open_client first, or say the client's token")
        return self._peer.client

    def submit(self, functions: dict[str, bytes], runs: list[tuple[Any, ...]]) -> Wait:
        """Take in as many of the runs as the backlog holds, in order; return how many, and why no more if that is the
        journal's affair."""
        client, tasks = self._client, [NewTasks.decode(row) for row in runs]

        def take(now: float) -> tuple[int, str]:
            journal = self._waiting.journal
            if journal is not None and journal.full:
                return 0, journal.full
            self._broker.states.functions.add(functions)
            for i, new in enumerate(tasks):
                if not self._broker.submit(client, new, now):
                    return i, ""
            return len(tasks), ""

        return Wait((), take, 0.0, refusal=lambda why: (0, why))

    def collect(self, ack: int, timeout: float) -> Wait:
        """What has finished of the client's tasks since serial `ack`; waits up to `timeout` seconds for some."""
        client, seconds = self._client, min(timeout, LONGEST_WAIT)
        if client.collector not in (None, id(self._peer)):
            self._peer.cut_off()  # another connection collects by now; a client that still hears this one opens a third
        client.collector = client.collector or id(self._peer)

        def tell(batch: list[tuple[int, Span]]) -> list[tuple[Any, ...]]:
            return [as_finished(serial, span).encode() for serial, span in batch]

        return Wait((topics.results(client.number),), lambda now: self._broker.collect(client, ack), seconds, tell)

    def cancel(self, ranges: list[tuple[int, int]]) -> Wait:
        """Cancel what has not started of (first, count) ranges; return what was cancelled."""
        return _change(lambda now: [done for first, n in ranges for done in self._broker.cancel(first, n, now)])

    # -- for workers ------------------------------------------------------------------------------------------------

    def join(
        self, host: str, pid: int, queues: list[str] | None, handler: bool, name: str | None = None, python: str = ""
    ) -> tuple[str, float, str]:
        """Join as a worker, for as long as this connection lives; return its name, the lease in seconds, and how
        results are to travel."""
        if self._peer.worker is not None:
            self._waiting.do_now(self._broker.leases.leave, self._peer.worker, "joined again")
        chosen = tuple(queues) if queues is not None else None
        join = partial(self._broker.leases.join, host, pid, chosen, handler, name=name, python=python)
        self._peer.worker = worker = self._waiting.do_now(join)
        return worker.name, self._broker.leases.seconds, self._peer.about["results"]

    def control(self, name: str) -> None:
        """Turn this connection into the worker's control line: heartbeats come in, commands go out, until it ends."""
        peer, leases = self._peer, self._broker.leases
        worker = leases.workers.get(name)
        if worker is None:
            raise Refused(f"no worker {name!r} has joined")
        peer.send(("#RETURN", None))
        peer.controls.take(name, peer)
        peer.worker = worker
        while True:
            kind, value = peer.recv()
            if kind == "beat":
                peer.send(("beat", self._waiting.do_now(leases.heartbeat, name)))
            elif kind == "stop":
                self._waiting.do(leases.stop, name)
            elif kind == "printed":
                checks.PRINTED("printed", value)
                self._waiting.do_now(leases.printed, name, value)

    def exchange(self, reports: list[tuple[Any, ...]], timeout: float) -> Wait:
        """Here are my reports, give me more: leases, and the functions in them that are new to this worker.

        Waits up to `timeout` seconds for a task, unless the worker is to stop. None: the leases are lost, join again.
        """
        worker, leases = self._peer.worker, self._broker.leases
        if worker is None:
            raise Refused("exchange before join")
        name, settled = worker.name, _reports(reports)

        def settle(now: float) -> None:
            leases.settle(name, settled, now)
            leases.heartbeat(name, now)

        def lease(now: float) -> Any:
            if leases.workers.get(name) is not worker:
                return "gone"
            given = leases.lease(name, now)
            return (given, leases.unseen_functions(name, given)) if given or worker.stopping else None

        if reports:
            self._waiting.do_now(settle)
        return Wait(worker.news, lease, min(timeout, LONGEST_WAIT), _leased, early=True)

    def leave(self, reason: str) -> None:
        """The worker goes by its own will."""
        if self._peer.worker is not None:
            self._waiting.do_now(self._broker.leases.leave, self._peer.worker, reason)


def _change(method: Callable[..., Any], *args: Any) -> Wait:
    """A call that changes something by `method(*args, now)`, and has nothing to wait for but the journal."""
    return Wait((), partial(method, *args), 0.0)


def _leased(reply: Any) -> tuple[list[Any], dict[str, bytes]] | None:
    """What a worker is told: leases and functions; None when it has lost its leases."""
    if reply == "gone":
        return None
    leases: tuple[list[Lease], dict[str, bytes]] = reply or ([], {})
    return [lease.encode() for lease in leases[0]], leases[1]


def _reports(rows: list[tuple[Any, ...]]) -> list[Report]:
    """What a worker says, as the broker takes it."""
    reports = [Report.decode(row) for row in rows]
    # The results of plain tasks are lists of values, which plain scripts will be sent; all others are opaque bytes.
    check_plain([report.value for report in reports if isinstance(report.value, list)])
    return reports
