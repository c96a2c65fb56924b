"""The broker's decisions, one by one. That they hold together is shown by `test_broker_machine`."""

from __future__ import annotations

import pytest

from dqlab.broker.clients import AWAY_SECONDS, CLIENT_IDS
from dqlab.broker.tasks import Run
from dqlab.errors import BadInput, Refused
from dqlab.wire.messages import PLAIN, Outcome
from tests.broker.scene import LEASE, Scene, tasks

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
    while scene.lease(worker)[-1].function != "g":
        scene.broker.settle(worker, [], scene.now)
        scene.work(worker)
        for token, span in list(scene.broker.workers[worker].leases.items()):
            scene.broker.settle(worker, [Outcome("done", token, span.lo, span.hi, b"", 0.001)], scene.now)
    assert scene.lease(worker) == []


def test_a_worker_that_holds_enough_for_now_gets_more_when_half_of_it_is_done():
    scene = Scene()
    worker = scene.join()
    scene.submit(100_000)
    for _ in range(10):
        scene.work(worker, seconds=0.001)
    (grant,) = scene.lease(worker)
    assert (grant.hi - grant.lo, scene.lease(worker)) == (200, [])
    scene.say(worker, "done", grant, grant.lo, grant.lo + 100, seconds=0.1)
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
    assert scene.broker.unseen_functions(worker, first) == {"f": b"f"}
    scene.say(worker, "done", first[0])
    second = scene.lease(worker)
    assert (first[0].payload, second[0].payload) == (b"the items", None)
    assert scene.broker.unseen_functions(worker, second) == {}


# -- who comes next --------------------------------------------------------------------------------------------------


def test_clients_take_turns_so_that_many_tasks_of_one_do_not_starve_another():
    scene = Scene()
    worker = scene.join()
    other = scene.broker.open_client()
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
        while scene.broker.counts["other"]["done"] == 0:
            scene.work(worker, seconds=seconds)
    (wanted,) = scene.submit(1, queue="other", function="g")
    held = scene.lease(worker)
    for _ in range(50):  # it reports half of what it holds, and asks for more
        for grant in held[:1]:
            middle = (grant.lo + grant.hi + 1) // 2
            scene.say(worker, "done", grant, grant.lo, middle, seconds=0.0001 * (middle - grant.lo))
            held[0] = grant._replace(lo=middle)
        held = [grant for grant in held if grant.lo < grant.hi] + scene.lease(worker)
        if wanted in tasks(held):
            return
    pytest.fail("the other queue got nothing in fifty rounds")


def test_workers_get_tasks_of_their_queues_only_and_plain_ones_only_with_a_handler():
    scene = Scene()
    images, any_queue, handler = scene.join(("images",)), scene.join(), scene.join(("plain",), handler=True)
    scene.submit(3, queue="pages")
    scene.broker.plain_put(["url_0"], scene.now)
    assert scene.lease(images) == [] == scene.lease(scene.join(("plain",)))
    assert scene.lease(any_queue)[0].queue == "pages"
    assert scene.lease(handler)[0].payload == ["url_0"]


def test_a_paused_queue_gives_nothing_out_and_finishes_what_it_gave():
    scene = Scene()
    worker = scene.join()
    scene.submit(3)
    (grant,) = scene.lease(worker)
    scene.broker.pause("default", True, scene.now)
    scene.say(worker, "done", grant)
    assert scene.lease(worker) == []
    scene.broker.pause("default", False, scene.now)
    assert ("ready", "default") in scene.signals()
    assert scene.lease(worker)


def test_a_worker_that_stops_gets_nothing_more_and_is_told():
    scene = Scene()
    worker = scene.join()
    scene.submit(3)
    scene.broker.stop_worker(worker)
    assert scene.lease(worker) == []
    assert scene.commands(worker) == [("stop",)]
    with pytest.raises(Refused, match="w9"):
        scene.broker.stop_worker("w9")


