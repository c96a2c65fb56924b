"""The broker's decisions, one by one. That they hold together is shown by `test_state_machine`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dqlab.broker import topics
from dqlab.broker.clients import AWAY_SECONDS, CLIENT_IDS
from dqlab.errors import BadInput, Refused
from dqlab.wire.messages import PLAIN, Failure, Header, NewTasks, Report
from tests.broker.scene import LEASE, Scene, tasks

#: what one client knows and nobody else
TOKEN = b"t" * 32


def new(first: int, count: int, function: str, payload: bytes = b"", **options: object) -> NewTasks:
    """Tasks as a client sends them."""
    header = Header(kind="map", function=function, **options)
    return NewTasks(first=first, count=count, header=header, payload=payload)


# -- how much at once ------------------------------------------------------------------------------------------------


def test_the_first_batch_is_one_task_and_the_next_ones_double_until_they_take_a_fifth_of_a_second():
    scene = Scene()
    worker = scene.join()
    scene.submit(100_000)
    sizes = [len(scene.work(worker, seconds=0.001)) for _ in range(10)]
    assert sizes[:8] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert sizes[8:] == [200, 200]


def test_a_batch_is_no_more_than_half_of_each_workers_share_of_what_is_ready():
    scene = Scene()
    workers = [scene.join() for _ in range(4)]
    for _ in range(10):
        scene.submit(100)
        scene.work(workers[0], seconds=0.001)
    scene.broker.cancel(1, 1000, scene.now)
    scene.submit(80)
    assert len(tasks(scene.lease(workers[0]))) == 10
    assert len(tasks(scene.lease(workers[1]))) <= 9


def test_a_share_is_not_cut_finer_than_its_message_is_worth():
    scene = Scene()
    for _ in range(7):
        scene.join()
    scene.submit(10_000)
    while len(scene.work("w1", seconds=0.00001)) < 500:
        pass
    scene.broker.cancel(1, 10_000, scene.now)
    scene.submit(100)
    assert len(tasks(scene.lease("w1"))) == 100  # a millisecond of work, so nobody gains by sharing it


def test_long_tasks_are_given_one_by_one_and_nothing_is_prefetched_behind_them():
    scene = Scene()
    worker = scene.join()
    scene.submit(10)
    assert len(scene.work(worker, seconds=1.0)) == 1
    assert len(tasks(scene.lease(worker))) == 1
    assert scene.lease(worker) == []


def test_nothing_is_prefetched_behind_a_task_of_unknown_length():
    scene = Scene()
    worker = scene.join()
    scene.submit(10)
    scene.work(worker, seconds=0.0001)
    scene.work(worker, seconds=0.0001)
    scene.submit(5, queue="images", function="g")
    while scene.lease(worker)[-1].header.function != "g":
        scene.broker.leases.settle(worker, [], scene.now)
        scene.work(worker)
        for token, span in list(scene.broker.leases.workers[worker].leases.items()):
            scene.broker.leases.settle(
                worker, [Report(kind="done", token=token, lo=span.lo, hi=span.hi, value=b"", seconds=0.001)], scene.now
            )
    assert scene.lease(worker) == []


def test_a_worker_that_holds_enough_for_now_gets_more_when_half_of_it_is_done():
    scene = Scene()
    worker = scene.join()
    scene.submit(100_000)
    for _ in range(10):
        scene.work(worker, seconds=0.001)
    (lease,) = scene.lease(worker)
    assert (lease.hi - lease.lo, scene.lease(worker)) == (200, [])
    scene.say(worker, "done", lease, lease.lo, lease.lo + 100, seconds=0.1)
    assert len(tasks(scene.lease(worker))) == 100


def test_one_answer_holds_no_more_payload_than_its_bound_and_always_one_task():
    scene = Scene()
    worker = scene.join()
    scene.submit(10)
    while scene.work(worker, seconds=0.00001):
        pass
    for _ in range(10):
        scene.submit(payload=bytes(3 << 20))
    assert [len(scene.work(worker, seconds=0.00001)) for _ in range(5)] == [2, 2, 2, 2, 2]


def test_a_runs_payload_travels_once_and_a_function_once():
    scene = Scene()
    worker = scene.join()
    scene.submit(10, payload=b"the items")
    first = scene.lease(worker)
    assert scene.broker.leases.unseen_functions(worker, first) == {"f": b"f"}
    scene.say(worker, "done", first[0])
    second = scene.lease(worker)
    assert (first[0].payload, second[0].payload) == (b"the items", None)
    assert scene.broker.leases.unseen_functions(worker, second) == {}


# -- who comes next --------------------------------------------------------------------------------------------------


def test_clients_take_turns_so_that_many_tasks_of_one_do_not_starve_another():
    scene = Scene()
    worker = scene.join()
    other = scene.broker.states.clients.open()
    many = scene.submit(1_000_000)
    few = scene.submit(3, client=other)
    order = [scene.work(worker, seconds=1.0)[0] for _ in range(6)]
    assert order == [many[0], few[0], many[1], few[1], many[2], few[2]]


def test_queues_take_turns():
    scene = Scene()
    worker = scene.join(queues=("images", "pages"))
    scene.submit(10, queue="images")
    scene.submit(10, queue="pages")
    order = [scene.broker.find(scene.work(worker, seconds=1.0)[0]).run.queue for _ in range(6)]
    assert sorted(order[:2]) == sorted(order[2:4]) == sorted(order[4:]) == ["images", "pages"]


@pytest.mark.parametrize("seconds", [1.0, 0.001], ids=["long", "short, but nobody knows yet"])
def test_short_tasks_of_one_queue_do_not_starve_the_tasks_of_another(seconds):
    """Given a worker that is always filled with short tasks, the other queue's task still gets its turn."""
    scene = Scene()
    worker = scene.join()
    scene.submit(1_000_000, queue="short")
    for _ in range(12):
        scene.work(worker, seconds=0.0001)
    if seconds > 0.2:
        scene.submit(1, queue="other", function="g")
        while scene.broker.states.counts["other"]["done"] == 0:
            scene.work(worker, seconds=seconds)
    (wanted,) = scene.submit(1, queue="other", function="g")
    held = scene.lease(worker)
    for _ in range(50):  # it reports half of what it holds, and asks for more
        for lease in held[:1]:
            middle = (lease.lo + lease.hi + 1) // 2
            scene.say(worker, "done", lease, lease.lo, middle, seconds=0.0001 * (middle - lease.lo))
            held[0] = replace(lease, lo=middle)
        held = [lease for lease in held if lease.lo < lease.hi] + scene.lease(worker)
        if wanted in tasks(held):
            return
    pytest.fail("the other queue got nothing in fifty rounds")


