"""The broker: every task's state, and every decision about it. Pure: no sockets, no threads, no clock of its own.

    submit ──> ready ──lease──> leased ──ack──> done
                 ^  ^             │
                 │  └─ redelivery ┤ worker lost, lease expired        (attempt + 1)
              delayed <── nack ───┤ exception, retries left, back-off
                                  └── no attempts left ──> failed

The master calls one method at a time and passes the time in; what somebody may be waiting for is left in `signals`.
All leases of a worker share one deadline, which its heartbeat moves on. The first `settle` of a leased task decides
its outcome; whatever comes later, or without the lease, is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from dqlab.broker.batch_size import TARGET, Pace
from dqlab.broker.kept_outcomes import size_of
from dqlab.broker.plain_queues import PlainPair
from dqlab.broker.tasks import Span, State
from dqlab.broker.workers import Worker
from dqlab.errors import Refused
from dqlab.wire.messages import PLAIN, Grant, Outcome, check_queue

__all__ = ["Broker"]

#: bytes of payload in one answer (more only if one payload alone is larger)
GRANT_BYTES = 4 << 20
#: seconds: first back-off after an exception, and the longest
BACKOFF, BACKOFF_MAX = 0.1, 30.0


class Broker(PlainPair):
    """Owns the tasks and decides who is given which. ``lease`` in seconds; ``backlog`` is how many may wait in a queue.

    What clients ask for is in `Ledger`, what plain scripts do in `PlainPair`; here is all about workers.
    """

    def __init__(
        self, *, lease: float = 15.0, max_attempts: int = 3, backlog: int = 2_000_000, now: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(max_attempts, backlog, now)
        self.lease_seconds = lease
        self.workers: dict[str, Worker] = {}
        self._idle: dict[str, Worker] = {}  #: those that asked for tasks when there was none
        self.late = 0  #: outcomes dropped because their lease was gone
        self._pace = Pace()
        self._random = Random(seed)
        self._tokens = self._joined = 0

    # -- workers come and go -----------------------------------------------------------------------------------

    def join(
        self, host: str, pid: int, queues: tuple[str, ...] | None, handler: bool, now: float, name: str | None = None
    ) -> Worker:
        """A new worker. ``queues`` None means every queue; tasks of the plain one go only to who has a handler."""
        for queue in queues or ():
            check_queue(queue)
        while name is None or name in self.workers:
            self._joined += 1
            name = f"w{self._joined}"
        worker = Worker(name, host, pid, queues, handler, now)
        worker.deadline = now + self.lease_seconds
        self.workers[name] = worker
        self.events.add(now, "worker_joined", worker=name, host=host, pid=pid)
        return worker

    def heartbeat(self, name: str, now: float) -> bool:
        """Extend the worker's leases; False if it has lost them and must join again."""
        worker = self.workers.get(name)
        if worker:
            worker.deadline = now + self.lease_seconds
        return worker is not None

    def leave(self, worker: Worker, reason: str, now: float) -> None:
        """The worker is gone: what it held goes back."""
        if self.workers.get(worker.name) is not worker:
            return
        name = worker.name
        del self.workers[worker.name]
        self._idle.pop(worker.name, None)
        self.events.add(now, "worker_left", worker=name, host=worker.host, pid=worker.pid, reason=reason)
        for span in reversed(worker.leases.values()):
            self._lost(span, reason, now)

    def stop_worker(self, name: str) -> None:
        """Ask a worker to end after the task in hand."""
        if name not in self.workers:
            raise Refused(f"no worker {name!r}", f"there are {', '.join(self.workers) or 'none'}")
        self.workers[name].stopping = True
        self.signals.add(("worker", name))
        self._command(self.workers[name], ("stop",))

    def tick(self, now: float) -> None:
        """Do what is due: expired leases, and all that `Ledger.tick` does."""
        for worker in [w for w in self.workers.values() if w.deadline <= now]:
            self.leave(worker, f"no heartbeat for {self.lease_seconds:g} s", now)
        super().tick(now)
        self._reclaim(now)

    # -- leases go out -----------------------------------------------------------------------------------------

    def lease(self, name: str, now: float) -> list[Grant]:
        """Give the worker as much as it should hold now, which may be nothing."""
        worker = self.workers.get(name)
        if worker is None or worker.stopping:
            return []
        grants: list[Grant] = []
        if not worker.alone:
            self._lease_in_turn(worker, grants, now)
        worker.meter.busy(bool(worker.leases), now)
        if worker.leases:
            self._idle.pop(name, None)
        else:
            self._idle[name] = worker
        return grants

    def _lease_in_turn(self, worker: Worker, grants: list[Grant], now: float) -> None:
        """From queue to queue, beginning each time with another one, until one has to wait: it comes first next time.

        Giving from the queues behind it would fill the worker again and again, and its tasks might wait for ever.
        """
        names = [q for q in worker.queues or self._lines if q != PLAIN or worker.handler]
        for turn in range(worker.turn, worker.turn + len(names)):
            queue, before = names[turn % len(names)], len(grants)
            if queue not in self._lines or self._held_back(queue):
                continue
            if not self._lease_from(queue, worker, grants, now):
                worker.turn = turn if len(grants) == before else turn + 1
                return
        worker.turn += 1

    def _lease_from(self, queue: str, worker: Worker, grants: list[Grant], now: float) -> bool:
        """Give what the worker should have of one queue; False if nothing may follow it now."""
        if worker.leases and any(idle.serves(queue) for idle in self._idle.values() if idle is not worker):
            return True  # an idle worker comes before one that would keep it for later
        line, size = self._lines[queue], 0
        given: dict[tuple[str, str], int] = {}
        key, quota = ("", ""), 0
        while size < GRANT_BYTES and (turn := line.front(self._blocked)):
            client, span = turn
            # The last attempt is made alone, so that a task that kills its worker takes no neighbour with it.
            last = span.attempt + 1 >= span.run.max_attempts
            if last:
                quota = 0 if worker.leases else 1
            elif key != span.run.key:
                key = span.run.key
                quota = self._pace.quota(key, worker, given.get(key, 0), self.ready(queue), len(self.workers))
            if quota < 1:
                break
            span = line.take(client, quota)
            quota -= len(span)
            grant = self._grant(span, worker, now)
            size += size_of(grant.payload)
            grants.append(grant)
            if queue == PLAIN:
                self.signals.add(("plain room", None))
            if last:
                worker.alone = True
                return False
            given[key] = given.get(key, 0) + len(span)
        worker.batch.update(given)
        return bool(given) or turn is None

    def _grant(self, span: Span, worker: Worker, now: float) -> Grant:
        self._tokens += 1
        span.token, span.worker = self._tokens, worker.name
        span.attempt += 1
        self._move(span, State.LEASED, now)
        worker.take(span, now)
        run = span.run
        payload = worker.payload_for(run, span)
        self.events.add(
            now, "leased", queue=run.queue, task=span.first, count=len(span), worker=worker.name, attempt=span.attempt
        )
        careful = span.attempt >= run.max_attempts
        return Grant(
            span.token, run.first, span.lo, span.hi, run.queue, run.kind, run.function, payload, run.python,
            run.timeout, span.attempt, careful,
        )  # fmt: skip

    def unseen_functions(self, name: str, grants: list[Grant]) -> dict[str, bytes]:
        """The functions in the grants that the worker was not sent yet."""
        worker = self.workers[name]
        new = {g.function for g in grants if g.function and g.function not in worker.functions}
        worker.functions |= new
        return {digest: self.functions[digest] for digest in new}

    # -- outcomes come in --------------------------------------------------------------------------------------

    def settle(self, name: str, outcomes: Iterable[Outcome], now: float) -> None:
        """Take in what a worker says of its tasks, which begin or end a lease. What it has no lease for is dropped."""
        worker, outcomes = self.workers.get(name), list(outcomes)
        for outcome in outcomes:
            outcome.check()
        for outcome in outcomes:
            span = worker.leases.get(outcome.token) if worker else None
            if worker is None or span is None or not span.has_end(outcome.lo, outcome.hi):
                self._dropped(name, outcome, now)
            else:
                self._settle_one(worker, span, outcome, now)
        if worker:
            if any(outcome.kind != "released" for outcome in outcomes):
                worker.reported = now
            worker.meter.busy(bool(worker.leases), now)

    def _settle_one(self, worker: Worker, span: Span, outcome: Outcome, now: float) -> None:
        span = worker.give_back(span.cut(outcome.lo, outcome.hi))
        if outcome.kind == "done":
            worker.done += len(span)
            self._pace.learn(span, outcome.seconds)
            self._done(span, outcome, now)
        elif outcome.kind == "released":
            span.attempt -= 1
            self._note(span, "released", now)
            self._ready(span, now)
        elif outcome.kind == "lost":
            self._lost(span, "its process died with the result", now, counts=False)
        elif outcome.kind == "died":
            self._lost(span, outcome.value, now)
        else:
            self._raised(span, outcome, now)

    def _done(self, span: Span, outcome: Outcome, now: float) -> None:
        run = span.run
        if run.kind == "plain":
            for value in outcome.value:
                self.plain_result(value)
        span.result = None if run.kind == "plain" else outcome.value
        self._rate.add(len(span), now)
        self._latency.add(now - run.submitted, len(span))
        self._note(span, "done", now, seconds=outcome.seconds)
        self._finish(span, State.DONE, None, now)

    def _raised(self, span: Span, outcome: Outcome, now: float) -> None:
        """The task raised, or ran too long: again after a back-off, or failed."""
        summary = outcome.value[2]
        span.errors += 1
        span.ended_badly(span.worker or "", summary)
        # A task is delivered at least as often as its retries ask for.
        if span.errors > span.run.retries:
            span.result = (outcome.kind, *outcome.value)
            self._finish(span, State.FAILED, summary, now)
            return
        wait = min(BACKOFF_MAX, BACKOFF * 2 ** (span.errors - 1)) * self._random.uniform(0.5, 1.5)
        self._note(span, "delayed", now, seconds=wait, reason=summary)
        self._delay(span, wait, now)

    def _lost(self, span: Span, reason: str, now: float, counts: bool = True) -> None:
        """The lease ended without an outcome: another attempt, or failed."""
        worker, span.worker = span.worker or "", None
        if counts:
            span.deaths += 1
            span.ended_badly(worker, reason)
        if counts and span.attempt >= span.run.max_attempts:
            times = f" {span.deaths} times" if span.deaths > 1 else ""
            summary = f"worker died{times}: {reason}"
            span.result = ("lost", None, "", summary)
            self._finish(span, State.FAILED, summary, now, worker=worker)
            return
        self._redeliver(span, worker, reason, now)

    def _dropped(self, name: str, outcome: Outcome, now: float) -> None:
        if outcome.kind in ("released", "lost"):
            return
        self.late += outcome.hi - outcome.lo
        self.events.add(now, "duplicate", worker=name, count=outcome.hi - outcome.lo, reason="the lease was lost")

    def printed(self, name: str, lines: Iterable[tuple[int, str]], now: float) -> None:
        """What tasks on a worker printed."""
        for task, text in lines:
            self.events.add(now, "printed", task=task, worker=name, text=text)

    def refused(self, reason: str, now: float) -> None:
        """A peer asked for something that the master does not do."""
        self.events.add(now, "refused", reason=reason)

    # -- taking back what has not begun, for workers that have nothing to do -----------------------------------

    def _reclaim(self, now: float) -> None:
        """For each worker that has nothing to do, ask the one that holds most for what it has not begun."""
        idle = [worker for worker in self._idle.values() if not worker.stopping]
        rich = sorted((w for w in self.workers.values() if idle and w.could_give(now)), key=lambda w: w.holding)
        for worker in idle[: len(rich)]:
            victim = next((w for w in reversed(rich) if any(worker.serves(queue) for queue, _ in w.held)), None)
            if victim is not None:
                rich.remove(victim)
                victim.asked = now
                # Who has not reported for long sits on a long task: all behind it is free to go.
                self._command(victim, ("reclaim", 1.0 if now - victim.reported > TARGET else 0.5))

    def _command(self, worker: Worker, command: tuple[Any, ...]) -> None:
        worker.commands.append(command)
        self.signals.add(("command", worker.name))

    def stats(self, now: float) -> dict[str, Any]:
        """Counts by queue and by worker, throughput (tasks/s), latency (s): the shape of `dqlab status --json`."""
        workers = [worker.as_dict(now) for worker in self.workers.values()]
        return {**super().stats(now), "workers": workers, "late": self.late, "unmatched": self.unmatched}
