"""A world in virtual time: clients, workers and a master with the learner's broker, to which moves happen. Pure.

    move ──> world ──put, get, done, hang_up, tick──> lives (the learner's broker)
                └──what was asked, what came of it──> referee ──Broken──> story

After the moves comes a calm: whoever can work does, until each task has its end or nobody is given anything any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from dqlab.workbench.events import Event
from dqlab.workbench.levels import LEASE
from dqlab.workbench.lives import Lives
from dqlab.workbench.referee import Broken, Referee
from dqlab.workbench.story import Story

__all__ = ["SLOTS", "Move", "World", "play"]

#: what may happen, and to which worker or after how many writes
Move = tuple[str, int]

#: seconds that a move takes; that a long wait takes; between two ticks
STEP, LONG, TICK = 0.1, LEASE + 1, 1.0
#: places for workers: in whose place one was killed another begins
SLOTS = 2
#: seconds for which a worker asks in vain before what it waits for is lost
PATIENCE = 2 * LEASE + 2
#: the events in which a result is brought
BROUGHT = ("done", "late", "again")
#: tasks after which clients put no more
TASKS = 4


@dataclass
class Worker:
    """Somebody who takes tasks, one at a time. `task` is what it has in hand."""

    name: str
    task: str = ""
    frozen: bool = False


def play(lives: Lives, level: int, moves: Iterable[Move], last: int) -> Story | None:
    """Let the moves happen, and then a calm in which the worker in place `last` works; the story, if it ends badly."""
    world = World(lives, level)
    try:
        world.begin()
        for kind, number in moves:
            getattr(world, kind)(number)
        world.calm(last)
    except Broken as broken:
        return Story(level, tuple(world.events), broken.task, broken.ending, broken.traceback)
    return None


class World:
    """Everybody, at `now` seconds. Each move is a method that takes a number."""

    def __init__(self, lives: Lives, level: int) -> None:
        self.now = 0.0
        self.events: list[Event] = []
        self._lives, self._level, self._referee = lives, level, Referee(level)
        self._slots: list[Worker | None] = [None] * SLOTS
        self._workers: list[Worker] = []
        self._fates: dict[str, str] = {}  #: of whoever takes a task: "killed" or "froze"
        self._seen: tuple[Any, Any] = ([], [])  #: the broker's lists, when last looked at

    def begin(self) -> None:
        """The master is started, with no records."""
        self._lives.begin()
        self._lives.start()
        self._look()

    # -- moves -----------------------------------------------------------------------------------------------------

    def rest(self, number: int) -> None:
        """Nothing happens."""

    def put(self, number: int, fate: str = "") -> None:
        """A client puts a task."""
        if len(self._fates) == TASKS:
            return
        task = f"task {len(self._fates) + 1}"
        self._fates[task] = fate
        self._call(Event(self.now, "put", task=task), "put", task)
        self._pass(STEP)

    def poison(self, number: int) -> None:
        """A client puts a task that ends every worker."""
        self.put(number, "killed")

    def tar(self, number: int) -> None:
        """A client puts a task that freezes every worker."""
        self.put(number, "froze")

    def step(self, number: int) -> None:
        """A worker takes a task, or brings its result, even if it had been frozen."""
        worker = self._worker(number)
        if not worker.frozen:
            self._step(worker)
        elif self._level >= 4:
            self._report(worker, "late")

    def kill(self, number: int) -> None:
        """A worker is killed, frozen or not; its connection ends."""
        if there := [worker for worker in self._slots if worker is not None]:
            self._kill(there[number % len(there)])

    def freeze(self, number: int) -> None:
        """A worker that has a task says and does nothing any more."""
        if busy := [worker for worker in self._able() if worker.task]:
            self._freeze(busy[number % len(busy)])

    def wait(self, number: int) -> None:
        """More than a lease passes; who can bring its result before that does."""
        for worker in self._able():
            if worker.task:
                self._step(worker)
        self._pass(LONG)

    def die(self, number: int) -> None:
        """The master is killed: at once (0), or just after so many more writes."""
        if number:
            self._lives.die_after(number)
        else:
            self._die()
            self._pass(STEP)

    # -- the end ---------------------------------------------------------------------------------------------------

    def calm(self, last: int) -> None:
        """Everybody who can brings results; one worker takes what is left; at last, the frozen come back."""
        for worker in self._able():
            if worker.task:
                self._step(worker)
        patience = PATIENCE
        while self._referee.open():
            worker = self._worker(last)
            if worker.frozen:
                worker = self._begin(last)
            if self._step(worker):
                patience = PATIENCE
            elif (patience := patience - TICK) <= 0:
                task = self._referee.open()[0]
                self.events.append(Event(self.now, "nothing", worker.name))
                raise Broken(
                    task, f"; then {worker.name} asked for {PATIENCE:g} s and was given nothing: {task} is lost."
                )
            else:
                self._pass(TICK)
        if self._level >= 4:
            for worker in self._workers:
                if worker.frozen:
                    self._report(worker, "late")

    # -- what workers do -------------------------------------------------------------------------------------------

    def _able(self) -> list[Worker]:
        return [worker for worker in self._slots if worker is not None and not worker.frozen]

    def _worker(self, number: int) -> Worker:
        """The worker in a place; a new one if there is none."""
        return self._slots[number % len(self._slots)] or self._begin(number)

    def _begin(self, number: int) -> Worker:
        worker = Worker(f"w{len(self._workers) + 1}")
        self._slots[number % len(self._slots)] = worker
        self._workers.append(worker)
        return worker

    def _step(self, worker: Worker) -> bool:
        """Take a task or bring a result; return whether there was something to do."""
        if worker.task:
            self._report(worker, "done")
            return True
        task = self._call(Event(self.now, "took", worker.name), "get", worker.name, self.now)
        self._pass(STEP)
        if task is None:
            return False
        worker.task = task
        if self._fates[task] == "killed":
            self._kill(worker)
        elif self._fates[task] == "froze":
            self._freeze(worker)
        return True

    def _report(self, worker: Worker, kind: str) -> None:
        task, worker.task, worker.frozen = worker.task, "", False
        arguments = worker.name, task, f"{task}, done by {worker.name}", self.now
        self._call(Event(self.now, kind, worker.name, task), "done", *arguments)
        if self.events[-1].kind == "died":  # nobody heard it: it is told again
            self._call(Event(self.now, "again", worker.name, task), "done", *arguments)
        self._pass(STEP)

    def _kill(self, worker: Worker) -> None:
        self._slots = [None if other is worker else other for other in self._slots]
        worker.frozen = False
        self._call(Event(self.now, "killed", worker.name, worker.task), "hang_up", worker.name, self.now)
        self._pass(STEP)

    def _freeze(self, worker: Worker) -> None:
        worker.frozen = True
        self.events.append(Event(self.now, "froze", worker.name, worker.task))
        self._pass(STEP)

    # -- the master ------------------------------------------------------------------------------------------------

    def _call(self, event: Event, method: str, *args: Any) -> Any:
        """Call the broker, note the event, and let the referee look at what has come of it."""
        self.events.append(event)
        self._asked(event, args)
        answer = self._lives.call(method, *args)
        if self._lives.dead:
            self.events[-1] = replace(event, heard=False)
            self._die(f"in {method}")
            return None
        if event.kind == "put":
            self._referee.put(event.task, sure=True)
        elif event.kind == "took":
            self._given(answer, event)
        elif event.kind in BROUGHT:
            self._referee.heard(event.task, event.worker, self.now)
        self._look()
        return answer

    def _asked(self, event: Event, args: tuple[Any, ...]) -> None:
        """What the referee must know before the broker acts."""
        if event.kind == "put":
            self._referee.put(event.task, sure=False)
        elif event.kind == "killed":
            self._referee.killed(event.worker)
        elif event.kind in BROUGHT:
            self._referee.brought(event.task, args[2])

    def _given(self, task: Any, event: Event) -> None:
        if task is None:
            self.events.pop()  # a question without an answer is no part of a story
        else:
            self.events[-1] = replace(event, task=task if isinstance(task, str) else "")
            self._referee.given(task, event.worker, self.now)

    def _die(self, text: str = "") -> None:
        """The master is dead, inside a call if there is a `text`; another begins with what was written."""
        if text == "in get":
            self._referee.not_heard()
        self.events.append(Event(self.now, "died", text=text))
        self._referee.master_died()
        self._lives.start()
        self._look()

    def _pass(self, seconds: float) -> None:
        """Let time pass, with a tick now and then."""
        until = round(self.now + seconds, 3)
        while self.now < until:
            self.now = min(round(self.now + TICK, 3), until)
            if self._lives.knows("tick"):
                self._lives.call("tick", self.now)
                self._die("in tick") if self._lives.dead else self._look()

    def _look(self) -> None:
        """Show the referee the broker's lists, and note what he sees."""
        lists = self._lives.seen("results"), self._lives.seen("failed")
        if lists == self._seen:
            return
        self._seen, before = lists, self._referee.ends.copy()
        try:
            self._referee.look(*lists)
        finally:
            event = self.events[-1] if self.events else Event(self.now, "")
            ends = self._referee.ends
            if event.kind in BROUGHT and ends["results", event.task] > before["results", event.task]:
                self.events[-1] = replace(event, counted=True)
            given_up = [task for name, task in ends - before if name == "failed"]
            self.events += [Event(self.now, "failed", task=task) for task in given_up]