def test_workers_get_tasks_of_their_queues_only_and_plain_ones_only_with_a_handler():
    scene = Scene()
    images, any_queue, handler = scene.join(("images",)), scene.join(), scene.join(("plain",), handler=True)
    scene.submit(3, queue="pages")
    scene.broker.plain.put(["url_0"], scene.now)
    assert scene.lease(images) == [] == scene.lease(scene.join(("plain",)))
    assert scene.lease(any_queue)[0].header.queue == "pages"
    assert scene.lease(handler)[0].payload == ["url_0"]


def test_a_paused_queue_gives_nothing_out_and_finishes_what_it_gave():
    scene = Scene()
    worker = scene.join()
    scene.submit(3)
    (lease,) = scene.lease(worker)
    scene.broker.states.pause("default", True, scene.now)
    scene.say(worker, "done", lease)
    assert scene.lease(worker) == []
    scene.broker.states.pause("default", False, scene.now)
    assert ("ready", "default") in scene.signals()
    assert scene.lease(worker)


def test_a_worker_that_stops_gets_nothing_more_and_is_told():
    scene = Scene()
    worker = scene.join()
    scene.submit(3)
    scene.broker.leases.stop(worker)
    assert scene.lease(worker) == []
    assert scene.commands(worker) == [("stop",)]
    with pytest.raises(Refused, match="w9"):
        scene.broker.leases.stop("w9")


# -- taking back -----------------------------------------------------------------------------------------------------


def rich_and_hungry(scene):
    """A worker that holds two hundred tasks, and one that has nothing to do."""
    rich = scene.join()
    scene.submit(10_000)
    for _ in range(10):
        scene.work(rich, seconds=0.001)
    (lease,) = scene.lease(rich)
    scene.broker.states.pause("default", True, scene.now)
    hungry = scene.join()
    assert scene.lease(hungry) == []
    return rich, hungry, lease


def test_a_worker_with_much_is_asked_for_half_of_it_when_another_has_nothing():
    scene = Scene()
    rich, hungry, lease = rich_and_hungry(scene)
    scene.broker.tick(scene.now)
    assert scene.commands(rich) == []  # it was just given that, and has hardly begun
    scene.pass_time(0.05)
    assert scene.commands(rich) == [("reclaim", 0.5)]
    assert topics.commands(rich) in scene.signals()
    scene.pass_time(0.01)
    assert scene.commands(rich) == []  # it has not had the time to answer
    scene.say(rich, "released", lease, lo=lease.lo + 100)
    scene.broker.states.pause("default", False, scene.now)
    assert len(scene.lease(hungry)) == 1
    assert scene.states([lease.first + lease.lo + 100]) == ["leased"]


def test_all_behind_a_long_task_is_asked_back():
    scene = Scene()
    rich, _, _ = rich_and_hungry(scene)
    scene.pass_time(1.0)
    assert scene.commands(rich) == [("reclaim", 1.0)]


