"""Lesson 08: what the checker says to a dozen programs that are to run on any engine."""

import pytest

from dqlab.lessons import check
from dqlab.lessons.check import one_program
from tests.lessons.answers import learner, rows, solution, verdict

RIGHT = solution("08_outgrow")
PROGRAM = "from dqlab.engines import engine\ndef my_program(address, work, items):\n"
WITH = PROGRAM + "    with engine(address) as executor:\n        "

TABLE = {
    "as it was given": (
        """
        from dqlab import LocalWorkers, Master
        def my_program(address, work, items):
            with Master() as master, LocalWorkers(master, 2):
                futures = {item: master.options(retries=1).submit(work, item) for item in items}
                return {item: future.result() for item, future in futures.items()}
        """,
        "Not yet: with 'processes:2' your program had its work done by dqlab. Does it use the address that it is "
        "given?",
    ),
    "solution": (RIGHT, "Yes: the same 8 pictures from processes, dqlab, Dask, and only the address was different."),
    "what only a dqlab client has": (
        WITH + "return {i: executor.options(retries=1).submit(work, i).result() for i in items}",
        "Not yet: with 'processes:2' your program raised AttributeError: 'ProcessPoolExecutor' object has no attribute "
        "'options'",
    ),
    "tasks that write into a dictionary": (
        PROGRAM + "    found = {}\n    with engine(address) as executor:\n        "
        "list(executor.map(found.setdefault, items, map(str, items)))\n    return found",
        "Not yet: with 'processes:2' your program returned 0 of 8 results; 0.png is missing. What a task changes, it "
        "changes in its own process: only what it returns comes back.",
    ),
    "here, without any": (
        "def my_program(address, work, items):\n    return {item: work(item) for item in items}",
        "Not yet: with 'processes:2' your program had its work done by your own process.",
    ),
    "blank": ("my_program = ...", "Not yet: the answer should be a function, and it is Ellipsis."),
    "one address by heart": (
        WITH.replace("engine(address)", "engine('dask://local?n=2')")
        + "return dict(zip(items, executor.map(work, items)))",
        "Not yet: with 'processes:2' your program had its work done by Dask.",
    ),
    "one by one": (WITH + "return {item: executor.submit(work, item).result() for item in items}", "Yes: the same 8"),
    "as they end": (
        "from concurrent.futures import as_completed\n" + WITH
        + "names = {executor.submit(work, i): i for i in items}\n"
        + "        return {names[future]: future.result() for future in as_completed(names)}",
        "Yes: the same 8",
    ),
    "a list": (
        WITH + "return list(executor.map(work, items))",
        "Not yet: with 'processes:2' your program returned",
    ),
    "nothing": (PROGRAM + "    pass", "your program returned None, and not a dictionary {item: work(item)}."),
    "the futures": (WITH + "return {i: executor.submit(work, i) for i in items}", "and that isn't work('0.png')."),
    "a function in a function": (
        WITH + "def one(item): return item, work(item)\n        return dict(executor.map(one, items))",
        'Traceback (most recent call last): File "a cell", line 6, in my_program',
    ),
    "a lambda": (
        WITH + "return dict(zip(items, executor.map(lambda item: work(item), items)))",
        "Not yet: with 'processes:2' your program raised",
    ),
    "raising": (PROGRAM + "    raise ValueError(address)", "your program raised ValueError: processes:2"),
    "ending its process": (PROGRAM + "    os._exit(3)", "your program ended its process (exit code 3)."),
    "endless": (PROGRAM + "    while True: pass", "still ran after 3 s."),
    "a flood": (PROGRAM + "    while True: print('x' * 999)", "still ran after 3 s."),
    "forking": (PROGRAM + "    os.fork()\n    return {}", "your program returned 0 of 8 results"),
}  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("code", "says"), rows(TABLE))
def test_answers_to_08(
    code: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "while True" in code:
        monkeypatch.setattr(one_program, "SECONDS", 3.0)
    assert says in verdict(check.same_program, learner(code)["my_program"], capsys=capsys)
