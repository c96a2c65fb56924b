"""A right broker, broken in more than two dozen ways: each loses tasks, or doubles them, in a way of its own."""

from dataclasses import dataclass

from tests.workbench.brokers import CODE


@dataclass(frozen=True)
class Fault:
    """On `level`, `right` in the code becomes `wrong`; the story by hand has so many `steps` and ends in `ending`."""

    name: str
    level: int
    right: str
    wrong: str
    steps: int
    ending: str

    @property
    def code(self) -> str:
        assert CODE.count(self.right) == 1, self.right
        return CODE.replace(self.right, self.wrong)


#: what `done` does first
OVER = "        if self.over(task):\n            return\n        self.holder.pop(task, None)\n"
#: how `done` ends
NOTE = '        self.note("done", task, result)\n'
#: a `done` that knows a late result by where its task is, and leaves it in the line
KEPT = """
        if task not in self.holder and task not in self.ready:
            return
        line = list(self.ready)
        self.holder.pop(task, None)
        self.note("done", task, result)
        self.ready = line
"""

FAULTS = [
    Fault(
        "a task stays in the line",
        1,
        "        self.ready.remove(task)\n        self.holder",
        "        self.holder",
        3,
        "w2 was given it at 0.2, and w1 was at work on it.",
    ),
    Fault(
        "results are forgotten",
        1,
        'self.results.append((task, result)) if kind == "done"',
        'None if kind == "done"',
        4,
        "task 1 is lost.",
    ),
    Fault(
        "results are kept twice",
        1,
        "self.results.append((task, result))",
        "self.results.extend([(task, result)] * 2)",
        3,
        "w1 took task 1, and its result was counted: twice.",
    ),
    Fault(
        "one of two is dropped",
        1,
        '        self.note("given", task)\n',
        '        self.note("given", task)\n        del self.ready[1:]\n',
        5,
        "task 2 is lost.",
    ),
    Fault(
        "fixed shares",
        1,
        "if not self.ready:",
        'if not self.ready or worker == "w2":',
        2,
        "then w2 asked for 12 s and was given nothing: task 1 is lost.",
    ),
    Fault(
        "the worker's name for a result",
        1,
        '"done", task, result)\n\n    def hang',
        '"done", task, worker)\n\n    def hang',
        3,
        "its result is 'w1', and nobody has said that.",
    ),
    Fault(
        "killed workers keep their tasks",
        2,
        "if holder == worker]:\n            self.back(task)",
        "if holder == worker]:\n            del self.holder[task]",
        4,
        "w1 took task 1, was killed; then w2 asked for 12 s and was given nothing: task 1 is lost.",
    ),
    Fault(
        "who is killed must have a task",
        2,
        "[task for task, holder in self.holder.items() if holder == worker]",
        "[{h: t for t, h in self.holder.items()}[worker]]",
        1,
        "hang_up('w1', 0.1) raised KeyError: 'w1'",
    ),
    Fault(
        "everybody's tasks go back",
        2,
        "in self.holder.items() if holder == worker]",
        "in self.holder.items()]",
        4,
        "was at work on it.",
    ),
    Fault(
        "given up too early",
        2,
        "self.given[task] >= 3",
        "self.given[task] >= 2",
        6,
        "it is among the failed after 2 of 3 deliveries.",
    ),
    Fault(
        "what goes back still has its holder",
        3,
        "        del self.holder[task]\n        if self",
        "        if self",
        5,
        "was at work on it.",
    ),
    Fault(
        "no lease",
        3,
        "if self.until[task] <= now]",
        "if False]",
        4,
        "w1 took task 1, froze; then w2 asked for 12 s and was given nothing: task 1 is lost.",
    ),
    Fault(
        "a minute's lease",
        3,
        "now + 5",
        "now + 60",
        4,
        "w1 took task 1, froze; then w2 asked for 12 s and was given nothing: task 1 is lost.",
    ),
    Fault("a second's lease", 3, "now + 5", "now + 1", 4, "and w1 was at work on it."),
    Fault(
        "the lease ends, and so does the task",
        3,
        "<= now]:\n            self.back(task)",
        "<= now]:\n            del self.holder[task]",
        4,
        "task 1 is lost.",
    ),
    Fault(
        "the frozen one is killed",
        3,
        "<= now]:\n            self.back(task)",
        "<= now]:\n            self.until[task] = now + 99; self.ready.append(task)",
        6,
        "was at work on it.",
    ),
    Fault(
        "late results count",
        4,
        OVER,
        "        self.holder.pop(task, None)\n",
        6,
        "w2 was given it at 5.8, and its result was counted; w1 came back, and its result was counted: twice.",
    ),
    Fault("a late result leaves its task in the line", 4, OVER + NOTE, KEPT, 6, "and its result was counted: twice."),
    Fault(
        "only the first frozen one is late",
        4,
        "        if self.over(task):\n",
        "        if self.over(task) and self.given[task] < 3:\n",
        8,
        "twice.",
    ),
    Fault("no end", 5, "self.given[task] >= 3", "False", 8, "w4 was given it at 0.7: a fourth time."),
    Fault(
        "only deaths count",
        5,
        "<= now]:\n            self.back(task)",
        "<= now]:\n            self.given[task] -= 1; self.back(task)",
        8,
        "a fourth time.",
    ),
    Fault(
        "given up, and nobody is told",
        5,
        'self.note("failed", task)\n        else',
        "pass\n        else",
        8,
        "task 1 is lost.",
    ),
    Fault(
        "given up, and done",
        5,
        "return task in self.failed or any",
        "return any",
        9,
        "task 1 has a result, and failed.",
    ),
    Fault(
        "nothing is written",
        6,
        "        self.write((kind, task, *more))\n",
        "",
        3,
        "task 1 was put; the master died and came back; then w1 asked for 12 s and was given nothing: task 1 is lost.",
    ),
    Fault(
        "results are not written",
        6,
        "        self.write((kind",
        '        kind == "done" or self.write((kind',
        4,
        "the result of task 1 had been there, and is no more.",
    ),
    Fault(
        "results come back, and so does the line",
        6,
        "            if task in self.ready:\n                self.ready.remove(task)\n",
        "",
        5,
        "and it was done already.",
    ),
    Fault(
        "written before it is known to be new",
        6,
        OVER,
        '        self.write(("done", task, result))\n' + OVER,
        4,
        "and came back: twice.",
    ),
    Fault(
        "given up, and not written",
        6,
        "        self.write((kind, task, *more))\n        self.remember(kind, task, *more)\n",
        "        self.remember(kind, task, *more)\n"
        "        self.write((kind, task, *more)) if kind != 'failed' else None\n",
        9,
        "the failure of task 1 had been there, and is no more.",
    ),
    Fault(
        "what was given is in no line any more",
        6,
        "            self.remember(kind, task, *more)\n\n",
        "            self.remember(kind, task, *more)\n"
        "        self.ready = [task for task in self.ready if not self.given[task]]\n\n",
        4,
        "the master died in get, just after a write, and came back; then w1 asked for 12 s and was given nothing: "
        "task 1 is lost.",
    ),
]