# -- taking back -----------------------------------------------------------------------------------------------------


def rich_and_hungry(scene):
    """A worker that holds two hundred tasks, and one that has nothing to do."""
    rich = scene.join()
    scene.submit(10_000)
    for _ in range(10):
        scene.work(rich, seconds=0.001)
    (grant,) = scene.lease(rich)
    scene.broker.pause("default", True, scene.now)
    hungry = scene.join()
    assert scene.lease(hungry) == []
    return rich, hungry, grant


def test_a_worker_with_much_is_asked_for_half_of_it_when_another_has_nothing():
    scene = Scene()
    rich, hungry, grant = rich_and_hungry(scene)
    scene.broker.tick(scene.now)
    assert scene.commands(rich) == []  # it was just given that, and has hardly begun
    scene.pass_time(0.05)
    assert scene.commands(rich) == [("reclaim", 0.5)]
    assert ("command", rich) in scene.signals()
    scene.pass_time(0.01)
    assert scene.commands(rich) == []  # it has not had the time to answer
    scene.say(rich, "released", grant, lo=grant.lo + 100)
    scene.broker.pause("default", False, scene.now)
    assert len(scene.lease(hungry)) == 1
    assert scene.states([grant.first + grant.lo + 100]) == ["leased"]


def test_all_behind_a_long_task_is_asked_back():
    scene = Scene()
    rich, _, _ = rich_and_hungry(scene)
    scene.pass_time(1.0)
    assert scene.commands(rich) == [("reclaim", 1.0)]


def test_nobody_is_asked_for_tasks_that_the_idle_worker_may_not_have():
    scene = Scene()
    rich, _, _ = rich_and_hungry(scene)
    scene.broker.leave(scene.broker.workers["w2"], "gone", scene.now)
    assert scene.lease(scene.join(("images",))) == []
    scene.pass_time(1.0)
    assert scene.commands(rich) == []


def test_nobody_is_asked_for_a_worker_that_stops():
    scene = Scene()
    rich, hungry, _ = rich_and_hungry(scene)
    scene.broker.stop_worker(hungry)
    scene.pass_time(1.0)
    assert scene.commands(rich) == []


def test_what_is_given_back_unbegun_is_no_attempt():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1)
    for _ in range(5):
        (grant,) = scene.lease(worker)
        assert grant.attempt == 1
        scene.say(worker, "released", grant)
    assert scene.states([task]) == ["ready"]


# -- lost, late, again -----------------------------------------------------------------------------------------------


def test_a_worker_that_leaves_gives_its_tasks_back_in_their_order():
    scene = Scene()
    one, two = scene.join(), scene.join()
    scene.submit(20)
    for _ in range(3):
        scene.work(one)
    held = tasks(scene.lease(one))
    scene.broker.leave(scene.broker.workers[one], "its connection ended", scene.now)
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
        scene.broker.heartbeat(living, scene.now)
    assert scene.states(tasks([lost, kept])) == ["ready", "leased"]
    assert not scene.broker.heartbeat(silent, scene.now)
    assert scene.events("worker_left")[0]["reason"] == "no heartbeat for 10 s"


def test_a_late_result_is_dropped_and_counted():
    scene = Scene()
    frozen, other = scene.join(), scene.join()
    (task,) = scene.submit(1)
    (old,) = scene.lease(frozen)
    scene.broker.leave(scene.broker.workers[frozen], "frozen", scene.now)
    (new,) = scene.lease(other)
    scene.say(frozen, "done", old, value=b"late")
    scene.say(other, "done", new, value=b"right")
    scene.say(other, "done", new, value=b"again")
    assert scene.broker.find(task).result == b"right"
    assert scene.broker.late == len(scene.events("duplicate")) == 2
    assert [span.result for _, span in scene.broker.collect(0, 0)] == [b"right"]


