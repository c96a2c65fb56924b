"""The broker in earnest: a master, workers, signals. What levels ask for in virtual time happens to processes here."""

from __future__ import annotations

import pickle
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dqlab.client.pickling import dump_values
from dqlab.errors import MasterGone, Refused
from dqlab.lessons.check.answer import readable
from dqlab.lessons.check.verdict import NotYet
from dqlab.lessons.guard import guard
from dqlab.lessons.process_group import ProcessGroup
from dqlab.lessons.processes import freeze, thaw
from dqlab.workbench.caller import Caller
from dqlab.workbench.levels import DELIVERIES, LEASE, LEVELS, level_of
from dqlab.workbench.real_worker import POISON

__all__ = ["RealRun", "Served", "serve"]

#: workers that run at a time
WORKERS = 2
#: seconds within which whatever should happen has happened, on a busy machine
PATIENCE = 4 * LEASE
#: seconds between two looks
LOOK = 0.02
#: lines of a traceback that are shown
SHOWN = 12


@dataclass(frozen=True)
class Served:
    """What happened to a broker in earnest, a line for each level. It is true if all went well."""

    lines: tuple[str, ...]
    why: str = ""
    details: str = ""

    def __bool__(self) -> bool:
        return not self.why

    def __repr__(self) -> str:
        told = [f"    {line}" for line in readable(self.details)[-SHOWN:]]
        return "\n".join([*self.lines, *([f"Not yet: {self.why}"] if self.why else []), *told])


def serve(broker: type, level: int = 1) -> Served:
    """Serve the class `broker` with real processes, and do to them what the levels up to `level` say.

    Takes up to half a minute, and leaves nothing. Raises `BadInput` if there is no such level.
    """
    level_of(level)
    lines: list[str] = []
    try:
        with RealRun(broker) as run:
            for number in range(1, level + 1):
                done = getattr(run, f"level_{number}")()
                lines.append(f"level {number}, {LEVELS[number - 1].name}: {done}")
    except NotYet as not_yet:
        return Served(
            tuple(lines), f"level {len(lines) + 1}, {LEVELS[len(lines)].name}: {not_yet.why}", not_yet.details
        )
    return Served(tuple(lines))


