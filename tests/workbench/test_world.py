"""The world: what a schedule of moves asks of a broker, what survives its death, and what is no end of a call."""

from collections.abc import Iterator

import pytest

from dqlab.workbench.lives import Lives
from dqlab.workbench.story import Story
from dqlab.workbench.watch import Watch
from dqlab.workbench.world import Move, play
from tests.workbench.brokers import CODE, made


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.close()


def story_of(code: str, level: int, *moves: Move, watch: Watch) -> Story | None:
    return play(Lives(made(code), watch), level, moves, 0)


def test_what_a_right_broker_is_asked(watch: Watch) -> None:
    asked: list[tuple[object, ...]] = []

    class Noted(made(CODE)):  # type: ignore[misc]
        def get(self, worker: str, now: float) -> str | None:
            asked.append(("get", worker, now))
            return super().get(worker, now)

        def done(self, *args: object) -> None:
            asked.append(("done", *args))
            super().done(*args)

        def hang_up(self, *args: object) -> None:
            asked.append(("hang_up", *args))
            super().hang_up(*args)

    moves = [("put", 0), ("step", 0), ("kill", 0), ("step", 0), ("freeze", 0), ("wait", 0), ("step", 1), ("step", 0)]
    assert play(Lives(Noted, watch), 4, moves, 1) is None
    assert asked == [
        ("get", "w1", 0.1), ("hang_up", "w1", 0.2), ("get", "w2", 0.3), ("get", "w3", 6.5),
        ("done", "w2", "task 1", "task 1, done by w2", 6.6), ("done", "w3", "task 1", "task 1, done by w3", 6.7),
    ]  # fmt: skip


def test_what_a_class_holds_is_no_journal(watch: Watch) -> None:
    kept = CODE.replace("self.ready, self.holder", "self.holder").replace("= [], {}, {}, {}", "= {}, {}, {}")
    kept = kept.replace("class MyBroker:\n", "class MyBroker:\n    ready = []\n")
    kept = kept.replace("self.write((kind, task, *more))", "pass")
    assert story_of(kept, 1, ("put", 0), ("step", 0), watch=watch) is None, "nothing of it is left for the next one"
    story = story_of(kept, 6, ("put", 0), ("die", 0), watch=watch)
    assert story is not None and story.ending.endswith("task 1 is lost.")


def test_a_record_is_what_it_was_when_it_was_written(watch: Watch) -> None:
    changed = CODE.replace("self.write((kind, task, *more))", "r = [kind, task, *more]; self.write(r); r[1] = 'other'")
    assert story_of(changed, 6, ("put", 0), ("die", 0), watch=watch) is None


def test_who_died_writes_no_more(watch: Watch) -> None:
    stubborn = CODE.replace(
        "        self.write((kind, task, *more))\n",
        "        try:\n            self.write(1)\n        finally:\n            self.write(2)\n",
    )
    lives = Lives(made(stubborn), watch)
    lives.start()
    lives.die_after(1)
    lives.call("put", "task 1")
    assert lives.dead and len(lives.records) == 1


@pytest.mark.parametrize(
    ("get", "ending"),
    [
        ("while True: pass", "get('w1', 0.1) doesn't come to its end."),
        ("import queue; queue.Queue().get()", "get('w1', 0.1) waits for something that never comes."),
        ("return 1 / 0", "get('w1', 0.1) raised ZeroDivisionError: division by zero"),
        ("return 'nothing'", "get gave w1 'nothing', and nobody has put that."),
        ("return ['task 1']", "get gave w1 ['task 1'], and nobody has put that."),
        ("self.results = None", "results is None, and should be a list."),
        ("self.results.append('task 1')", "results holds 'task 1', which is no (task, result)."),
        ("self.failed.append(1)", "failed holds 1, which is no task."),
        ("self.failed.append('task 1')", "it is among the failed after 1 of 3 deliveries."),
        ("self.results.append(('task 7', 1))", "results holds 'task 7', and nobody has put that."),
    ],
)
def test_what_a_broker_may_not_do(get: str, ending: str, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dqlab.workbench.watch.WAITING", 0.3)
    code = CODE.replace("        if not self.ready:\n            return None\n", f"        {get}\n")
    story = story_of(code, 1, ("put", 0), ("step", 0), watch=watch)
    assert story is not None and story.sentence.endswith(ending), story
    assert ("in get" in story.traceback) == ("raised" in ending or "end" in ending or "waits" in ending)


def test_a_queue_can_be_used(watch: Watch) -> None:
    code = """
    import queue
    class MyBroker:
        def __init__(self, journal=()):
            self.ready, self.results, self.failed = queue.Queue(), [], []
        def put(self, task):
            self.ready.put(task)
        def get(self, worker, now):
            return self.ready.get_nowait() if self.ready.qsize() else None
        def done(self, worker, task, result, now):
            self.results.append((task, result))
    """
    assert story_of(code, 1, ("put", 0), ("put", 0), ("step", 1), ("step", 0), watch=watch) is None