def test_nobody_is_asked_for_tasks_that_the_idle_worker_may_not_have():
    scene = Scene()
    rich, _, _ = rich_and_hungry(scene)
    scene.broker.leases.leave(scene.broker.leases.workers["w2"], "gone", scene.now)
    assert scene.lease(scene.join(("images",))) == []
    scene.pass_time(1.0)
    assert scene.commands(rich) == []


def test_a_worker_that_cannot_read_what_there_is_disturbs_nobody():
    scene = Scene()
    reader, other = scene.join(python="3.11"), scene.join(python="3.12")
    bound = scene.submit(10_000, python="3.11")
    assert scene.lease(other) == []
    for _ in range(10):
        scene.work(reader, seconds=0.001)
    (held,) = scene.lease(reader)
    scene.say(reader, "done", held, hi=held.hi - 2)
    assert scene.lease(reader) != []  # more to keep for later, though another is idle
    scene.pass_time(1.0)
    assert scene.commands(reader) == []  # nor is it asked for what that couldn't read
    scene.submit(1)
    (lease,) = scene.lease(other)  # and what any Python can read doesn't wait behind ten thousand that it can't
    assert held.first == bound.start and lease.first == bound.stop


def test_nobody_is_asked_for_a_worker_that_stops():
    scene = Scene()
    rich, hungry, _ = rich_and_hungry(scene)
    scene.broker.leases.stop(hungry)
    scene.pass_time(1.0)
    assert scene.commands(rich) == []


def test_what_is_given_back_unbegun_is_no_attempt():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1)
    for _ in range(5):
        (lease,) = scene.lease(worker)
        assert lease.attempt == 1
        scene.say(worker, "released", lease)
    assert scene.states([task]) == ["ready"]


# -- lost, late, again -----------------------------------------------------------------------------------------------


def test_a_worker_that_leaves_gives_its_tasks_back_in_their_order():
    scene = Scene()
    one, two = scene.join(), scene.join()
    scene.submit(20)
    for _ in range(3):
        scene.work(one)
    held = tasks(scene.lease(one))
    scene.broker.leases.leave(scene.broker.leases.workers[one], "its connection ended", scene.now)
    assert ("ready", "default") in scene.signals()
    assert tasks(scene.lease(two))[0] == held[0]
    assert sum(event.get("count", 1) for event in scene.events("redelivered")) == len(held)


def test_a_silent_worker_loses_its_tasks_after_one_lease_and_a_living_one_never():
    scene = Scene()
    silent, living = scene.join(), scene.join()
    scene.submit(2)
    (lost,), (kept,) = scene.lease(silent), scene.lease(living)
    for _ in range(5):
        scene.pass_time(LEASE / 4)
        scene.broker.leases.heartbeat(living, scene.now)
    assert scene.states(tasks([lost, kept])) == ["ready", "leased"]
    assert not scene.broker.leases.heartbeat(silent, scene.now)
    assert scene.events("worker_left")[0]["reason"] == "no heartbeat for 10 s"


def test_a_late_result_is_dropped_and_counted():
    scene = Scene()
    frozen, other = scene.join(), scene.join()
    (task,) = scene.submit(1)
    (old,) = scene.lease(frozen)
    scene.broker.leases.leave(scene.broker.leases.workers[frozen], "frozen", scene.now)
    (new,) = scene.lease(other)
    scene.say(frozen, "done", old, value=b"late")
    scene.say(other, "done", new, value=b"right")
    scene.say(other, "done", new, value=b"again")
    assert scene.broker.find(task).result == b"right"
    assert scene.broker.leases.late == len(scene.events("duplicate")) == 2
    assert [span.result for _, span in scene.broker.collect(scene.first, 0)] == [b"right"]


def test_an_outcome_from_the_middle_of_a_lease_is_dropped():
    scene = Scene()
    worker = scene.join()
    scene.submit(100)
    scene.work(worker)
    scene.work(worker)
    (lease,) = scene.lease(worker)
    for lo, hi in [(4, 6), (2, 4), (6, 8), (3, 3), (5, 4)]:
        scene.say(worker, "done", lease, lo, hi)
    assert (lease.lo, lease.hi) == (3, 7)
    assert scene.states(tasks([lease])) == ["leased"] * 4
    scene.say(worker, "done", lease)
    assert scene.states(tasks([lease])) == ["done"] * 4


def test_a_name_that_is_taken_is_not_given_twice():
    scene = Scene()
    assert [scene.join(), scene.join(name="w1"), scene.join(name="mine"), scene.join()] == ["w1", "w2", "mine", "w3"]


def test_a_poison_task_ends_as_failed_with_its_history_and_takes_no_neighbour_with_it():
    scene = Scene()
    scene.submit(100)
    names = []
    for _ in range(3):
        names.append(scene.join())
        (lease,) = scene.lease(names[-1])
        assert (lease.lo, lease.hi) == (0, 1)
        scene.broker.leases.leave(scene.broker.leases.workers[names[-1]], "killed", scene.now)
    assert scene.states([1, 2]) == ["failed", "ready"]
    (failed,) = scene.broker.failures()
    assert failed.history == tuple((name, "killed") for name in names)
    assert failed.result.summary == "worker died 3 times: killed"


