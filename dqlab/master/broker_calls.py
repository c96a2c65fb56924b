"""The broker as dqlab's own clients and workers see it: what a connected peer may call.

The object belongs to one connection (`Peer`), because a connection is what leases are bound to. The methods check what
arrives and hand it to the broker; decisions are the broker's.
"""

from __future__ import annotations

from typing import Any

from dqlab.broker.clients import Client
from dqlab.broker.events import Record, expand
from dqlab.broker.tasks import FINAL, Run, Span
from dqlab.broker.workers import Worker
from dqlab.errors import BadInput, Refused
from dqlab.master.peer import LONGEST_WAIT, Peer
from dqlab.master.waiting_calls import ANY, Wait
from dqlab.wire.connection import beside
from dqlab.wire.messages import KEPT, PLAIN, Outcome, check_queue
from dqlab.wire.plain_data import check_plain

__all__ = ["BrokerService"]


class BrokerService:
    """The broker: the calls of dqlab's own clients and workers."""

    exposed: tuple[str, ...] = (
        "about", "open_client", "reopen_client", "close_client", "submit", "collect", "cancel", "lookup", "stats",
        "events", "pause", "requeue", "failures", "stop_worker", "unfinished",
        "join", "control", "exchange", "leave",
    )  # fmt: skip

    def __init__(self, peer: Peer) -> None:
        self._peer, self._hub, self._broker = peer, peer.hub, peer.broker

    def about(self) -> dict[str, Any]:
        """Who answers: version, an id that no other master has, limits."""
        return self._peer.about

    # -- for clients ------------------------------------------------------------------------------------------------

    def open_client(self) -> tuple[int, int]:
        """The number of a new client, and its first task id."""
        client = self._hub.do(self._broker.open_client)
        return client.number, client.first

    def reopen_client(self, number: int, pending: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """The client is back and waits for these (first, count) tasks; return what of them is forgotten."""
        self._collects(number)
        return list(self._hub.do_now(self._broker.reopen_client, number, pending))

    def close_client(self, number: int) -> None:
        self._hub.do_now(self._broker.close_client, self._known(number).number)

    def _collects(self, number: int) -> None:
        client = self._peer.client = self._known(number)
        client.collector = id(self._peer)

    def _known(self, number: int) -> Client:
        client: Client = self._hub.do_now(self._broker.clients.find, number)
        return client

    def submit(self, number: int, functions: dict[str, bytes], runs: list[tuple[Any, ...]]) -> int:
        """Take in as many of the runs as the backlog holds, in order; return how many."""

        def take(now: float) -> int:
            self._broker.clients.find(number, now)
            self._broker.functions.add(functions)
            for i, fields in enumerate(runs):
                if fields[3] == PLAIN or fields[2] == PLAIN:
                    raise BadInput("queue 'plain' holds plain tasks only", "put them with master.tasks.put")
                if not self._broker.submit(number, Run(*fields), now):
                    return i
            return len(runs)

        return int(self._hub.do_now(take))

    def collect(self, number: int, ack: int, timeout: float) -> Wait:
        """What has finished of the client's tasks since serial ``ack``; waits up to ``timeout`` seconds for some."""
        self._collects(number)
        return Wait(
            (("results", number),),
            lambda now: self._broker.collect(number, ack),
            min(timeout, LONGEST_WAIT),
            lambda batch: [(serial, span.run.first, span.lo, span.hi, *_outcome(span)) for serial, span in batch],
        )

    def cancel(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Cancel what has not started of (first, count) ranges; return what was cancelled."""

        def cancel(now: float) -> list[tuple[int, int]]:
            return [done for first, count in ranges for done in self._broker.cancel(first, count, now)]

        return self._hub.do_now(cancel)

    def lookup(self, task: int, timeout: float = 0.0) -> Wait:
        """``(state, result or error, attempts, history, place in the result, tasks in it, kind)`` of a task.

        Waits up to ``timeout`` seconds for it to end.
        """

        def look(now: float) -> Span | None:
            span = self._broker.find(task)
            return span if span is None or span.state in FINAL else None

        def tell(span: Span | None) -> tuple[Any, ...]:
            span = span or self._broker.find(task)
            if span is None:
                raise Refused(f"the master knows no task {task}", KEPT)
            return (*_outcome(span), task - span.first, len(span), span.run.kind)

        return Wait((("events", None),), look, min(timeout, LONGEST_WAIT), tell)

    def stats(self) -> dict[str, Any]:
        stats = self._hub.do_now(self._broker.stats)
        return {**stats, "version": self._peer.about["version"]}

    def events(self, since: int, timeout: float = 0.0, expanded: bool = True, limit: int = 10_000) -> Wait:
        """Events after number ``since``, oldest first; waits up to ``timeout`` seconds for the first."""

        def tell(records: list[Record]) -> list[Any]:
            found = [record.as_dict() for record in records]
            return list(expand(found)) if expanded else found

        def attempt(now: float) -> list[Record]:
            return self._broker.events.since(since, limit)

        return Wait((("events", None),), attempt, min(timeout, LONGEST_WAIT), tell, long=True)

    def pause(self, name: str, paused: bool) -> None:
        self._hub.do_now(self._broker.pause, name, bool(paused))

    def requeue(self, name: str | None) -> int:
        if name is not None:
            check_queue(name)
        return int(self._hub.do_now(self._broker.requeue, name))

    def failures(self, limit: int) -> list[dict[str, Any]]:
        spans = self._hub.do(self._broker.failures, limit)
        return [
            {
                "task": span.first,
                "queue": span.run.queue,
                "attempts": span.attempt,
                "reason": span.result[3],
                "traceback": span.result[2],
                "history": [{"worker": worker, "reason": reason} for worker, reason in span.history],
            }
            for span in spans
        ]

    def stop_worker(self, name: str) -> None:
        self._hub.do(self._broker.stop_worker, name)

    def unfinished(self, queues: list[str] | None) -> int:
        return int(self._hub.do(self._broker.unfinished, queues))

    # -- for workers ------------------------------------------------------------------------------------------------

    def join(
        self, host: str, pid: int, queues: list[str] | None, handler: bool, name: str | None = None
    ) -> tuple[str, float]:
        """Join as a worker, for as long as this connection lives; return its name and the lease in seconds."""
        if self._peer.worker is not None:
            self._hub.do_now(self._broker.leave, self._peer.worker, "joined again")
        if not isinstance(host, str) or not isinstance(pid, int) or not isinstance(name, str | None):
            raise BadInput(f"host {host!r}, pid {pid!r}, name {name!r}")
        if not isinstance(queues, list | tuple | None):
            raise BadInput(f"queues {queues!r}", "a list of names, or None for every queue")
        chosen = tuple(queues) if queues is not None else None

        def join(now: float) -> Worker:
            return self._broker.join(host, pid, chosen, bool(handler), now, name)

        self._peer.worker = worker = self._hub.do_now(join)
        return worker.name, self._broker.lease_seconds

    def control(self, name: str) -> None:
        """Turn this connection into the worker's control line: heartbeats come in, commands go out, until it ends."""
        peer = self._peer
        worker = self._broker.workers.get(name)
        if worker is None:
            raise Refused(f"no worker {name!r} has joined")
        peer.send(("#RETURN", None))
        peer.controls.take(name, peer)
        peer.worker = worker
        while True:
            kind, value = peer.recv()
            if kind == "beat":
                peer.send(("beat", self._hub.do_now(self._broker.heartbeat, name)))
            elif kind == "outcomes":
                self._hub.do_now(self._broker.settle, name, _outcomes(value))
            elif kind == "stop":
                self._hub.do(self._broker.stop_worker, name)
            elif kind == "printed":
                self._hub.do_now(self._broker.printed, name, value)

    def exchange(self, outcomes: list[tuple[Any, ...]], timeout: float) -> Wait:
        """Here are my outcomes, give me more: leases, and the functions in them that are new to this worker.

        Waits up to ``timeout`` seconds for a task, unless the worker is to stop. None: the leases are lost, join again.
        """
        worker = self._peer.worker
        if worker is None:
            raise Refused("exchange before join")
        name, settled = worker.name, _outcomes(outcomes)

        def settle(now: float) -> None:
            self._broker.settle(name, settled, now)
            self._broker.heartbeat(name, now)

        def lease(now: float) -> Any:
            if self._broker.workers.get(name) is not worker:
                return "gone"
            grants = self._broker.lease(name, now)
            enough = grants or worker.stopping
            return (grants, self._broker.unseen_functions(name, grants)) if enough else None

        if outcomes:
            self._hub.do_now(settle)
        topics = (*(("ready", queue) for queue in worker.queues or (ANY,)), ("worker", name))
        return Wait(topics, lease, min(timeout, LONGEST_WAIT), _leased)

    def leave(self, reason: str) -> None:
        """The worker goes by its own will."""
        if self._peer.worker is not None:
            self._hub.do_now(self._broker.leave, self._peer.worker, str(reason))


def _outcome(span: Span) -> tuple[Any, ...]:
    """What a client is told: state, result or error, attempts, history."""
    return span.state.value, beside(span.result), span.attempt, list(span.history)


def _leased(reply: Any) -> tuple[list[Any], dict[str, bytes]] | None:
    """What a worker is told: leases and functions; None when it has lost its leases."""
    if reply == "gone":
        return None
    grants, functions = reply or ((), {})
    return [tuple(grant._replace(payload=beside(grant.payload))) for grant in grants], functions


def _outcomes(rows: list[tuple[Any, ...]]) -> list[Outcome]:
    """What a worker says, as the broker takes it."""
    outcomes = [Outcome(*row) for row in rows]
    # The results of plain tasks are lists of values, which plain scripts will be sent; all others are opaque bytes.
    check_plain([outcome.value for outcome in outcomes if isinstance(outcome.value, list)])
    return outcomes