class RealRun:
    """A master with a broker of a class, and workers; the end of the `with` block ends them all."""

    def __init__(self, kind: type) -> None:
        self._pickled, _ = dump_values(kind)
        self._key, self._port = secrets.token_bytes(16), 0
        self._folder = tempfile.TemporaryDirectory(prefix="dqlab-workbench-", ignore_cleanup_errors=True)
        self._master: ProcessGroup | None = None
        self._workers: list[ProcessGroup] = []
        self._frozen: list[ProcessGroup] = []
        self._tasks: list[str] = []

    def __enter__(self) -> RealRun:
        guard.note("/", self._folder.name)
        try:
            self._start_master()
            self._hire()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._frozen:
            thaw(worker.pid)
        for process in [*self._workers, self._master]:
            if process is not None:
                process.end()
        self._folder.cleanup()
        guard.note("-", self._folder.name)

    # -- levels ----------------------------------------------------------------------------------------------------

    def level_1(self) -> str:
        """Two workers and four tasks."""
        tasks = [self._put() for _ in range(4)]
        for task in tasks:
            self._let(task)
        self._until(lambda: self._done(*tasks), f"{len(tasks)} tasks have no results")
        return f"{len(tasks)} tasks, a result for each"

    def level_2(self) -> str:
        """SIGKILL for a worker in the middle of a task."""
        task = self._put()
        victim = self._taker(task)
        victim.kill()
        victim.wait()
        self._hire()
        self._taker(task, victim)
        self._let(task)
        self._until(lambda: self._done(task), f"the result of {task} is not there")
        return f"{task} was given to another worker, and its result is there"

    def level_3(self) -> str:
        """SIGSTOP for a worker in the middle of a task."""
        task = self._put()
        victim = self._taker(task)
        freeze(victim.pid)
        self._frozen.append(victim)
        self._hire()
        self._taker(task, victim)
        self._let(task)
        self._until(lambda: self._done(task), f"the result of {task} is not there")
        return f"{task} was given to another worker, and its result is there"

    def level_4(self) -> str:
        """SIGCONT: the frozen worker brings its result."""
        task, worker = self._tasks[-1], self._frozen.pop()
        thaw(worker.pid)
        self._until(lambda: worker.said(f"told {task}"), f"the frozen worker could not bring the result of {task}")
        self._done(task)
        return f"{task} has one result, and two were brought"

    def level_5(self) -> str:
        """A task that ends whoever takes it."""
        task = self._put(POISON)

        def failed() -> bool:
            self._hire()
            if (number := len(self._takers(task))) > DELIVERIES:
                raise NotYet(f"{task} was given to {number} workers")
            return task in self._ends()[1]

        self._until(failed, f"{task} is not among the failed")
        for worker in self._takers(task):
            worker.wait()
        return f"{task} ended {len(self._takers(task))} workers, and is among the failed"

    def level_6(self) -> str:
        """SIGKILL for the master, with tasks in hand and in line."""
        self._hire()
        results, failed = self._ends()
        tasks = [self._put() for _ in range(2 * WORKERS)]
        self._until(lambda: sum(bool(self._takers(task)) for task in tasks) == WORKERS, "nobody took the tasks")
        cast(ProcessGroup, self._master).end()
        self._start_master()
        for task in tasks:
            self._let(task)
        self._until(lambda: self._done(*tasks), "the tasks of before have no results")
        now = self._ends()
        if lost := [end for end in [*results, *failed] if end not in [*now[0], *now[1]]]:
            raise NotYet(f"{lost[0]!r} had been there before the master was killed, and is no more")
        return f"{len(tasks)} tasks of before have their results, and what had been there is still there"

    # -- what levels do --------------------------------------------------------------------------------------------

    def _put(self, kind: str = "task") -> str:
        task = f"{kind} {len(self._tasks) + 1}"
        self._tasks.append(task)
        self._call("put", task)
        return task

    def _let(self, task: str) -> None:
        """Let a task come to its end."""
        Path(self._folder.name, task).touch()

    def _takers(self, task: str) -> list[ProcessGroup]:
        return [worker for worker in self._workers if worker.said(f"took {task}")]

    def _taker(self, task: str, *but: ProcessGroup) -> ProcessGroup:
        """Wait until somebody has taken a task."""
        who = "another worker" if but else "a worker"
        self._until(lambda: any(w not in but for w in self._takers(task)), f"{task} was not given to {who}")
        return next(worker for worker in self._takers(task) if worker not in but)

    def _done(self, *tasks: str) -> bool:
        """Whether all of these have results; nothing may have two."""
        ended = [task for task, _ in self._ends()[0]]
        if not set(tasks) <= set(ended):
            return False
        if doubled := [task for task in (*tasks, *ended) if ended.count(task) > 1]:  # not whose worker was the first
            raise NotYet(f"{doubled[0]} has {ended.count(doubled[0])} results")
        return True

    def _ends(self) -> tuple[list[tuple[str, Any]], list[str]]:
        results, failed, trouble = self._call("ends")
        if trouble:
            raise NotYet(f"your broker raised {trouble.splitlines()[-1]}", trouble)
        return [(task, result) for task, result in results], failed

    def _call(self, method: str, *args: Any) -> Any:
        try:
            return self._client.call(method, *args)
        except Refused as refused:
            raise NotYet(refused.message.splitlines()[-1], refused.message) from None
        except MasterGone:
            master = cast(ProcessGroup, self._master)
            raise NotYet(f"the process of your broker ended: {master.error}", master.traceback) from None

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise NotYet(f"after {PATIENCE:g} s {otherwise}.")
            self._ends()
            time.sleep(LOOK)

    # -- processes -------------------------------------------------------------------------------------------------

    def _start_master(self) -> None:
        """Start one, on the port of the one before."""
        command = [sys.executable, "-c", "from dqlab.workbench.caller_server import main; main()"]
        self._master = master = ProcessGroup(command, "master")
        journal = str(Path(self._folder.name, "journal"))
        master.give(pickle.dumps((sys.path, self._key, self._port, journal)) + self._pickled)
        deadline = time.monotonic() + PATIENCE
        while not master.said("port ") and master.running and time.monotonic() < deadline:
            time.sleep(LOOK)
        if not master.said("port "):
            master.wait(LOOK)
            raise NotYet(f"the process of your broker did not start: {master.error}", master.traceback)
        self._port = int(next(line for line in master.lines if line.startswith("port ")).split()[1])
        self._client = Caller(("127.0.0.1", self._port), self._key, "client")

    def _hire(self) -> None:
        """Start workers, until as many run as should."""
        while sum(worker.running and worker not in self._frozen for worker in self._workers) < WORKERS:
            name = f"w{len(self._workers) + 1}"
            worker = ProcessGroup([sys.executable, "-c", "from dqlab.workbench.real_worker import main; main()"], name)
            self._workers.append(worker)
            worker.give(pickle.dumps((("127.0.0.1", self._port), self._key, name, self._folder.name)))