def with_a_last_attempt(scene, queue):
    """A worker that knows short tasks of the default queue; and a task of a queue that has one attempt left."""
    worker = scene.join()
    scene.submit(1_000_000)
    for _ in range(5):
        scene.work(worker, seconds=0.0001)
    (poison,) = scene.submit(1, client=scene.broker.states.clients.open(), queue=queue, max_attempts=1)
    for _ in range(10):
        held = scene.lease(worker)
        if poison in tasks(held):
            return worker, held
        for lease in held:
            scene.say(worker, "done", lease, seconds=0.0001)
    return pytest.fail("the last attempt was never made")


@pytest.mark.parametrize("queue", ["default", "images"])
def test_the_last_attempt_is_made_alone_also_among_several_queues(queue):
    scene = Scene()
    worker, held = with_a_last_attempt(scene, queue)
    assert len(tasks(held)) == 1 and held[0].careful
    assert scene.lease(worker) == []  # neither does anything follow while it runs
    scene.say(worker, "done", held[0])
    assert scene.lease(worker)


# -- exceptions and time-outs ----------------------------------------------------------------------------------------


def test_the_wait_before_a_retry_doubles_up_to_a_bound_and_half_of_it_is_chance():
    waits = []
    for seed in range(20):
        scene = Scene(seed=seed)
        worker = scene.join()
        scene.submit(1, retries=12, max_attempts=3)
        for _ in range(12):
            (lease,) = scene.lease(worker)
            scene.say(worker, "error", lease)
            assert scene.lease(worker) == []
            scene.now += scene.events("delayed")[-1]["seconds"]
            scene.broker.leases.heartbeat(worker, scene.now)
            scene.broker.tick(scene.now)
        waits.append([event["seconds"] for event in scene.events("delayed")])
    for attempt, column in enumerate(zip(*waits, strict=True)):
        full = min(30.0, 0.1 * 2**attempt)
        assert 0.5 * full <= min(column) < 0.75 * full and 1.25 * full < max(column) <= 1.5 * full


def test_the_same_seed_gives_the_same_waits():
    def wait(seed):
        scene = Scene(seed=seed)
        worker = scene.join()
        scene.submit(1, retries=1)
        scene.say(worker, "error", scene.lease(worker)[0])
        return scene.events("delayed")[0]["seconds"]

    assert wait(1) == wait(1) != wait(2)


@pytest.mark.parametrize("kind", ["error", "timeout"])
def test_a_task_without_retries_fails_at_its_first_exception(kind):
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1)
    scene.say(worker, kind, scene.lease(worker)[0])
    assert scene.states([task]) == ["failed"]
    assert scene.broker.find(task).result.kind == kind
    assert scene.events("failed")[0]["worker"] == worker


def test_a_task_may_raise_as_often_as_its_retries_allow_and_die_no_more_often_than_its_attempts():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1, retries=2, max_attempts=2)
    for kind in ("error", "error"):
        scene.say(worker, kind, scene.lease(worker)[0])
        scene.pass_time(1.0)
    assert scene.states([task]) == ["ready"]
    scene.say(worker, "died", scene.lease(worker)[0])
    assert scene.states([task]) == ["failed"]
    assert scene.broker.find(task).result.summary == "worker died: killed"


def test_a_task_that_is_retried_for_ever_keeps_a_history_of_bounded_size():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1, retries=10_000, max_attempts=500)
    for i in range(300):
        scene.pass_time(50.0)
        worker = scene.join()
        (lease,) = scene.lease(worker)
        kind = "died" if i in (3, 4) else "error"
        scene.say(
            worker, kind, lease, value="killed" if kind == "died" else Failure(kind=kind, summary=f"{i} " + "x" * 5_000)
        )
    history = scene.broker.find(task).history
    assert [reason.split()[0] for _, reason in history] == [f"{i}" for i in range(200, 300)]
    assert max(len(reason) for _, reason in history) == 1_000


def test_requeue_forgets_the_workers_that_died_before():
    scene = Scene()
    (task,) = scene.submit(1, max_attempts=2)
    for _ in range(2):
        for _ in range(2):
            worker = scene.join()
            (lease,) = scene.lease(worker)
            scene.say(worker, "died", lease)
        assert scene.broker.find(task).result.summary == "worker died 2 times: killed"
        scene.broker.requeue(None, scene.now)


def test_requeue_begins_anew_with_all_retries():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1, retries=1)
    for _ in range(2):
        for state in ("delayed", "failed"):
            scene.say(worker, "error", scene.lease(worker)[0])
            assert scene.states([task]) == [state]
            scene.pass_time(1.0)
        scene.broker.requeue(None, scene.now)