def test_an_outcome_from_the_middle_of_a_lease_is_dropped():
    scene = Scene()
    worker = scene.join()
    scene.submit(100)
    scene.work(worker)
    scene.work(worker)
    (grant,) = scene.lease(worker)
    for lo, hi in [(4, 6), (2, 4), (6, 8), (3, 3), (5, 4)]:
        scene.say(worker, "done", grant, lo, hi)
    assert (grant.lo, grant.hi) == (3, 7)
    assert scene.states(tasks([grant])) == ["leased"] * 4
    scene.say(worker, "done", grant)
    assert scene.states(tasks([grant])) == ["done"] * 4


def test_a_name_that_is_taken_is_not_given_twice():
    scene = Scene()
    assert [scene.join(), scene.join(name="w1"), scene.join(name="mine"), scene.join()] == ["w1", "w2", "mine", "w3"]


def test_a_poison_task_ends_as_failed_with_its_history_and_takes_no_neighbour_with_it():
    scene = Scene()
    scene.submit(100)
    names = []
    for _ in range(3):
        names.append(scene.join())
        (grant,) = scene.lease(names[-1])
        assert (grant.lo, grant.hi) == (0, 1)
        scene.broker.leave(scene.broker.workers[names[-1]], "killed", scene.now)
    assert scene.states([1, 2]) == ["failed", "ready"]
    (failed,) = scene.broker.failures()
    assert failed.history == tuple((name, "killed") for name in names)
    assert failed.result[3] == "worker died 3 times: killed"


def with_a_last_attempt(scene, queue):
    """A worker that knows short tasks of the default queue; and a task of a queue that has one attempt left."""
    worker = scene.join()
    scene.submit(1_000_000)
    for _ in range(5):
        scene.work(worker, seconds=0.0001)
    (poison,) = scene.submit(1, client=scene.broker.open_client(), queue=queue, max_attempts=1)
    for _ in range(10):
        held = scene.lease(worker)
        if poison in tasks(held):
            return worker, held
        for grant in held:
            scene.say(worker, "done", grant, seconds=0.0001)
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
            (grant,) = scene.lease(worker)
            scene.say(worker, "error", grant)
            assert scene.lease(worker) == []
            scene.now += scene.events("delayed")[-1]["seconds"]
            scene.broker.heartbeat(worker, scene.now)
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
    assert scene.broker.find(task).result[0] == kind
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
    assert scene.broker.find(task).result[3] == "worker died: killed"


def test_a_task_that_is_retried_for_ever_keeps_a_history_of_bounded_size():
    scene = Scene()
    worker = scene.join()
    (task,) = scene.submit(1, retries=10_000, max_attempts=500)
    for i in range(300):
        scene.pass_time(50.0)
        worker = scene.join()
        (grant,) = scene.lease(worker)
        kind = "died" if i in (3, 4) else "error"
        scene.say(worker, kind, grant, value="killed" if kind == "died" else (None, "", f"{i} " + "x" * 5_000))
    history = scene.broker.find(task).history
    assert [reason.split()[0] for _, reason in history] == [f"{i}" for i in range(200, 300)]
    assert max(len(reason) for _, reason in history) == 1_000


def test_requeue_forgets_the_workers_that_died_before():
    scene = Scene()
    (task,) = scene.submit(1, max_attempts=2)
    for _ in range(2):
        for _ in range(2):
            worker = scene.join()
            (grant,) = scene.lease(worker)
            scene.say(worker, "died", grant)
        assert scene.broker.find(task).result[3] == "worker died 2 times: killed"
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
    (grant,) = scene.lease(worker)
    eight = tasks([grant])
    scene.say(worker, "error", grant)
    assert scene.broker.cancel(eight[3], 1, scene.now) == [(eight[3], 1)]
    scene.pass_time(1.0)
    assert scene.states(eight) == ["ready"] * 3 + ["cancelled"] + ["ready"] * 4
    while grants := scene.lease(worker):
        for grant in grants:
            scene.say(worker, "error" if grant.first + grant.lo in eight else "done", grant)
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
        assert scene.broker.find(task).result[3] == "worker died 2 times: killed"
        assert scene.broker.requeue("default", scene.now) == 1
        assert (scene.broker.find(task).attempt, scene.broker.find(task).history) == (0, ())
    assert scene.broker.requeue("default", scene.now) == 0
    assert scene.broker.failures() == []


