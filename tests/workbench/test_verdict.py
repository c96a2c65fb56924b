"""What `check` says to right, broken, blank, endless, crashing, leaving, forking and printing brokers."""

import pytest

from dqlab.errors import BadInput
from dqlab.workbench import Verdict, check
from tests.workbench.brokers import CODE, made
from tests.workbench.faults import FAULTS

#: what `get` does first in the code
GET = "        if not self.ready:\n            return None\n"
BLANK = "class MyBroker:\n    def put(self, task): ...\n    def get(self, worker, now): ...\n"


def tried(code: str, level: int = 1, tries: int = 30) -> Verdict:
    return check(made(code), level, tries=tries)


def test_a_right_broker() -> None:
    verdict = tried(CODE, 6)
    assert verdict and repr(verdict).splitlines() == [
        "level 1, two workers share: yes",
        "level 2, a worker is killed: yes",
        "level 3, a worker freezes: yes",
        "level 4, a frozen worker comes back: yes",
        "level 5, a task ends its workers: yes",
        "level 6, the master is killed: yes",
    ]


def test_a_broken_broker_by_its_lowest_level() -> None:
    verdict = tried(FAULTS[6].code, 3)
    assert not verdict
    assert (
        repr(verdict)
        == """\
level 1, two workers share: yes
level 2, a worker is killed: not yet. The smallest story in which it fails has 4 steps:

 time            master            w1              w2
  0.0     task 1 ──▶│
  0.1               │──── task 1 ──▶│
  0.2               │               ✕ killed
 12.5               │                               │ nothing

w1 took task 1, was killed; then w2 asked for 12 s and was given nothing: task 1 is lost."""
    )
    assert "<svg" in (html := verdict._repr_html_()) and "task 1 is lost" in html


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (BLANK, "Not yet: the class MyBroker has no done."),
        (BLANK + "    def done(self, *args): ...\n", "has no attribute 'results'"),
        (CODE.replace("journal=()", ""), "MyBroker() raised NameError: name 'journal' is not defined"),
        (CODE.replace(GET, "        while True: pass\n"), "doesn't come to its end."),
        (CODE.replace(GET, "        import os; os._exit(3)\n"), "os._exit: a broker doesn't end its process"),
        (CODE.replace(GET, "        import sys; sys.exit(3)\n"), "get('w1', 0.0) raised SystemExit: 3"),
        (CODE.replace(GET, "        import os; os.fork()\n"), "os.fork: a broker needs no second process"),
        (CODE.replace(GET, "        import time; time.sleep(99)\n"), "`now` and `tick` tell the time"),
        (CODE.replace(GET, "        import os; os.kill(os.getpid(), 9)\n"), "broker ended its process (signal 9)."),
        (CODE.replace(GET, "        for _ in range(1_000): print('x')\n" + GET), "level 1, two workers share: yes"),
        (CODE.replace(GET, "        print('asked by', worker)\n        1 / 0\n"), "it printed:\n    asked by w1"),
    ],
    ids="blank,no init,no journal,endless,leaving,exit,forking,sleeping,killed,flood,raising".split(","),
)
def test_what_other_brokers_hear(code: str, says: str) -> None:
    assert says in repr(tried(code)), repr(tried(code))


def test_the_learners_own_lines_are_shown() -> None:
    said = repr(tried(CODE.replace("self.results.append((task, result))", "self.result.append((task, result))")))
    assert "raised AttributeError: 'MyBroker' object has no attribute 'result'" in said
    assert 'File "a cell", line' in said and "dqlab/workbench" not in said


def test_what_is_no_class_and_no_level() -> None:
    assert (
        repr(check(...)) == "Not yet: the answer should be a class, and it is Ellipsis. Run the cell that defines it."
    )
    for level in (0, 7, True, "2"):
        with pytest.raises(BadInput, match="there is no level"):
            check(made(CODE), level)  # type: ignore[arg-type]