def test_several_tasks_of_a_span_share_what_happens_to_it_and_can_be_cancelled_one_by_one():
    scene = Scene()
    worker = scene.join()
    numbers = scene.submit(103, retries=1)
    for _ in range(3):
        scene.work(worker)
    (lease,) = scene.lease(worker)
    eight = tasks([lease])
    scene.say(worker, "error", lease)
    assert scene.broker.cancel(eight[3], 1, scene.now) == [(eight[3], 1)]
    scene.pass_time(1.0)
    assert scene.states(eight) == ["ready"] * 3 + ["cancelled"] + ["ready"] * 4
    while leases := scene.lease(worker):
        for lease in leases:
            scene.say(worker, "error" if lease.first + lease.lo in eight else "done", lease)
    failed = [number for number in numbers if scene.states([number]) == ["failed"]]
    assert set(failed) >= {eight[0], eight[4]}
    assert scene.broker.requeue(None, scene.now) == len(failed)
    assert sum(event.get("count", 1) for event in scene.events("requeued")) == len(failed)


def test_requeue_begins_anew_with_all_attempts():
    scene = Scene(max_attempts=1)
    worker = scene.join()
    (task,) = scene.submit(1, max_attempts=2)
    for _ in range(2):
        for _ in range(2):
            scene.say(worker, "died", scene.lease(worker)[0])
        assert scene.broker.find(task).result.summary == "worker died 2 times: killed"
        assert scene.broker.requeue("default", scene.now) == 1
        assert (scene.broker.find(task).attempt, scene.broker.find(task).history) == (0, ())
    assert scene.broker.requeue("default", scene.now) == 0
    assert scene.broker.failures() == []


# -- clients ---------------------------------------------------------------------------------------------------------


def test_a_full_backlog_refuses_and_takes_again_when_there_is_room():
    scene = Scene(backlog=10)
    worker = scene.join()
    scene.submit(8)
    run = new(9, 3, "f")
    assert not scene.broker.submit(scene.first, run, scene.now)
    assert scene.broker.find(9) is None
    scene.work(worker)
    assert scene.broker.submit(scene.first, run, scene.now)
    scene.submit(10, queue="another")  # each queue has its own


def test_a_run_that_the_backlog_can_never_hold_is_refused():
    scene = Scene(backlog=10)
    with pytest.raises(BadInput, match="11 tasks at once"):
        scene.broker.submit(scene.first, new(1, 11, "f"), scene.now)
    with pytest.raises(BadInput):
        scene.broker.plain.put(list(range(11)), scene.now)
    assert scene.broker.states.unfinished() == 0


def test_task_ids_belong_to_one_client():
    scene = Scene()
    other = scene.broker.states.clients.open()
    for first, count in [(other.first, 1), (CLIENT_IDS - 1, 2), (CLIENT_IDS, 1)]:
        with pytest.raises(BadInput, match="not of client 0"):
            scene.broker.submit(scene.first, new(first, count, "f"), scene.now)
    assert scene.broker.submit(scene.first, new(CLIENT_IDS - 1, 1, "f"), scene.now)


def test_what_nobody_could_run_is_refused():
    scene = Scene()
    with pytest.raises(BadInput, match="never sent"):
        scene.broker.submit(scene.first, new(1, 1, "unknown"), scene.now)


def test_cancelling_takes_a_piece_out_of_a_run_and_tells_its_client():
    scene = Scene()
    scene.submit(10)
    assert scene.broker.cancel(4, 3, scene.now) == [(4, 3)]
    assert scene.broker.cancel(1, 10, scene.now) == [(1, 3), (7, 4)]
    told = [(span.first, len(span), span.state.value) for _, span in scene.broker.collect(scene.first, 0)]
    assert told == [(4, 3, "cancelled"), (1, 3, "cancelled"), (7, 4, "cancelled")]
    assert scene.lease(scene.join()) == []


def test_cancelling_keeps_the_order_of_what_stays():
    scene = Scene()
    worker = scene.join()
    scene.submit(10)
    scene.submit(2)
    scene.broker.cancel(4, 3, scene.now)
    done = []
    while batch := scene.work(worker):
        done += batch
    assert done == [1, 2, 3, 7, 8, 9, 10, 11, 12]


def test_cancelling_every_other_task_of_a_long_run_one_by_one():
    """Each cancellation looked for its place among all pieces: this took minutes."""
    scene = Scene()
    ids = scene.submit(60_000)
    for task in ids[1::2]:
        scene.broker.cancel(task, 1, scene.now)
    worker = scene.join()
    assert tasks(scene.lease(worker)) == [ids[0]]
    assert scene.broker.states.counts["default"]["cancelled"] == 30_000


def test_cancelling_cannot_touch_what_has_started_or_ended_and_costs_nothing_for_ids_that_never_were():
    scene = Scene()
    worker = scene.join()
    scene.submit(3)
    scene.work(worker)
    scene.lease(worker)
    assert scene.broker.cancel(1, 10**11, scene.now) == []
    assert scene.broker.cancel(10**15, 10**11, scene.now) == []
    assert scene.states([1, 2, 3]) == ["done", "leased", "leased"]