# -- clients ---------------------------------------------------------------------------------------------------------


def test_a_full_backlog_refuses_and_takes_again_when_there_is_room():
    scene = Scene(backlog=10)
    worker = scene.join()
    scene.submit(8)
    run = Run(9, 3, "default", "map", "f", b"")
    assert not scene.broker.submit(0, run, scene.now)
    assert scene.broker.find(9) is None
    scene.work(worker)
    assert scene.broker.submit(0, run, scene.now)
    scene.submit(10, queue="another")  # each queue has its own


def test_a_run_that_the_backlog_can_never_hold_is_refused():
    scene = Scene(backlog=10)
    with pytest.raises(BadInput, match="11 tasks at once"):
        scene.broker.submit(0, Run(1, 11, "default", "map", "f", b""), scene.now)
    with pytest.raises(BadInput):
        scene.broker.plain_put(list(range(11)), scene.now)
    assert scene.broker.unfinished() == 0


def test_task_ids_belong_to_one_client():
    scene = Scene()
    other = scene.broker.open_client()
    for first, count in [(other.first, 1), (CLIENT_IDS - 1, 2), (CLIENT_IDS, 1)]:
        with pytest.raises(BadInput, match="not of client 0"):
            scene.broker.submit(0, Run(first, count, "default", "map", "f", b""), scene.now)
    assert scene.broker.submit(0, Run(CLIENT_IDS - 1, 1, "default", "map", "f", b""), scene.now)


def test_what_nobody_could_run_is_refused():
    scene = Scene()
    with pytest.raises(BadInput, match="never sent"):
        scene.broker.submit(0, Run(1, 1, "default", "map", "unknown", b""), scene.now)


def test_cancelling_takes_a_piece_out_of_a_run_and_tells_its_client():
    scene = Scene()
    scene.submit(10)
    assert scene.broker.cancel(4, 3, scene.now) == [(4, 3)]
    assert scene.broker.cancel(1, 10, scene.now) == [(1, 3), (7, 4)]
    told = [(span.first, len(span), span.state.value) for _, span in scene.broker.collect(0, 0)]
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
    assert scene.broker.counts["default"]["cancelled"] == 30_000


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
    (first,) = scene.broker.collect(0, 0)
    scene.work(worker)
    again, second = scene.broker.collect(0, 0)
    assert again == first
    assert scene.broker.collect(0, first[0]) == [second]
    assert scene.broker.collect(0, second[0]) == []


def test_one_answer_holds_no_more_results_than_its_bound():
    scene = Scene()
    worker = scene.join()
    for _ in range(5):
        scene.submit(1)
        scene.say(worker, "done", scene.lease(worker)[0], value=bytes(100))
    assert len(scene.broker.collect(0, 0, limit=150)) == 2


def unread(scene, worker):
    """Let a client have more unread results than may wait for it."""
    scene.submit(10)
    for _ in range(2):
        (grant, *_) = scene.lease(worker)
        scene.say(worker, "done", grant, value=bytes(33 << 20), seconds=1.0)
    assert scene.lease(worker) == []
    scene.signals()


def test_unread_results_hold_their_clients_tasks_back_and_nobody_elses():
    scene = Scene()
    worker = scene.join()
    unread(scene, worker)
    other = scene.submit(1, client=scene.broker.open_client())
    assert tasks(scene.lease(worker)) == list(other)


