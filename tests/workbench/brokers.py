"""Three right brokers of different style, as learners' cells have them."""

from textwrap import dedent
from typing import Any

#: a line of ready tasks, and who has the others; `faults` breaks it by replacing some of its lines
CODE = """
class MyBroker:
    def __init__(self, journal=()):
        self.results, self.failed = [], []
        self.ready, self.holder, self.until, self.given = [], {}, {}, {}
        for kind, task, *more in journal:
            self.remember(kind, task, *more)

    def remember(self, kind, task, result=None):
        if kind == "put":
            self.ready.append(task)
            self.given[task] = 0
        elif kind == "given":
            self.given[task] += 1
        else:
            if task in self.ready:
                self.ready.remove(task)
            self.results.append((task, result)) if kind == "done" else self.failed.append(task)

    def over(self, task):
        return task in self.failed or any(task == done for done, _ in self.results)

    def note(self, kind, task, *more):
        self.write((kind, task, *more))
        self.remember(kind, task, *more)

    def put(self, task):
        self.note("put", task)

    def get(self, worker, now):
        if not self.ready:
            return None
        task = self.ready[0]
        self.note("given", task)
        self.ready.remove(task)
        self.holder[task], self.until[task] = worker, now + 5
        return task

    def done(self, worker, task, result, now):
        if self.over(task):
            return
        self.holder.pop(task, None)
        self.note("done", task, result)

    def hang_up(self, worker, now):
        for task in [task for task, holder in self.holder.items() if holder == worker]:
            self.back(task)

    def tick(self, now):
        for task in [task for task in self.holder if self.until[task] <= now]:
            self.back(task)

    def back(self, task):
        del self.holder[task]
        if self.given[task] >= 3:
            self.note("failed", task)
        else:
            self.ready.append(task)
"""

#: another one: one dictionary, leases that end when somebody asks, results of holders only, deliveries not written
BY_STATE = """
from dataclasses import dataclass

@dataclass
class Task:
    state: str = "ready"
    holder: str = ""
    until: float = 0.0
    given: int = 0

class MyBroker:
    def __init__(self, journal=()):
        self.tasks, self.results, self.failed = {}, [], []
        for record in journal:
            getattr(self, "_" + record["what"])(record)

    def _put(self, record):
        self.tasks[record["task"]] = Task()

    def _done(self, record):
        self.tasks[record["task"]].state = "done"
        self.results.append([record["task"], record["result"]])

    def _failed(self, record):
        self.tasks[record["task"]].state = "failed"
        self.failed.append(record["task"])

    def _change(self, **record):
        self.write(record)
        getattr(self, "_" + record["what"])(record)

    def put(self, task):
        self._change(what="put", task=task)

    def get(self, worker, now):
        for name, task in self.tasks.items():
            if task.state == "leased" and task.until <= now:
                self._lost(name, task)
            if task.state == "ready":
                task.state, task.holder, task.until, task.given = "leased", worker, now + 5, task.given + 1
                return name

    def done(self, worker, name, result, now):
        task = self.tasks[name]
        if task.state == "leased" and task.holder == worker:
            self._change(what="done", task=name, result=result)

    def hang_up(self, worker, now):
        for name, task in self.tasks.items():
            if task.state == "leased" and task.holder == worker:
                self._lost(name, task)

    def _lost(self, name, task):
        if task.given == 3:
            self._change(what="failed", task=name)
        else:
            task.state = "ready"
"""

#: a third: nothing but records, from which all else is counted anew; a task that is over may be given once more
BY_RECORDS = """
import collections
class MyBroker:
    def __init__(self, journal=()):
        self.log, self.held = list(journal), []

    def add(self, *record):
        self.log.append(record)
        self.write(record)

    @property
    def results(self):
        return [(task, more[0]) for what, task, *more in self.log if what == "result"]

    @property
    def failed(self):
        return [task for what, task, *_ in self.log if what == "gave up"]

    def over(self):
        return {task for what, task, *_ in self.log if what in ("result", "gave up")}

    def put(self, task):
        self.add("task", task)

    def get(self, worker, now):
        given = collections.Counter(task for what, task, *_ in self.log if what == "given")
        for task in [task for what, task, *_ in self.log if what == "task"]:
            if task in self.over() or any(task == held for held, _, _ in self.held):
                continue
            if given[task] == 3:
                self.add("gave up", task)
                continue
            self.add("given", task, worker)
            self.held.append((task, worker, now))
            return task

    def done(self, worker, task, result, now):
        if task not in self.over():
            self.add("result", task, result)
        self.held = [held for held in self.held if held[0] != task]

    def hang_up(self, worker, now):
        self.held = [held for held in self.held if held[1] != worker]

    def tick(self, now):
        self.held = [held for held in self.held if now - held[2] < 5]
"""

RIGHT = {"a line and leases": CODE, "a state for each task": BY_STATE, "nothing but records": BY_RECORDS}


def made(code: str) -> type:
    """The class that a learner's cell defines: no other process can import it, as in a notebook."""
    namespace: dict[str, Any] = {"__name__": "a_notebook"}
    exec(compile(dedent(code), "a cell", "exec"), namespace)
    return namespace["MyBroker"]
