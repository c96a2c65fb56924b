"""What tasks have printed: with the outcome of each, of nobody else's tasks, and bounded."""

from __future__ import annotations

import pytest

from dqlab.errors import BadInput
from dqlab.wire.printed import TASK_CHARS, chars_in
from tests.broker.scene import Scene


def printed(scene: Scene) -> list[tuple[str, int, str, str]]:
    """All that waits for the first client, in the order of the tasks."""
    spans = [span for _, span in scene.broker.collect(scene.first, 0)]
    return sorted((shown for span in spans for shown in span.printed), key=lambda shown: shown[1])


def test_it_comes_with_the_outcome_and_says_who_ran_the_task() -> None:
    scene = Scene()
    a, b, c = (scene.submit(1)[0] for _ in range(3))
    worker = scene.join()
    says = {a: ("done", "stdout", "one\n"), b: ("error", "stderr", "two\n"), c: ("done",)}
    while leases := scene.lease(worker):
        for lease in leases:
            kind, *what = says[lease.first]
            scene.say(worker, kind, lease, printed=[(lease.first, *what)] if what else [])
    assert printed(scene) == [(worker, a, "stdout", "one\n"), (worker, b, "stderr", "two\n")]


def test_what_each_attempt_printed_is_kept_within_a_bound() -> None:
    scene = Scene()
    (task,) = scene.submit(1, retries=5)
    worker = scene.join()
    for attempt in range(6):
        (lease,) = scene.lease(worker)
        scene.say(worker, "error", lease, printed=[(task, "stdout", f"{attempt}" * TASK_CHARS)])
        scene.now += 60
        scene.broker.leases.heartbeat(worker, scene.now)
        scene.broker.tick(scene.now)
    shown = printed(scene)
    assert shown[-1] == (worker, task, "stdout", "5" * TASK_CHARS)
    assert "characters more were printed, and dropped" in shown[0][3] and chars_in(shown) < 3 * TASK_CHARS


@pytest.mark.parametrize("lo, hi, item", [(0, 1, 1), (0, 3, 3), (0, 1, -1)])
def test_a_worker_can_not_say_that_other_tasks_printed(lo: int, hi: int, item: int) -> None:
    scene = Scene()
    tasks = scene.submit(3)
    worker = scene.join()
    (lease,) = scene.lease(worker)
    with pytest.raises(BadInput, match="output of tasks that are not in"):
        scene.say(worker, "done", lease, lo, hi, printed=[(tasks[0] + item, "stdout", "x")])
    scene.say(worker, "done", lease)
    assert printed(scene) == []


def test_unread_output_holds_its_clients_tasks_back_as_results_do() -> None:
    scene = Scene()
    before = scene.first.unread
    (task,) = scene.submit(1)
    worker = scene.join()
    (lease,) = scene.lease(worker)
    scene.say(worker, "done", lease, value=b"", printed=[(task, "stdout", "x" * 1_000)])
    assert scene.first.unread == before + 1_000
    (serial, _), *_ = scene.broker.collect(scene.first, 0)
    scene.broker.collect(scene.first, serial)
    assert scene.first.unread == before