@pytest.mark.parametrize("way", ["collect", "close", "reopen"])
def test_tasks_that_were_held_back_go_on_when_the_results_were_read_or_nobody_will_read_them(way):
    scene = Scene()
    worker = scene.join()
    unread(scene, worker)
    if way == "collect":
        scene.broker.collect(0, 1)
    else:
        scene.broker.close_client(0, scene.now)
        if way == "reopen":
            scene.broker.reopen_client(0, [], scene.now)
    assert ("ready", "default") in scene.signals()
    assert scene.lease(worker)


def test_failures_that_were_requeued_do_not_count_as_unread():
    scene = Scene()
    worker = scene.join()
    scene.submit(1)
    for _ in range(3):
        (grant,) = scene.lease(worker)
        scene.say(worker, "error", grant, value=(bytes(33 << 20), "", "ValueError: large"))
        scene.broker.requeue(None, scene.now)
    assert scene.lease(worker)


def test_a_client_that_comes_back_gets_what_it_misses_once():
    scene = Scene()
    worker = scene.join()
    scene.submit(2)
    scene.work(worker)
    scene.broker.close_client(0, scene.now)
    assert scene.broker.collect(0, 0) == []
    scene.work(worker)
    scene.broker.reopen_client(0, [(1, 2)], scene.now)
    scene.broker.reopen_client(0, [(1, 1), (2, 1), (1, 2)], scene.now)
    assert [span.first for _, span in scene.broker.collect(0, 0)] == [1, 2]


def test_results_delivered_again_stay_known_until_they_are_read():
    scene = Scene()
    worker = scene.join()
    scene.submit(1)
    scene.work(worker)
    scene.broker.close_client(0, scene.now)
    scene.broker.reopen_client(0, [(1, 1)], scene.now)
    scene.pass_time(3700.0)
    assert scene.states([1]) == ["done"]


def test_kept_results_are_forgotten_after_an_hour():
    scene = Scene()
    worker = scene.join()
    scene.submit(2)
    scene.work(worker)
    scene.broker.collect(0, 1)
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
        scene.broker.close_client(0, scene.now)
    numbers = scene.submit(count) if count > 1000 else [scene.submit()[0] for _ in range(count)]
    while grants := scene.lease(worker):
        for grant in grants:
            scene.say(worker, "done", grant, value=result, seconds=0.00001)
        if read:
            scene.broker.collect(0, scene.broker.clients[0].serial)
    scene.broker.tick(scene.now)
    states = scene.states(numbers)
    kept = states.count("done")
    assert 0 < kept < count and states == ["forgotten"] * (count - kept) + ["done"] * kept
    spans = {span for number in numbers if (span := scene.broker.find(number))}
    assert kept <= 100_000 if read else len(spans) <= (10 if size == 10 else 256)
    assert scene.broker.counts["default"]["done"] == count


def fail(scene, worker):
    """Let one task fail, and return its id."""
    (task,) = scene.submit(1)
    (grant,) = scene.lease(worker)
    scene.say(worker, "error", grant)
    return task


def flood(scene, worker):
    """Another client has more done than is kept, and reads all of it."""
    busy = scene.broker.open_client()
    while busy.last - busy.first < 150_000:
        scene.submit(10_000, client=busy)
        while grants := scene.lease(worker):
            for grant in grants:
                scene.say(worker, "done", grant, seconds=0.00001)
        scene.broker.collect(busy.number, busy.serial)
    scene.broker.tick(scene.now)
    assert scene.states([busy.first]) == ["forgotten"]


def test_what_is_read_makes_room_before_what_somebody_will_come_back_for():
    scene = Scene()
    worker = scene.join()
    failed = fail(scene, worker)
    (unread,) = scene.submit(1)
    scene.work(worker)
    scene.broker.collect(0, 1)
    scene.broker.close_client(0, scene.now)
    flood(scene, worker)
    assert scene.states([failed, unread]) == ["failed", "done"]
    assert scene.broker.reopen_client(0, [(unread, 1)], scene.now) == []
    assert [span.first for _, span in scene.broker.collect(0, 1)] == [unread]
    assert scene.broker.requeue(None, scene.now) == 1


