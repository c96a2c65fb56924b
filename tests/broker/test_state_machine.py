"""The broker against a model of it: hypothesis calls any operation in any order, and after each one both must agree.

At the end of every story a new worker does all that is left, so nothing may have been lost on the way.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from dqlab.broker import topics
from dqlab.broker.broker import Broker
from dqlab.broker.clients import Client
from dqlab.broker.events import expand
from dqlab.broker.plain_queues import OWED_SECONDS
from dqlab.broker.revival import DIED, LIVES, revive
from dqlab.broker.topics import Topic
from dqlab.errors import BadInput
from dqlab.master.journal_tables import SCHEMA, apply_batch, read_remains
from dqlab.wire.messages import PAYLOADS_HELD, PLAIN, Failure, Header, Lease, NewTasks, Report
from dqlab.wire.methods import Misused
from tests.broker.model import Model, Replay, Task

LEASE = 10.0
BACKLOG = 60
QUEUES = ("default", "images")
#: One function for each queue, so that the broker soon knows how long its tasks take.
FUNCTIONS = {"default": "f", "images": "g"}
#: A result of which two are more than may wait for one client; one object, so it costs no memory.
BIG = bytes(40 << 20)
UNREAD = 64 << 20
#: How often BIG may come: not so often that the shelf is full.
BIGS = 5


@dataclass
class Held:
    """What a worker still holds of a lease."""

    worker: str
    token: int
    first: int
    lo: int
    hi: int

    def numbers(self, lo: int, hi: int) -> range:
        return range(self.first + lo, self.first + hi)


class FakeWorker:
    """What a worker remembers."""

    def __init__(self, entry, queues, handler, now: float) -> None:
        self.entry, self.queues, self.handler = entry, queues, handler
        self.deadline = now + LEASE
        self.held: dict[int, Held] = {}
        self.payloads: OrderedDict[int, bytes] = OrderedDict()
        self.functions: set[str] = set()
        self.stopping = False


def new(
    first: int, count: int, payload: bytes, queue: str, retries: int = 0, timeout: float | None = None, most: int = 3
) -> NewTasks:
    """Tasks as a client sends them."""
    function = FUNCTIONS.get(queue, "f")
    header = Header(queue=queue, kind="map", function=function, retries=retries, timeout=timeout, max_attempts=most)
    return NewTasks(first=first, count=count, header=header, payload=payload)


class BrokerMachine(RuleBasedStateMachine):
    clients = Bundle("clients")
    workers = Bundle("workers")
    late = Bundle("late")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.broker = Broker(lease=LEASE, max_attempts=2, backlog=BACKLOG, now=self.now)
        self.broker.states.functions.update({name: name.encode() for name in FUNCTIONS.values()})
        self.model, self.replay = Model(), Replay()
        self.seen = self.life = 0  # the last event; how often the master died
        self.last_time = 0.0
        self.due: dict[int, float] = {}
        self.runs: dict[int, list[NewTasks]] = {}  # by client
        self.acks: dict[int, int] = {}
        self.received: dict[int, set[int]] = {}  # by client, its tasks whose present end it knows
        self.paused: set[str] = set()
        self.fleet: dict[str, FakeWorker] = {}
        self.holders: dict[str, list[Task]] = {}  # by connection, which is its own address here
        self.owed: dict[str, list[tuple[float, Task]]] = {}
        self.loose: dict[str, int] = {}  # answers that settled nothing
        self.answered: set[str] = set()
        self.count_done: set[str] = set()  # connections that say `task_done`
        self.possible: set[Topic] = set()
        self.next_value = 0
        self.plain_results: list[object] = []
        self.bigs = 0
        self.possible = set(self.what_is_possible())
        self.journal = sqlite3.connect(":memory:", isolation_level=None)
        self.journal.executescript(SCHEMA)
        self.changes = self.broker.keep_changes()
        self.before: set[int] = set()  # tasks that were done in an earlier life

    # -- the master dies -----------------------------------------------------------------------------------------

    @rule()
    def write(self):
        """The journal is written: what changes from now on goes into another transaction."""
        apply_batch(self.journal, self.changes.take())
        assert not self.changes

    @rule()
    def die_and_come_back(self):
        """Another broker is made of what is written: all is as it was, but for leases."""
        self.write()
        remains = read_remains(self.journal)
        self.life += 1
        remains.life = self.life
        self.broker = Broker(lease=LEASE, max_attempts=2, backlog=BACKLOG, now=self.now)
        self.changes = revive(self.broker, remains, self.now)
        self.broker.states.functions.add({name: name.encode() for name in FUNCTIONS.values()})
        self.model.master_died()
        self.seen, self.replay.seen["duplicate"] = self.life * LIVES, 0
        self.before = {task.number for task in self.model.among("done")}
        for gone in (self.fleet, self.holders, self.owed, self.loose, self.answered, self.count_done):
            gone.clear()
        self.possible = set(self.what_is_possible())

    # -- clients -------------------------------------------------------------------------------------------------

    @initialize(target=clients)
    def first_client(self):
        return self.open_a_client()

    @initialize(target=workers)
    def first_worker(self):
        """A worker that has shown how long the tasks take, so that it gets several at once from now on."""
        teacher, name = self.open_a_client(), self.join(None, True, None)
        for queue in QUEUES:
            self.submit_run(teacher, queue, 20, 0, None, 3)
            while self.take_leases(name):
                for held in list(self.fleet[name].held.values()):
                    self.say(held, "done", held.lo, held.hi, b"results")
        return name

    @rule(target=clients)
    @precondition(lambda self: len(self.runs) < 4)
    def open_client(self):
        return self.open_a_client()

    def open_a_client(self) -> int:
        client = self.broker.states.clients.open()
        assert client.number not in self.runs
        self.runs[client.number], self.received[client.number] = [], set()
        self.acks[client.number] = 0
        self.model.connected[client.number] = True
        return client.number

    @rule(
        number=clients,
        queue=st.sampled_from(QUEUES),
        count=st.one_of(st.just(1), st.integers(1, 25)),
        retries=st.integers(0, 2),
        timeout=st.sampled_from([None, 5.0]),
        max_attempts=st.integers(1, 3),
    )
    def submit(self, number, queue, count, retries, timeout, max_attempts):
        self.submit_run(number, queue, count, retries, timeout, max_attempts)

    def client(self, number: int) -> Client:
        """The client with this number."""
        return self.broker.states.clients[number]

    def submit_run(self, number: int, queue: str, count: int, retries: int, timeout: float | None, max_attempts: int):
        client = self.client(number)
        first = max(client.last + 1, client.first)
        run = new(first, count, b"items of %d" % first, queue, retries, timeout, max_attempts)
        counts = self.model.counts(queue)
        fits = counts["ready"] + counts["delayed"] + count <= BACKLOG
        assert self.broker.submit(client, run, self.now) is fits
        if fits:
            self.runs[number].append(run)
            for task in range(first, first + count):
                self.model.tasks[task] = Task(task, queue, number, retries, max_attempts, run.payload)

    @rule(number=clients, data=st.data())
    def submit_again(self, number, data):
        """The answer was lost, so the client repeats itself."""
        if self.runs[number]:
            run = data.draw(st.sampled_from(self.runs[number]))
            payload = self.model.tasks[run.first].payload  # the broker's own may be gone with the last of the tasks
            assert self.broker.submit(self.client(number), replace(run, payload=payload), self.now) is True

    @rule(number=clients, queue=st.sampled_from(["", "a b", "x" * 65]))
    def submit_nonsense(self, number, queue):
        with pytest.raises(BadInput):
            self.broker.submit(self.client(number), new(self.client(number).last + 1, 1, b"", queue), self.now)

    @rule(data=st.data())
    @precondition(lambda self: self.model.tasks)
    def cancel(self, data):
        first = data.draw(st.sampled_from(sorted(self.model.tasks)), label="first")
        count = data.draw(st.integers(1, 12), label="count")
        tasks = [task for number, task in self.model.tasks.items() if first <= number < first + count]
        cancelled = self.broker.cancel(first, count, self.now)
        told = [number for start, n in cancelled for number in range(start, start + n)]
        assert len(told) == len(set(told))
        assert set(told) == self.model.cancel(tasks)

    @rule(number=clients, forget=st.booleans())
    def collect(self, number, forget):
        """Fetch results; ``forget``: the answer gets lost, so nothing of it will be acknowledged."""
        batch = self.broker.collect(self.client(number), self.acks[number])
        for task in self.model.outbox(number):  # what the acknowledgement was about
            if task.handed:
                task.place = "shelf"
        serials = [serial for serial, _ in batch]
        assert serials == sorted(set(serials)) and all(serial > self.acks[number] for serial in serials)
        told = [task for _, span in batch for task in range(span.first, span.first + len(span))]
        assert len(told) == len(set(told)), "one outcome came twice"
        waiting = {task.number: task.size for task in self.model.outbox(number)}
        assert set(told) <= set(waiting), "an outcome came again"
        assert set(told) == set(waiting) or sum(waiting[n] for n in told) > 8 << 20, "an outcome did not come"
        for _, span in batch:
            assert span.state.value == self.model.tasks[span.first].state
        if not forget and batch:
            self.acks[number] = serials[-1]
            self.received[number].update(told)
            for task in told:
                self.model.tasks[task].handed = True

    @rule(number=clients)
    def close_client(self, number):
        self.broker.close_client(self.client(number), self.now)
        self.model.close(number)

    @rule(number=clients)
    def reopen_client(self, number):
        """The client comes back and says which runs it has not everything of."""
        missing = [
            (run.first, run.count)
            for run in self.runs[number]
            if not self.received[number].issuperset(range(run.first, run.first + run.count))
        ]
        assert self.broker.reopen_client(self.client(number), missing) == []
        self.model.reopen(number, missing)

    @rule(queue=st.sampled_from([None, *QUEUES, PLAIN]))
    def requeue(self, queue):
        failed = {task.number for task in self.model.among("failed") if queue in (None, task.queue)}
        for known in self.received.values():
            known -= failed
        assert self.broker.requeue(queue, self.now) == self.model.requeue(queue)

    # -- plain scripts -------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 5))
    def plain_put(self, count):
        values = [f"url_{self.next_value + i}" for i in range(count)]
        self.next_value += count
        counts = self.model.counts(PLAIN)
        if counts["ready"] + counts["delayed"] + count > BACKLOG:
            assert self.broker.plain.put(values, self.now) is False
            return
        assert self.broker.plain.put(values, self.now) is True
        (client,) = (c for c in self.broker.states.clients.values() if c.plain)
        self.model.connected[client.number] = True
        for number, value in zip(range(client.last + 1 - count, client.last + 1), values, strict=True):
            # Two attempts by workers with a handler; a connection may take and lose it for ever.
            self.model.tasks[number] = Task(number, PLAIN, client.number, 1, 2, value)

    @rule(holder=st.sampled_from(["a", "b"]))
    def plain_get(self, holder):
        ready = {task.payload: task for task in self.model.among("ready") if task.queue == PLAIN}
        found = self.broker.plain.get(holder, holder, self.now)
        if PLAIN in self.paused or not ready or len(self.plain_results) >= BACKLOG:
            assert found == []
            return
        (value,) = found
        self.model.lease(ready[value], "")
        self.holders.setdefault(holder, []).append(ready[value])

    @rule(holder=st.sampled_from(["a", "b"]))
    def plain_task_done(self, holder):
        told = self.broker.plain.told_done
        try:
            self.broker.plain.task_done(holder, self.now)
        except Misused:  # never while there is a value of which nobody has said it
            assert told >= sum(task.queue == PLAIN for task in self.model.tasks.values())
            return
        if holder in self.holders:
            self.count_done.add(holder)
            if self.holders[holder]:
                self.model.done(self.holders[holder].pop(0), 0)

    @rule(holder=st.sampled_from(["a", "b"]))
    def plain_killed(self, holder):
        """The connection ends without a word before it."""
        self.time_passes(2.0)
        self.broker.plain.hang_up(holder, self.now)
        self.count_done.discard(holder)
        for task in self.holders.pop(holder, []):
            self.model.hung_up(task)

    @rule(holder=st.sampled_from(["a", "b"]))
    def plain_let_go(self, holder):
        """The connection ends in order: what it held was answered elsewhere, or is owed, or was only consumed."""
        self.broker.plain.decref(holder, self.now)
        self.broker.plain.hang_up(holder, self.now)
        self.count_done.discard(holder)
        held = self.holders.pop(holder, [])
        loose = min(self.loose.get(holder, 0), len(held))
        self.loose[holder] = self.loose.get(holder, 0) - loose
        consumer = len(held) - loose > 1 and holder not in self.answered
        for task in held[: len(held) if consumer else loose]:
            self.model.done(task, 0)
        if not consumer:
            self.owed.setdefault(holder, []).extend((self.now + OWED_SECONDS, task) for task in held[loose:])

    @rule(holder=st.sampled_from(["a", "b"]), count=st.integers(1, 25))
    def plain_answer(self, holder, count):
        """What `result.put` does: it settles the oldest in hand, or owed, or it belongs to none and needs room."""
        settles = bool(self.holders.get(holder)) or bool(self.owed.get(holder))
        room = settles or not self.plain_results or len(self.plain_results) + count <= BACKLOG
        values = list(range(count))
        assert self.broker.plain.answer(holder, holder, values, self.now) is room
        if not room:
            return
        self.plain_results += values
        self.answered.add(holder)
        for _ in values:
            if holder in self.count_done:
                continue
            if self.holders.get(holder):
                self.model.done(self.holders[holder].pop(0), 0)
            elif self.owed.get(holder):
                self.model.done(self.owed[holder].pop(0)[1], 0)
            else:
                self.loose[holder] = self.loose.get(holder, 0) + 1

    @rule(count=st.integers(1, 60))
    def plain_take(self, count):
        for _ in range(count):
            expected, self.plain_results = self.plain_results[:1], self.plain_results[1:]
            assert self.broker.plain.take_result() == expected

    # -- queues and time -----------------------------------------------------------------------------------------

    @rule(queue=st.sampled_from([*QUEUES, PLAIN]))
    def pause_or_resume(self, queue):
        self.paused ^= {queue}
        self.broker.states.pause(queue, queue in self.paused, self.now)

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.2, 1.0, 4.0, LEASE + 1, OWED_SECONDS + 1]))
    def time_passes(self, seconds):
        for _ in range(int(seconds)):  # as the master does it, which looks every now and then at what is due
            self.now += 1.0
            self.broker.tick(self.now)
        self.now += seconds % 1.0
        self.broker.tick(self.now)
        for name in [name for name, worker in self.fleet.items() if worker.deadline <= self.now]:
            self.gone(name, f"no heartbeat for {LEASE:g} s")
        for task in self.model.among("delayed"):
            if self.due[task.number] <= self.now:
                task.state = "ready"
        for owed in self.owed.values():
            while owed and owed[0][0] <= self.now:
                self.model.unanswered(owed.pop(0)[1])

    # -- workers -------------------------------------------------------------------------------------------------

    @rule(
        target=workers,
        queues=st.sampled_from([None, None, ("default",), ("images", "plain")]),
        handler=st.booleans(),
        name=st.sampled_from([None, "w1", "mine"]),
    )
    def join(self, queues, handler, name):
        worker = self.broker.leases.join("host", 17, queues, handler, self.now, name)
        assert worker.name not in self.fleet
        assert worker.name == name or name is None or name in self.fleet
        self.fleet[worker.name] = FakeWorker(worker, queues, handler, self.now)
        return worker.name

    @rule(name=workers)
    def heartbeat(self, name):
        assert self.broker.leases.heartbeat(name, self.now) is (name in self.fleet)
        if name in self.fleet:
            self.fleet[name].deadline = self.now + LEASE

    @rule(target=late, name=consumes(workers))
    def leave(self, name):
        if name not in self.fleet:
            return multiple()
        held = list(self.fleet[name].held.values())
        self.broker.leases.leave(self.fleet[name].entry, "its connection ended", self.now)
        self.gone(name, "its connection ended")
        return multiple(*held)

    def gone(self, name: str, reason: str) -> None:
        for held in self.fleet.pop(name).held.values():
            for number in held.numbers(held.lo, held.hi):
                self.model.died(self.model.tasks[number], reason)

    @rule(name=workers)
    def stop_worker(self, name):
        if name in self.fleet:
            self.broker.leases.stop(name)
            self.fleet[name].stopping = True
            assert ("stop",) in self.broker.leases.workers[name].commands

    @rule(name=workers)
    def lease(self, name):
        self.take_leases(name)
        self.take_leases(name)  # it may ask before it has done anything

    def take_leases(self, name: str) -> int:
        """Take what the broker gives; return how many tasks that was."""
        leases = self.broker.leases.lease(name, self.now)
        worker = self.fleet.get(name)
        if worker is None or worker.stopping:
            assert leases == []
            return 0
        unread = {n: sum(task.size for task in self.model.outbox(n)) for n in self.model.connected}
        functions = self.broker.leases.unseen_functions(name, leases)
        assert not set(worker.functions) & set(functions), "a function was sent twice"
        worker.functions |= set(functions)
        for lease in leases:
            self.check_grant(worker, lease)
            assert lease.token not in worker.held
            worker.held[lease.token] = Held(name, lease.token, lease.first, lease.lo, lease.hi)
            for number in range(lease.first + lease.lo, lease.first + lease.hi):
                task = self.model.tasks[number]
                assert unread[task.client] <= UNREAD, "its client has not read what there is"
                self.model.lease(task, name)
                assert task.attempt == lease.attempt <= task.max_attempts + task.retries + self.lost_of(task)
                # A script may have had a plain task since it was found suspect: its attempts were counted anew.
                last = task.attempt >= task.max_attempts or task.suspect
                assert lease.careful is last or (lease.careful and task.queue == PLAIN)
                if lease.careful:
                    assert len(worker.held) == 1 and len(leases) == 1 and lease.hi - lease.lo == 1, "it is not alone"
        return sum(lease.hi - lease.lo for lease in leases)

    def lost_of(self, task: Task) -> int:
        """Deliveries that went down with a neighbour: they are attempts, but end nothing by themselves."""
        # A script that let a plain task go has them begin anew, and what stands in its history stays.
        return max(0, task.attempt - 1 - len([reason for _, reason in task.history if reason != DIED]))

    def check_grant(self, worker: FakeWorker, lease: Lease) -> None:
        """The worker may serve it, and has all that it takes to run it."""
        assert lease.header.queue not in self.paused and lease.lo < lease.hi
        assert worker.queues is None or lease.header.queue in worker.queues
        tasks = [self.model.tasks[n] for n in range(lease.first + lease.lo, lease.first + lease.hi)]
        assert {task.queue for task in tasks} == {lease.header.queue}
        if lease.header.kind == "plain":
            assert len(self.plain_results) < BACKLOG, "nobody reads the results"
            assert worker.handler and lease.payload == [task.payload for task in tasks]
            return
        assert lease.header.function in worker.functions
        if lease.payload is not None:
            worker.payloads[lease.first] = lease.payload
            while len(worker.payloads) > PAYLOADS_HELD:
                worker.payloads.popitem(last=False)
        assert worker.payloads[lease.first] == tasks[0].payload

    @rule(target=late, data=st.data(), kind=st.sampled_from(["done", "done", "done", "big"]))
    @precondition(lambda self: self.fleet)
    def done(self, data, kind):
        return self.settle(data, kind)

    @rule(target=late, data=st.data(), kind=st.sampled_from(["error", "timeout", "died", "lost"]))
    @precondition(lambda self: self.fleet)
    def goes_wrong(self, data, kind):
        return self.settle(data, kind)

    @rule(times=st.integers(1, 3))
    def handler_fails(self, times):
        """A worker whose handler raises at every plain task that it is given."""
        name = self.join((PLAIN,), True, None)
        for _ in range(times):
            self.take_leases(name)
            for held in list(self.fleet[name].held.values()):
                self.say(held, "error", held.lo, held.lo + 1, Failure(kind="error", summary="ValueError: no"))
            self.the_events_tell_the_story()
            self.time_passes(0.2)
        self.broker.leases.leave(self.fleet[name].entry, "it went", self.now)
        self.gone(name, "it went")

    @rule(target=late, data=st.data())
    @precondition(lambda self: self.fleet)
    def give_back(self, data):
        return self.settle(data, "released")

    def settle(self, data, kind):
        """Outcomes for one end of a lease; they go to the late ones too, to be repeated some time."""
        name = data.draw(st.sampled_from(sorted(self.fleet)), label="worker")
        if not self.fleet[name].held and not self.take_leases(name):
            return multiple()
        if kind == "big":
            self.bigs += 1
            kind, value = "done", BIG if self.bigs <= BIGS else b"big"
        else:
            value = {"done": b"results", "died": "killed by SIGKILL", "lost": None, "released": None}.get(
                kind, Failure(kind="error", summary="ValueError: no")
            )
        held = data.draw(st.sampled_from(list(self.fleet[name].held.values())), label="lease")
        count = data.draw(st.integers(1, held.hi - held.lo), label="count")
        from_the_right = kind == "released" or (kind == "done" and data.draw(st.booleans(), label="from the right"))
        lo = held.hi - count if from_the_right else held.lo
        return Held(name, held.token, held.first, *self.say(held, kind, lo, lo + count, value))

    def say(self, held: Held, kind: str, lo: int, hi: int, value: object) -> tuple[int, int]:
        """Settle [lo, hi) of a lease with the broker and in the model."""
        plain = self.model.tasks[held.first + lo].queue == PLAIN
        if kind == "done" and plain:
            value = [f"result of {number}" for number in held.numbers(lo, hi)]
            self.plain_results += value
        report = Report(kind=kind, token=held.token, lo=lo, hi=hi, value=value, seconds=0.001 * (hi - lo))
        self.broker.leases.settle(held.worker, [report], self.now)
        for number in held.numbers(lo, hi):
            task = self.model.tasks[number]
            if kind == "done":
                # One result for all of them: let the first one have its bytes.
                self.model.done(task, 0 if plain or number != held.first + lo else len(value))
            elif kind in ("error", "timeout"):
                self.model.raised(task, value.summary)
            elif kind == "died":
                self.model.died(task, value, hi - lo)
            else:
                (self.model.lost if kind == "lost" else self.model.released)(task)
        if (lo, hi) == (held.lo, held.hi):
            del self.fleet[held.worker].held[held.token]
        elif lo == held.lo:
            held.lo = hi
        else:
            held.hi = lo
        return lo, hi

    @rule(old=late, kind=st.sampled_from(["done", "error", "died", "lost", "released"]))
    def settle_again(self, old, kind):
        """A worker says something of what it does not hold any more: dropped, and counted if it was an outcome."""
        value: Any = {"done": b"results", "died": "killed"}.get(kind)
        if kind == "error":
            value = Failure(kind="error", summary="ValueError: late")
        if kind == "done" and self.model.tasks[old.first + old.lo].queue == PLAIN:
            value = ["late"] * (old.hi - old.lo)
        outcome = Report(kind=kind, token=old.token, lo=old.lo, hi=old.hi, value=value, seconds=1.0)
        self.broker.leases.settle(old.worker, [outcome], self.now)
        if kind not in ("lost", "released"):
            self.model.late += old.hi - old.lo

    @rule()
    def settle_the_middle(self):
        """What is no end of a lease makes no sense, and changes nothing."""
        for lease in [held for worker in self.fleet.values() for held in worker.held.values() if held.hi - held.lo > 2]:
            lo, hi = lease.lo + 1, lease.hi - 1
            value = ["late"] * (hi - lo) if self.model.tasks[lease.first + lo].queue == PLAIN else b""
            outcome = Report(kind="done", token=lease.token, lo=lo, hi=hi, value=value, seconds=1.0)
            self.broker.leases.settle(lease.worker, [outcome], self.now)
            self.model.late += outcome.hi - outcome.lo

    @rule(name=workers, lines=st.lists(st.tuples(st.integers(0, 50), st.text(max_size=5)), max_size=3))
    def printed(self, name, lines):
        self.broker.leases.printed(name, lines, self.now)

    # -- what must hold after each step --------------------------------------------------------------------------

    @invariant()
    def the_events_tell_the_story(self):
        records = self.broker.states.events.since(self.seen)
        assert [record.seq for record in records] == list(range(self.seen + 1, self.broker.states.events.last + 1))
        for event in expand(record.as_dict() for record in records):
            assert event["time"] <= self.now
            if event["kind"] == "delayed":
                self.check_delay(event)
            self.replay.take(event)
        for record in records:
            assert record.time >= self.last_time
            self.last_time = record.time
        self.seen = self.broker.states.events.last
        for number, task in self.model.tasks.items():
            told = self.replay.state[number]
            assert told == task.state or (told, task.state) == ("delayed", "ready"), f"{task}, events say {told}"
            if task.state == "leased":
                assert self.replay.attempt[number] == task.attempt
        assert self.replay.seen["duplicate"] == self.model.late == self.broker.leases.late

    def check_delay(self, event: dict) -> None:
        """The back-off doubles, within a bound, and half of it is chance."""
        full = min(30.0, 0.1 * 2 ** (self.model.tasks[event["task"]].errors - 1))
        assert 0.5 * full <= event["seconds"] <= 1.5 * full
        self.due[event["task"]] = event["time"] + event["seconds"]

    @invariant()
    def every_task_is_where_it_should_be(self):
        for number, task in self.model.tasks.items():
            span = self.broker.find(number)
            if task.place == "forgotten":
                assert span is None
                continue
            assert span is not None, f"{task} is lost"
            assert span.state.value == task.state, f"{span!r}, but {task}"
            assert (span.attempt, span.errors) == (task.attempt, task.errors), f"{span!r}, but {task}"
            assert span.history == tuple(task.history)
            if task.state == "leased":
                assert (span.worker or "") == task.holder

    @invariant()
    def counts_add_up(self):
        stats = self.broker.stats(self.now)
        for queue in {task.queue for task in self.model.tasks.values()}:
            counts, expected = dict(stats["queues"][queue]), self.model.counts(queue)
            assert counts.pop("paused") is (queue in self.paused)
            assert counts.pop("redelivered") == self.model.redelivered[queue]
            assert counts == {state: expected[state] for state in counts}
            assert sum(counts.values()) == sum(expected.values())
        assert self.broker.states.unfinished() == len(self.model.among("ready", "delayed", "leased"))
        done = [task for task in self.model.among("done") if task.number not in self.before]
        assert (stats["latency"]["p50"] is not None) is bool(done)
        assert {worker["name"] for worker in stats["workers"]} == set(self.fleet)

    @invariant()
    def each_worker_holds_what_it_was_given(self):
        for line in self.broker.stats(self.now)["workers"]:
            name, worker = line["name"], self.fleet[line["name"]]
            mine = {task.number for task in self.model.held_by(name)}
            told = [n for held in worker.held.values() for n in held.numbers(held.lo, held.hi)]
            assert len(told) == len(set(told)) and set(told) == mine
            assert self.broker.leases.workers[name].holding == len(mine)
            last = [n for n in mine if self.model.tasks[n].attempt >= self.model.tasks[n].max_attempts]
            assert not last or len(mine) == 1, "a last attempt is not alone"
            assert line["state"] == ("stopping" if worker.stopping else "busy" if mine else "idle")
            assert line["running"] in (mine or {None})
            assert 0 <= line["utilisation"] <= 1

    @invariant()
    def failures_are_remembered(self):
        failures = {span.first + i: span for span in self.broker.failures(1000) for i in range(len(span))}
        failed = {task.number: task.reason for task in self.model.among("failed")}
        assert {number: span.result.summary for number, span in failures.items()} == failed
        assert list(self.broker.plain.results) == self.plain_results

    @invariant()
    def what_has_become_possible_was_signalled(self):
        """Whoever waits is asked again by a topic only: nothing may become possible without one."""
        signals, self.broker.states.signals = self.broker.states.signals, set()
        possible = set(self.what_is_possible())
        assert possible - self.possible <= signals
        self.possible = possible

    def what_is_possible(self):
        states, plain = self.broker.states, self.broker.plain
        for queue, line in states.lines.items():
            if not line.paused and line.front(states.blocked) and not (queue == PLAIN and plain.held_back):
                yield topics.ready(queue)
        for client in states.clients.values():
            if client.outbox and not client.plain:
                yield topics.results(client.number)
        for worker in self.broker.leases.workers.values():
            if worker.commands:
                yield topics.commands(worker.name)
            if worker.stopping:
                yield topics.stopping(worker.name)
        if plain.results:
            yield topics.PLAIN_RESULTS
        if len(plain.results) < BACKLOG and states.waiting_in(PLAIN) < BACKLOG:
            yield topics.ROOM
        if not states.unfinished([PLAIN]):
            yield topics.IDLE

    # -- the end -------------------------------------------------------------------------------------------------

    def teardown(self):
        """Whatever happened, one worker that does its work brings every task to its end."""
        for name in list(self.fleet):
            self.broker.leases.leave(self.fleet[name].entry, "the end", self.now)
            self.gone(name, "the end")
        for holder in list(self.holders):
            self.plain_killed(holder)
        self.time_passes(OWED_SECONDS + 1)
        for queue in list(self.paused):
            self.pause_or_resume(queue)
        worker = self.join(None, True, None)
        for _ in range(10 * len(self.model.tasks) + 10):
            if not self.model.among("ready", "delayed", "leased"):
                break
            for number in self.runs:
                self.collect(number, False)
            self.plain_take(len(self.plain_results))
            self.now += 0.2
            self.heartbeat(worker)
            self.time_passes(0.0)
            self.take_leases(worker)
            for held in list(self.fleet[worker].held.values()):
                self.say(held, "done", held.lo, held.hi, b"results")
        self.the_events_tell_the_story()
        self.every_task_is_where_it_should_be()
        self.counts_add_up()
        self.journal.close()
        assert not self.model.among("ready", "delayed", "leased"), "something was never given out again"
        for number in self.runs:
            self.reopen_client(number)
            for _ in range(BIGS + 2):
                self.collect(number, False)
            mine = {task.number for task in self.model.tasks.values() if task.client == number}
            assert self.received[number] == mine, "a client did not hear of a task's end"


TestBrokerMachine = pytest.mark.timeout(600)(BrokerMachine.TestCase)  # some 15 s of work
TestBrokerMachine.settings = settings(
    max_examples=500, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
