"""Lesson 12: what the workbench says to a dozen brokers that learners may write."""

import pytest

from dqlab.workbench import check
from tests.lessons.answers import learner, rows, solution
from tests.workbench.brokers import BY_RECORDS, BY_STATE

RIGHT = solution("12_build_it")
#: what the lesson's starter has instead of lines
BLANK = """
class MyBroker:
    def __init__(self, journal=()):
        self.results, self.failed = [], []
    def put(self, task): ...
    def get(self, worker, now): ...
    def done(self, worker, task, result, now): ...
    def hang_up(self, worker, now): ...
    def tick(self, now): ...
"""
POP = "return self.ready.pop() if self.ready else None"
LINE = (
    BLANK.replace("self.results, self.failed =", "self.ready = []; self.results, self.failed =")
    .replace("put(self, task): ...", "put(self, task): self.ready.append(task)")
    .replace("get(self, worker, now): ...", f"get(self, worker, now): {POP}")
    .replace("result, now): ...", "result, now): self.results.append((task, result))")
)
GET = "        if not self.ready:\n            return None\n"
LOST = "task 1 was put; then w1 asked for 12 s and was given nothing: task 1 is lost."

TABLE = {
    "blank": (BLANK, 1, f"The smallest story in which it fails has 2 steps: {LOST}"),
    "solution": (RIGHT, 6, "level 5, a task ends its workers: yes level 6, the master is killed: yes"),
    "only a line": (
        LINE, 2, "w1 took task 1, was killed; then w2 asked for 12 s and was given nothing: task 1 is lost.",
    ),
    "the last result counts too": (
        RIGHT.replace("if task in self.held or task in self.ready:", "if True:"), 4,
        "w1 took task 1, froze; w2 was given it at 5.8, and its result was counted; w1 came back, and its result was "
        "counted: twice.",
    ),
    "endless": (RIGHT.replace(GET, "        while not self.ready: pass\n"), 1, "get('w1', 0.0) doesn't come to its"),
    "the dots": ("MyBroker = ...", 1, "Not yet: the answer should be a class, and it is Ellipsis."),
    "a function": ("def MyBroker(): pass", 1, "Not yet: the answer should be a class, and it is <function MyBroker"),
    "a broker itself": (LINE + "\nMyBroker = MyBroker()", 1, "Not yet: the answer should be a class, and it is <"),
    "a state for each task": (BY_STATE, 6, "level 6, the master is killed: yes"),
    "nothing but records": (BY_RECORDS, 6, "level 6, the master is killed: yes"),
    "a queue that is waited for": (
        LINE.replace("self.ready = []", "import queue; self.ready = queue.Queue()")
        .replace("self.ready.append", "self.ready.put").replace(POP, "return self.ready.get()"),
        1, "waits for something that never comes.",
    ),
    "a line that is the class's": (
        LINE.replace("self.ready = []; ", "").replace("class MyBroker:", "class MyBroker:\n    ready = []"), 1,
        "level 1, two workers share: yes",
    ),
    "raising": (RIGHT.replace(GET, ""), 1, "get('w1', 0.0) raised IndexError: pop from empty list"),
    "leaving": (RIGHT.replace(GET, "        sys.exit(3)\n"), 1, "get('w1', 0.0) raised SystemExit: 3"),
    "forking": (RIGHT.replace(GET, GET + "        os.fork()\n"), 1, "os.fork: a broker needs no second process"),
    "a flood": (RIGHT.replace(GET, "        print('x\\n' * 5_000)\n" + GET), 1, "level 1, two workers share: yes"),
    "deliveries are never counted": (RIGHT.replace("self.given[task] < 3", "True"), 5, ": a fourth time."),
    "nothing is written": (RIGHT.replace('self.write(("put", task))', "pass"), 6, "given nothing: task 1 is lost."),
}  # fmt: skip


@pytest.mark.parametrize(("code", "level", "says"), rows(TABLE))
def test_answers_to_12(code: str, level: int, says: str) -> None:
    said = repr(check(learner(code)["MyBroker"], level))
    told = [line for line in said.splitlines() if "│" not in line and " time " not in line]
    assert says in " ".join(" ".join(told).split()), said