def test_a_client_that_was_away_too_long_hears_what_is_forgotten_and_only_that():
    scene = Scene()
    worker = scene.join()
    ids = scene.submit(3)
    scene.work(worker)
    scene.broker.close_client(0, scene.now)
    scene.pass_time(4000.0)
    scene.work(scene.join())
    never_accepted = (ids[-1] + 1, 5)
    assert scene.broker.reopen_client(0, [(ids[0], 3), never_accepted], scene.now) == [(ids[0], 0, 1)]
    assert [(span.first, len(span)) for _, span in scene.broker.collect(0, 0)] == [(ids[1], 2)]


# -- a master that serves for weeks ------------------------------------------------------------------------------------


def test_a_runs_payload_goes_with_its_last_task_that_may_be_run_again():
    scene = Scene()
    worker = scene.join()
    ids = scene.submit(3, retries=0)
    run = scene.broker.find(ids[0]).run
    (grant,) = scene.lease(worker)
    scene.say(worker, "error", grant)
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
        scene.broker.functions.add({f"f{i}": b"pickled"})
        scene.submit(1, function=f"f{i}")
        scene.broker.tick(scene.now)
        scene.work(worker)
    scene.submit(1, function="f15")
    scene.pass_time(0.0)
    assert set(scene.broker.functions) == {"f", "g", "f14", "f15", "f16", "f17", "f18", "f19"}
    scene.broker.requeue(None, scene.now)
    assert failed in scene.work(worker) + scene.work(worker)


def test_the_bytes_of_functions_that_no_task_needs_are_bounded(monkeypatch):
    monkeypatch.setattr("dqlab.broker.functions.UNUSED_BYTES", 1000)
    scene = Scene()
    for i in range(10):
        scene.broker.functions.add({f"f{i}": bytes(400)})
    scene.broker.functions.add({"f9": bytes(400)})
    scene.pass_time(0.0)
    assert {"f8", "f9"} <= set(scene.broker.functions) and "f7" not in scene.broker.functions


@pytest.mark.parametrize("functions", [{"f1": 5}, {5: b"f"}])
def test_a_function_is_a_digest_and_a_pickle(functions):
    with pytest.raises(BadInput):
        Scene().broker.functions.add(functions)


def test_clients_that_left_for_good_are_forgotten_and_may_come_back():
    scene = Scene()
    worker, broker = scene.join(), scene.broker
    busy, idle, here = (broker.open_client() for _ in range(3))
    scene.submit(1, client=idle)
    scene.work(worker)
    broker.collect(idle.number, 1)
    scene.submit(1, client=busy)
    for client in (busy, idle):
        broker.close_client(client.number, scene.now)
    scene.pass_time(AWAY_SECONDS + 1)
    scene.pass_time(AWAY_SECONDS + 1)
    assert set(broker.clients) == {0, busy.number, here.number}
    assert broker.open_client().number == 4
    assert broker.reopen_client(idle.number, [(idle.first, 1)], scene.now) == [(idle.first, 0, 1)]
    run = Run(idle.first, 1, "default", "map", "f", b"items")
    assert broker.submit(idle.number, run, scene.now) and scene.states([idle.first]) == ["forgotten"]
    assert list(scene.submit(1, client=broker.clients[idle.number])) == [idle.first + 1]


def test_a_client_that_comes_and_goes_is_not_forgotten_too_early():
    scene = Scene()
    for _ in range(3):
        scene.broker.close_client(0, scene.now)
        scene.broker.reopen_client(0, [], scene.now)
    scene.pass_time(AWAY_SECONDS + 1)
    assert 0 in scene.broker.clients
    scene.broker.close_client(0, scene.now)
    scene.pass_time(AWAY_SECONDS / 2)
    assert 0 in scene.broker.clients