def test_results_come_until_they_are_acknowledged():
    scene = Scene()
    worker = scene.join()
    scene.submit(3)
    scene.work(worker)
    (first,) = scene.broker.collect(scene.first, 0)
    scene.work(worker)
    again, second = scene.broker.collect(scene.first, 0)
    assert again == first
    assert scene.broker.collect(scene.first, first[0]) == [second]
    assert scene.broker.collect(scene.first, second[0]) == []


def test_one_answer_holds_no_more_results_than_its_bound():
    scene = Scene()
    worker = scene.join()
    for _ in range(5):
        scene.submit(1)
        scene.say(worker, "done", scene.lease(worker)[0], value=bytes(100))
    assert len(scene.broker.collect(scene.first, 0, limit=150)) == 2


def unread(scene, worker):
    """Let a client have more unread results than may wait for it."""
    scene.submit(10)
    for _ in range(2):
        (lease, *_) = scene.lease(worker)
        scene.say(worker, "done", lease, value=bytes(33 << 20), seconds=1.0)
    assert scene.lease(worker) == []
    scene.signals()


def test_unread_results_hold_their_clients_tasks_back_and_nobody_elses():
    scene = Scene()
    worker = scene.join()
    unread(scene, worker)
    other = scene.submit(1, client=scene.broker.states.clients.open())
    assert tasks(scene.lease(worker)) == list(other)


@pytest.mark.parametrize("way", ["collect", "close", "reopen"])
def test_tasks_that_were_held_back_go_on_when_the_results_were_read_or_nobody_will_read_them(way):
    scene = Scene()
    worker = scene.join()
    unread(scene, worker)
    if way == "collect":
        scene.broker.collect(scene.first, 1)
    else:
        scene.broker.close_client(scene.first, scene.now)
        if way == "reopen":
            scene.broker.reopen_client(scene.first, [])
    assert ("ready", "default") in scene.signals()
    assert scene.lease(worker)


def test_failures_that_were_requeued_do_not_count_as_unread():
    scene = Scene()
    worker = scene.join()
    scene.submit(1)
    for _ in range(3):
        (lease,) = scene.lease(worker)
        scene.say(
            worker, "error", lease, value=Failure(kind="error", exception=bytes(33 << 20), summary="ValueError: large")
        )
        scene.broker.requeue(None, scene.now)
    assert scene.lease(worker)


def test_a_client_that_comes_back_gets_what_it_misses_once():
    scene = Scene()
    worker = scene.join()
    scene.submit(2)
    scene.work(worker)
    scene.broker.close_client(scene.first, scene.now)
    assert scene.broker.collect(scene.first, 0) == []
    scene.work(worker)
    scene.broker.reopen_client(scene.first, [(1, 2)])
    scene.broker.reopen_client(scene.first, [(1, 1), (2, 1), (1, 2)])
    assert [span.first for _, span in scene.broker.collect(scene.first, 0)] == [1, 2]


def test_results_delivered_again_stay_known_until_they_are_read():
    scene = Scene()
    worker = scene.join()
    scene.submit(1)
    scene.work(worker)
    scene.broker.close_client(scene.first, scene.now)
    scene.broker.reopen_client(scene.first, [(1, 1)])
    scene.pass_time(3700.0)
    assert scene.states([1]) == ["done"]


def test_kept_results_are_forgotten_after_an_hour():
    scene = Scene()
    worker = scene.join()
    scene.submit(2)
    scene.work(worker)
    scene.broker.collect(scene.first, 1)
    scene.pass_time(3500.0)
    assert scene.states([1, 2]) == ["done", "ready"]
    scene.pass_time(200.0)
    assert scene.states([1, 2]) == ["forgotten", "ready"]


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize(("count", "size"), [(150_000, 10), (400, 1 << 20)], ids=["number", "bytes"])
def test_kept_results_are_bounded(count, size, read, monkeypatch):
    monkeypatch.setattr("dqlab.broker.kept_outcomes.KEEP_SPANS", 10 if size == 10 else 1000)
    scene = Scene()
    worker, result = scene.join(), bytes(size)
    if not read:
        scene.broker.close_client(scene.first, scene.now)
    numbers = scene.submit(count) if count > 1000 else [scene.submit()[0] for _ in range(count)]
    while leases := scene.lease(worker):
        for lease in leases:
            scene.say(worker, "done", lease, value=result, seconds=0.00001)
        if read:
            scene.broker.collect(scene.first, scene.broker.states.clients[0].serial)
    scene.broker.tick(scene.now)
    states = scene.states(numbers)
    kept = states.count("done")
    assert 0 < kept < count and states == ["forgotten"] * (count - kept) + ["done"] * kept
    spans = {span for number in numbers if (span := scene.broker.find(number))}
    assert kept <= 100_000 if read else len(spans) <= (10 if size == 10 else 256)
    assert scene.broker.states.counts["default"]["done"] == count


