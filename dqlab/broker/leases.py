"""Leases: which worker is given what, for how long, and what its reports decide. Pure.

    join ──> lease ──> settle (its reports) ──> lease ... ──> leave
                └─ heartbeat moves the deadline on; without one the leases end, and their tasks are ready again

All leases of a worker share one deadline. The first report of a leased task decides what becomes of it; whatever comes
later, or without the lease, is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from dqlab.broker import topics
from dqlab.broker.batch_size import TARGET, BatchSize
from dqlab.broker.kept_outcomes import size_of
from dqlab.broker.plain_queues import PlainQueues
from dqlab.broker.printed import more
from dqlab.broker.report_check import check_report
from dqlab.broker.states import States
from dqlab.broker.tasks import Span
from dqlab.broker.workers import Worker
from dqlab.errors import Refused
from dqlab.wire.messages import PLAIN, Failure, Lease, Report

__all__ = ["Leases"]

#: bytes of payload in one answer (more only if one payload alone is larger)
LEASE_BYTES = 4 << 20
#: seconds between two looks at the leases from which on the machine was paused, or too busy to hear anybody
STOOD_STILL = 1.5
#: seconds: first back-off after an exception, and the longest
BACKOFF, BACKOFF_MAX = 0.1, 30.0


class Leases:
    """The workers, and what each holds. `seconds` is how long a lease lasts without a heartbeat."""

    def __init__(self, states: States, plain: PlainQueues, seconds: float, seed: int, now: float) -> None:
        self.seconds = seconds
        self.workers: dict[str, Worker] = {}
        self.late = 0  #: reports dropped because their lease was gone
        self._states, self._plain = states, plain
        self._idle: dict[str, Worker] = {}  #: those that asked for tasks when there was none
        self._batch_size = BatchSize()
        self._random = Random(seed)
        self.tokens = 0  #: the last lease's number
        self._joined = 0
        self._looked = now  #: when leases were last looked at

    # -- workers come and go -----------------------------------------------------------------------------------

    def join(
        self, host: str, pid: int, queues: tuple[str, ...] | None, handler: bool, now: float, name: str | None = None,
        python: str = "",
    ) -> Worker:  # fmt: skip
        """A new worker. `queues` None means every queue; tasks of the plain one go only to who has a handler, those
        that only one Python can read to whose `python` that is."""
        while name is None or name in self.workers:
            self._joined += 1
            name = f"w{self._joined}"
        worker = Worker(name, host, pid, queues, handler, now, python)
        worker.deadline = now + self.seconds
        self.workers[name] = worker
        self._states.events.add(now, "worker_joined", worker=name, host=host, pid=pid)
        return worker

    def heartbeat(self, name: str, now: float) -> bool:
        """Extend the worker's leases; False if it has lost them and must join again."""
        worker = self.workers.get(name)
        if worker:
            worker.deadline = now + self.seconds
        return worker is not None

    def leave(self, worker: Worker, reason: str, now: float) -> None:
        """The worker is gone: what it held goes back."""
        if self.workers.get(worker.name) is not worker:
            return
        name = worker.name
        del self.workers[name]
        self._idle.pop(name, None)
        self._states.events.add(now, "worker_left", worker=name, host=worker.host, pid=worker.pid, reason=reason)
        for span in reversed(worker.leases.values()):
            self._lost(span, reason, now)

    def stop(self, name: str) -> None:
        """Ask a worker to end after the task in hand."""
        if name not in self.workers:
            raise Refused(f"no worker {name!r}", f"there are {', '.join(self.workers) or 'none'}")
        self.workers[name].stopping = True
        self._states.signals.add(topics.stopping(name))
        self._command(self.workers[name], ("stop",))

    def expire(self, now: float) -> None:
        """End the leases of workers that have been silent for too long; to be called several times a second.

        When the last call is long ago the whole machine stood still, heartbeats too: everybody has one more lease.
        """
        if now - self._looked > STOOD_STILL:
            for worker in self.workers.values():
                worker.deadline = now + self.seconds
        self._looked = now
        for worker in [w for w in self.workers.values() if w.deadline <= now]:
            self.leave(worker, f"no heartbeat for {self.seconds:g} s", now)

    # -- leases go out -----------------------------------------------------------------------------------------

    def lease(self, name: str, now: float) -> list[Lease]:
        """Give the worker as much as it should hold now, which may be nothing."""
        worker = self.workers.get(name)
        if worker is None or worker.stopping:
            return []
        given: list[Lease] = []
        if not worker.alone:
            self._lease_in_turn(worker, given, now)
        worker.meter.busy(bool(worker.leases), now)
        if worker.leases:
            self._idle.pop(name, None)
        else:
            self._idle[name] = worker
        return given

    def _lease_in_turn(self, worker: Worker, given: list[Lease], now: float) -> None:
        """From queue to queue, beginning each time with another one, until one has to wait: it comes first next time.

        Giving from the queues behind it would fill the worker again and again, and its tasks might wait for ever.
        """
        lines = self._states.lines
        names = [q for q in worker.queues or lines if q != PLAIN or worker.handler]
        for turn in range(worker.turn, worker.turn + len(names)):
            queue, before = names[turn % len(names)], len(given)
            line = lines.get(queue)
            if line is None or not line.waiting or line.paused or (queue == PLAIN and self._plain.held_back):
                continue
            if not self._lease_from(queue, worker, given, now):
                worker.turn = turn if len(given) == before else turn + 1
                return
        worker.turn += 1

    def _lease_from(self, queue: str, worker: Worker, leases: list[Lease], now: float) -> bool:
        """Give what the worker should have of one queue; False if nothing may follow it now."""
        states = self._states
        line, size = states.lines[queue], 0
        idle = (other for other in self._idle.values() if other is not worker and other.serves(queue))
        if worker.leases and any(line.front(states.blocked, other.python) for other in idle):
            return True  # an idle worker comes before one that would keep it for later
        given: dict[tuple[str, str], int] = {}
        key, quota = ("", ""), 0
        while size < LEASE_BYTES and (turn := line.front(states.blocked, worker.python)):
            client, span = turn
            # The last attempt is made alone, so that a task that kills its worker takes no neighbour with it.
            alone = span.suspect or span.attempt + 1 >= span.run.max_attempts
            if alone:
                quota = 0 if worker.leases else 1
            elif key != span.run.header.key:
                key = span.run.header.key
                ready, workers = states.ready_in(queue), len(self.workers)
                quota = self._batch_size.quota(key, worker, given.get(key, 0), ready, workers)
            if quota < 1:
                break
            span = line.take(client, quota, span.run.header.python)
            quota -= len(span)
            try:
                lease = self._give(span, worker, now)
            except Exception as exc:  # this one ends by it, the others go on
                states.take_out(span, exc, now)
                continue
            size += size_of(lease.payload)
            leases.append(lease)
            if queue == PLAIN:
                states.signals.add(topics.ROOM)
            if alone:
                worker.alone = True
                return False
            given[key] = given.get(key, 0) + len(span)
        worker.batch.update(given)
        return bool(given) or turn is None

    def _give(self, span: Span, worker: Worker, now: float) -> Lease:
        run, token, attempt = span.run, self.tokens + 1, span.attempt + 1
        lease = Lease(
            token=token, first=run.first, lo=span.lo, hi=span.hi, attempt=attempt,
            careful=span.suspect or attempt >= run.max_attempts, header=run.header,
            payload=worker.payload_for(run, span),
        )  # fmt: skip
        self.tokens = span.token = token
        self._states.lease(span, worker.name, now)
        worker.take(span, now)
        return lease

    def unseen_functions(self, name: str, leases: list[Lease]) -> dict[str, bytes]:
        """The functions in the leases that the worker was not sent yet, or has forgotten since."""
        known, unseen = self.workers[name].functions, {}
        for digest in (lease.header.function for lease in leases):
            if digest and not known.use(digest):
                unseen[digest] = pickled = self._states.functions[digest]
                known.keep(digest, None, len(pickled))
        return unseen

    # -- reports come in ---------------------------------------------------------------------------------------

    def settle(self, name: str, reports: Iterable[Report], now: float) -> None:
        """Take in what a worker says of its tasks, which begin or end a lease. What it has no lease for is dropped."""
        worker, reports = self.workers.get(name), list(reports)
        for report in reports:
            if worker is not None and report.token in worker.leases:
                check_report(worker.leases[report.token], report)
        for report in reports:
            span = worker.leases.get(report.token) if worker else None
            if worker is None or span is None or not span.has_end(report.lo, report.hi):
                self._dropped(name, report, now)
            else:
                self._settle_one(worker, span, report, now)
        if worker:
            if any(report.kind != "released" for report in reports):
                worker.reported = now
            worker.meter.busy(bool(worker.leases), now)

    def _settle_one(self, worker: Worker, span: Span, report: Report, now: float) -> None:
        span = worker.give_back(span.cut(report.lo, report.hi))
        if report.printed and span.run.queue != PLAIN:  # whose client is a script, and has no use for it
            span.printed = more(span.printed, worker.name, report.printed)
        if report.kind == "done":
            worker.done += len(span)
            self._batch_size.learn(span, report.seconds)
            self._done(span, report, now)
        elif report.kind == "released":
            span.attempt -= 1
            self._states.note(span, "released", now)
            self._states.make_ready(span, now)
        elif report.kind == "lost":
            self._lost(span, "its process died with the result", now, counts=False)
        elif report.kind == "died":
            span.suspect = len(span) > 1
            self._lost(span, report.value, now)
        else:
            self._raised(span, report.value, now)

    def _done(self, span: Span, report: Report, now: float) -> None:
        plain = span.run.queue == PLAIN
        if plain:
            self._plain.add_results(report.value)
        self._states.done(span, None if plain else report.value, report.seconds, now)

    def _raised(self, span: Span, failure: Failure, now: float) -> None:
        """The task raised, or ran too long: again after a back-off, or failed."""
        span.errors += 1
        span.ended_badly(span.worker or "", failure.summary)
        # A task is delivered at least as often as its retries ask for.
        if span.errors > span.run.header.retries:
            self._states.fail(span, failure, now)
            return
        full = min(BACKOFF_MAX, BACKOFF * 2 ** min(span.errors - 1, 20))
        self._states.delay(span, full * self._random.uniform(0.5, 1.5), failure.summary, now)

    def _lost(self, span: Span, reason: str, now: float, counts: bool = True) -> None:
        """The lease ended without an outcome: another attempt, or failed."""
        worker, span.worker = span.worker or "", None
        if counts:
            span.deaths += 1
            span.ended_badly(worker, reason)
        if counts and span.attempt >= span.run.max_attempts:
            times = f" {span.deaths} times" if span.deaths > 1 else ""
            self._states.fail(span, Failure(kind="lost", summary=f"worker died{times}: {reason}"), now, worker)
            return
        self._states.redeliver(span, worker, reason, now)

    def _dropped(self, name: str, report: Report, now: float) -> None:
        if report.kind in ("released", "lost"):
            return
        count = report.hi - report.lo
        self.late += count
        self._states.events.add(now, "duplicate", worker=name, count=count, reason="the lease was lost")

    def printed(self, name: str, lines: Iterable[tuple[int, str]], now: float) -> None:
        """What tasks on a worker printed."""
        for task, text in lines:
            self._states.events.add(now, "printed", task=task, worker=name, text=text)

    # -- taking back what has not begun, for workers that have nothing to do -----------------------------------

    def reclaim(self, now: float) -> None:
        """For each worker that has nothing to do, ask the one that holds most for what it has not begun."""
        idle = [worker for worker in self._idle.values() if not worker.stopping]
        rich = sorted((w for w in self.workers.values() if idle and w.could_give(now)), key=lambda w: w.holding)
        for worker in idle[: len(rich)]:
            victim = next((w for w in reversed(rich) if any(map(worker.could_do, w.leases.values()))), None)
            if victim is not None:
                rich.remove(victim)
                victim.asked = now
                # Who has not reported for long sits on a long task: all behind it is free to go.
                self._command(victim, ("reclaim", 1.0 if now - victim.reported > TARGET else 0.5))

    def _command(self, worker: Worker, command: tuple[Any, ...]) -> None:
        worker.commands.append(command)
        self._states.signals.add(topics.commands(worker.name))