def test_there_are_only_so_many_queues(monkeypatch):
    monkeypatch.setattr("dqlab.broker.states.MOST_QUEUES", 3)
    scene = Scene()
    for i in range(3):
        scene.submit(1, queue=f"q{i}")
    with pytest.raises(BadInput, match="'q3' is one too many"):
        scene.submit(1, queue="q3")
    with pytest.raises(BadInput, match="'q4' is one too many"):
        scene.broker.pause("q4", True, scene.now)
    scene.submit(1, queue="q2")
    assert len(tasks(scene.lease(scene.join()))) == 1


# -- plain scripts ---------------------------------------------------------------------------------------------------


def test_a_plain_get_is_settled_by_the_connections_next_word_and_given_back_by_its_end():
    scene = Scene()
    broker = scene.broker
    broker.plain_put(["a", "b"], scene.now)
    assert broker.plain_get("one", scene.now) == ["a"]
    assert broker.plain_get("two", scene.now) == ["b"]
    assert broker.plain_get("three", scene.now) == []
    broker.plain_hang_up("one", scene.now)
    assert broker.plain_get("three", scene.now) == ["a"]
    assert broker.plain_settle("two", scene.now) and broker.plain_settle("three", scene.now)
    assert not broker.plain_settle("three", scene.now)
    assert broker.counts[PLAIN]["done"] == 2 and broker.unfinished() == 0


def test_a_lost_connection_never_ends_a_plain_task():
    scene = Scene()
    scene.broker.plain_put(["a"], scene.now)
    for attempt in range(20):
        assert scene.broker.plain_get(attempt, scene.now) == ["a"]
        scene.broker.plain_hang_up(attempt, scene.now)
    assert scene.broker.counts[PLAIN]["redelivered"] == 20


def test_what_only_scripts_have_had_is_a_value_and_everybody_is_served_in_order():
    scene = Scene()
    broker = scene.broker
    broker.plain_put(["a", "b", "c", "d"], scene.now)
    broker.plain_put(["e"], scene.now)
    first = next(client.first for client in broker.clients.values() if client.plain)
    assert broker.plain_get("one", scene.now) == ["a"]
    assert scene.states(range(first, first + 6)) == ["leased", *["ready"] * 4, "forgotten"]
    broker.plain_hang_up("one", scene.now)
    worker = scene.join(handler=True)
    given = []
    while grants := scene.lease(worker):
        given += [value for grant in grants for value in grant.payload]
        assert scene.states(range(first, first + len(given))) == ["forgotten"] * (len(given) - 1) + ["leased"]
        values = [value.upper() for value in grants[0].payload]
        scene.say(worker, "done", grants[0], value=values, seconds=1.0)  # so long that it gets one at a time
        if given == ["a", "b"]:
            assert broker.plain_get("one", scene.now) == ["c"], "a script takes what is left of a run"
            broker.plain_hang_up("one", scene.now)
    assert given == ["a", "b", "c", "d", "e"] and list(broker.results) == ["A", "B", "C", "D", "E"]
    assert broker.counts[PLAIN] == {
        "ready": 0, "delayed": 0, "leased": 0, "done": 5, "failed": 0, "cancelled": 0, "redelivered": 2,
    }  # fmt: skip


def test_plain_tasks_that_wait_can_be_cancelled_and_those_that_a_script_holds_cannot():
    scene = Scene()
    scene.broker.plain_put(["a", "b", "c"], scene.now)
    scene.broker.plain_put(["d"], scene.now)
    first = next(client.first for client in scene.broker.clients.values() if client.plain)
    assert scene.broker.plain_get("one", scene.now) == ["a"]
    assert scene.broker.cancel(first, 2, scene.now) == [(first + 1, 1)]
    assert [scene.broker.plain_get("two", scene.now) for _ in range(3)] == [["c"], ["d"], []]
    counts = scene.broker.counts[PLAIN]
    assert (counts["done"], counts["leased"], counts["cancelled"]) == (2, 1, 1)