def fail(scene, worker):
    """Let one task fail, and return its id."""
    (task,) = scene.submit(1)
    (lease,) = scene.lease(worker)
    scene.say(worker, "error", lease)
    return task


def flood(scene, worker):
    """Another client has more done than is kept, and reads all of it."""
    busy = scene.broker.states.clients.open()
    while busy.last - busy.first < 150_000:
        scene.submit(10_000, client=busy)
        while leases := scene.lease(worker):
            for lease in leases:
                scene.say(worker, "done", lease, seconds=0.00001)
        scene.broker.collect(busy, busy.serial)
    scene.broker.tick(scene.now)
    assert scene.states([busy.first]) == ["forgotten"]


def test_what_is_read_makes_room_before_what_somebody_will_come_back_for():
    scene = Scene()
    worker = scene.join()
    failed = fail(scene, worker)
    (unread,) = scene.submit(1)
    scene.work(worker)
    scene.broker.collect(scene.first, 1)
    scene.broker.close_client(scene.first, scene.now)
    flood(scene, worker)
    assert scene.states([failed, unread]) == ["failed", "done"]
    assert scene.broker.reopen_client(scene.first, [(unread, 1)]) == []
    assert [span.first for _, span in scene.broker.collect(scene.first, 1)] == [unread]
    assert scene.broker.requeue(None, scene.now) == 1


def test_a_client_that_was_away_too_long_hears_what_is_forgotten_and_only_that():
    scene = Scene()
    worker = scene.join()
    ids = scene.submit(3)
    scene.work(worker)
    scene.broker.close_client(scene.first, scene.now)
    scene.pass_time(4000.0)
    scene.work(scene.join())
    never_accepted = (ids[-1] + 1, 5)
    assert scene.broker.reopen_client(scene.first, [(ids[0], 3), never_accepted]) == [(ids[0], 0, 1)]
    assert [(span.first, len(span)) for _, span in scene.broker.collect(scene.first, 0)] == [(ids[1], 2)]


# -- a master that serves for weeks ------------------------------------------------------------------------------------


def test_a_runs_payload_goes_with_its_last_task_that_may_be_run_again():
    scene = Scene()
    worker = scene.join()
    ids = scene.submit(3, retries=0)
    run = scene.broker.find(ids[0]).run
    (lease,) = scene.lease(worker)
    scene.say(worker, "error", lease)
    scene.work(worker)
    scene.broker.cancel(ids[2], 1, scene.now)
    assert run.payload is not None
    scene.broker.requeue(None, scene.now)
    (again,) = scene.lease(scene.join())
    assert (again.lo, again.payload) == (0, b"items")
    scene.say(scene.broker.find(ids[0]).worker, "done", again)
    assert scene.states(ids) == ["done", "done", "cancelled"]
    assert run.payload is None


def test_functions_that_no_task_needs_are_forgotten_beyond_a_bound(monkeypatch):
    monkeypatch.setattr("dqlab.broker.functions.UNUSED", 5)
    scene = Scene()
    worker = scene.join()
    failed = fail(scene, worker)  # it may be requeued, and then needs its function
    for i in range(20):
        scene.broker.states.functions.add({f"f{i}": b"pickled"})
        scene.submit(1, function=f"f{i}")
        scene.broker.tick(scene.now)
        scene.work(worker)
    scene.submit(1, function="f15")
    scene.pass_time(0.0)
    assert set(scene.broker.states.functions) == {"f", "g", "f14", "f15", "f16", "f17", "f18", "f19"}
    scene.broker.requeue(None, scene.now)
    assert failed in scene.work(worker) + scene.work(worker)


def test_the_bytes_of_functions_that_no_task_needs_are_bounded(monkeypatch):
    monkeypatch.setattr("dqlab.broker.functions.UNUSED_BYTES", 1000)
    scene = Scene()
    for i in range(10):
        scene.broker.states.functions.add({f"f{i}": bytes(400)})
    scene.broker.states.functions.add({"f9": bytes(400)})
    scene.pass_time(0.0)
    assert {"f8", "f9"} <= set(scene.broker.states.functions) and "f7" not in scene.broker.states.functions


@pytest.mark.parametrize("functions", [{"f1": 5}, {5: b"f"}])
def test_a_function_is_a_digest_and_a_pickle(functions):
    with pytest.raises(BadInput):
        Scene().broker.states.functions.add(functions)