@pytest.mark.parametrize("handler", [False, True], ids=["a script", "a worker"])
def test_a_value_that_waits_behind_cancelled_tasks_only_is_given_out(handler):
    scene = Scene()
    worker = scene.join(handler=True)
    scene.broker.plain_put(["a", "b"], scene.now)
    first = next(client.first for client in scene.broker.clients.values() if client.plain)
    assert scene.broker.cancel(first, 2, scene.now) == [(first, 2)]
    scene.broker.plain_put(["c"], scene.now)
    if handler:
        assert [grant.payload for grant in scene.lease(worker)] == [["c"]]
    else:
        assert scene.broker.plain_get("one", scene.now) == ["c"]


def test_a_handlers_results_go_to_the_plain_queue_and_its_exceptions_are_retried():
    scene = Scene(max_attempts=2)
    worker = scene.join(handler=True)
    scene.broker.plain_put(["a", "b"], scene.now)
    (grant,) = scene.lease(worker)
    scene.say(worker, "done", grant, value=["a!"])
    assert ("plain results", None) in scene.signals()
    for state in ("delayed", "failed"):
        (grant,) = scene.lease(worker)
        scene.say(worker, "error", grant)
        assert scene.broker.counts[PLAIN][state] == 1
        scene.pass_time(1.0)
    assert list(scene.broker.results) == ["a!"]


# -- what makes no sense ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outcome",
    [
        ("finished", 0, 1, b"", 0.0),
        ("done", 0, 1, None, 0.0),
        ("done", 0, "1", b"", 0.0),
        ("done", 0, 1, b"", float("nan")),
        ("done", 0, 1, b"", float("inf")),
        ("done", 0, 1, b"", None),
        ("error", 0, 1, None, 0.0),
        ("error", 0, 1, (b"", "summary"), 0.0),
        ("error", 0, 1, ("no bytes", "", ""), 0.0),
        ("died", 0, 1, None, 0.0),
    ],
    ids=str,
)
def test_an_outcome_that_makes_no_sense_is_refused_before_anything_changes(outcome):
    kind, lo, hi, value, seconds = outcome
    scene = Scene()
    worker = scene.join()
    scene.submit(2)
    scene.work(worker)
    (grant,) = scene.lease(worker)
    good = Outcome("done", grant.token, grant.lo, grant.hi, b"", 0.1)
    with pytest.raises(BadInput):
        scene.broker.settle(worker, [good, Outcome(kind, grant.token, lo, hi, value, seconds)], scene.now)
    assert scene.states([1, 2]) == ["done", "leased"]
    scene.broker.settle(worker, [good], scene.now)
    assert scene.states([1, 2]) == ["done", "done"]


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_a_run_is_one_span_and_one_event_however_long_it_is():
    scene = Scene()
    worker = scene.join()
    scene.submit(1_000_000)
    run = scene.broker.find(1).run
    assert len(run.spans) == scene.broker.events.last - 1 == 1  # one event is the worker's
    scene.work(worker)
    assert len(run.spans) == 2


def spans_moved(backlog, monkeypatch):
    """How many times a span changes its state in one story, while ``backlog`` tasks wait."""
    scene = Scene()
    worker = scene.join()
    other = scene.broker.open_client()
    if backlog:
        for i in range(0, backlog, 1000):
            scene.broker.submit(other.number, Run(other.first + i, 1000, "later", "map", "f", b""), scene.now)
        scene.broker.pause("later", True, scene.now)
    touched = 0

    def count(span, state, now, move=scene.broker._move):
        nonlocal touched
        touched += 1
        move(span, state, now)

    monkeypatch.setattr(scene.broker, "_move", count)
    scene.submit(100)
    while scene.work(worker):
        scene.pass_time(0.1)
        scene.broker.collect(0, 5)
    return touched


def test_an_operation_moves_as_many_spans_whatever_waits(monkeypatch):
    assert spans_moved(0, monkeypatch) == spans_moved(1_000_000, monkeypatch) < 30