def test_clients_that_left_for_good_are_forgotten_and_may_come_back():
    scene = Scene()
    worker, broker = scene.join(), scene.broker
    busy, idle, here = (broker.states.clients.open(TOKEN) for _ in range(3))
    scene.submit(1, client=idle)
    scene.work(worker)
    broker.collect(idle, 1)
    scene.submit(1, client=busy)
    for client in (busy, idle):
        broker.close_client(client, scene.now)
    scene.pass_time(AWAY_SECONDS + 1)
    scene.pass_time(AWAY_SECONDS + 1)
    assert set(broker.states.clients) == {0, busy.number, here.number}
    assert broker.states.clients.open().number == 4
    idle = broker.states.clients.find(idle.number, TOKEN, scene.now)
    assert broker.reopen_client(idle, [(idle.first, 1)]) == [(idle.first, 0, 1)]
    assert broker.submit(idle, new(idle.first, 1, "f"), scene.now) and scene.states([idle.first]) == ["forgotten"]
    assert list(scene.submit(1, client=broker.states.clients[idle.number])) == [idle.first + 1]


def test_a_client_that_comes_and_goes_is_not_forgotten_too_early():
    scene = Scene()
    for _ in range(3):
        scene.broker.close_client(scene.first, scene.now)
        scene.broker.reopen_client(scene.first, [])
    scene.pass_time(AWAY_SECONDS + 1)
    assert 0 in scene.broker.states.clients
    scene.broker.close_client(scene.first, scene.now)
    scene.pass_time(AWAY_SECONDS / 2)
    assert 0 in scene.broker.states.clients


def test_there_are_only_so_many_queues(monkeypatch):
    monkeypatch.setattr("dqlab.broker.states.MOST_QUEUES", 3)
    scene = Scene()
    for i in range(3):
        scene.submit(1, queue=f"q{i}")
    with pytest.raises(BadInput, match="'q3' is one too many"):
        scene.submit(1, queue="q3")
    with pytest.raises(BadInput, match="'q4' is one too many"):
        scene.broker.states.pause("q4", True, scene.now)
    scene.submit(1, queue="q2")
    assert len(tasks(scene.lease(scene.join()))) == 1


# -- plain scripts ---------------------------------------------------------------------------------------------------


def test_a_handlers_results_go_to_the_plain_queue_and_its_exceptions_are_retried():
    scene = Scene(max_attempts=2)
    worker = scene.join(handler=True)
    scene.broker.plain.put(["a", "b"], scene.now)
    (lease,) = scene.lease(worker)
    scene.say(worker, "done", lease, value=["a!"])
    assert topics.PLAIN_RESULTS in scene.signals()
    for state in ("delayed", "failed"):
        (lease,) = scene.lease(worker)
        scene.say(worker, "error", lease)
        assert scene.broker.states.counts[PLAIN][state] == 1
        scene.pass_time(1.0)
    assert list(scene.broker.plain.results) == ["a!"]


# -- the machine stands still ----------------------------------------------------------------------------------------


def test_a_pause_of_the_whole_machine_is_charged_to_nobody():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1, max_attempts=2)
    (lease,) = scene.lease(worker)
    for _ in range(4):
        scene.now += 3 * LEASE
        scene.broker.tick(scene.now)
    assert scene.states([task]) == ["leased"]
    scene.say(worker, "done", lease)
    assert scene.states([task]) == ["done"] and scene.broker.find(task).attempt == 1


def test_a_worker_that_stays_silent_after_the_pause_loses_its_leases():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1)
    scene.lease(worker)
    scene.now += 3 * LEASE
    scene.broker.tick(scene.now)
    scene.pass_time(LEASE + 1)
    assert scene.states([task]) == ["ready"]


# -- what makes no sense ---------------------------------------------------------------------------------------------


def test_a_run_of_the_machines_last_ids_is_not_taken():
    scene = Scene()
    with pytest.raises(BadInput):
        scene.broker.submit(scene.first, new(CLIENT_IDS, 1, "f"), scene.now)


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_a_run_is_one_span_and_one_event_however_long_it_is():
    scene = Scene()
    worker = scene.join()
    scene.submit(1_000_000)
    run = scene.broker.find(1).run
    assert len(run.spans) == scene.broker.states.events.last - 1 == 1  # one event is the worker's
    scene.work(worker)
    assert len(run.spans) == 2


def spans_moved(backlog, monkeypatch):
    """How many events there are in one story, while ``backlog`` tasks wait."""
    scene = Scene()
    worker = scene.join()
    other = scene.broker.states.clients.open()
    if backlog:
        for i in range(0, backlog, 1000):
            scene.broker.submit(other, new(other.first + i, 1000, "f", queue="later"), scene.now)
        scene.broker.states.pause("later", True, scene.now)
    touched = 0

    def count(*args, add=scene.broker.states.events.add, **kwargs):
        nonlocal touched
        touched += 1
        add(*args, **kwargs)

    monkeypatch.setattr(scene.broker.states.events, "add", count)
    scene.submit(100)
    while scene.work(worker):
        scene.pass_time(0.1)
        scene.broker.collect(scene.first, 5)
    return touched


def test_an_operation_moves_as_many_spans_whatever_waits(monkeypatch):
    assert spans_moved(0, monkeypatch) == spans_moved(1_000_000, monkeypatch) < 30
