"""`dqlab.simulate`: what so many workers would do, on paper."""

import itertools

import pytest

from dqlab import BadInput, simulate


@pytest.fixture(autouse=True)
def even_broker(monkeypatch):
    """Each call of the broker takes 50 us, whatever else this machine does."""
    looks = itertools.count()
    monkeypatch.setattr("dqlab.master.simulation.CLOCK", lambda: next(looks) * 50e-6)


def test_long_tasks_are_done_as_fast_as_there_are_workers():
    one, four = simulate(workers=1, tasks=200), simulate(workers=4, tasks=800)
    assert one.throughput == pytest.approx(5.0, rel=0.1)
    assert four.throughput == pytest.approx(20.0, rel=0.1)
    assert one.utilisation > 0.95 and four.utilisation > 0.95
    assert one.master < 0.1 and four.master < 0.1


def test_where_the_master_is_the_narrowest_place_more_workers_bring_nothing():
    some, more = simulate(workers=500, tasks=5_000, seconds=0.01), simulate(workers=1_000, tasks=5_000, seconds=0.01)
    assert some.master > 0.8 and more.master > 0.8
    assert more.throughput < 1.1 * some.throughput
    assert more.utilisation < some.utilisation < 0.9


def test_the_master_takes_the_time_of_the_real_broker(monkeypatch):
    monkeypatch.undo()
    assert 0 < simulate(workers=100, tasks=1_000, seconds=0.01).master <= 1


def test_a_far_worker_waits_for_its_messages():
    near, far = simulate(workers=2, tasks=200, trip=0.0), simulate(workers=2, tasks=200, trip=0.5)
    assert far.lasted > near.lasted + 0.5


def test_a_seed_draws_the_same_tasks():
    first, again, other = (simulate(workers=3, tasks=60, seed=seed) for seed in (1, 1, 2))
    work = [result.utilisation * result.lasted for result in (first, again, other)]
    assert work[0] == pytest.approx(work[1]) != pytest.approx(work[2])


def test_it_says_what_was_found_in_a_line():
    result = simulate(workers=2, tasks=20)
    assert str(result).startswith(f"2 workers: {result.throughput:,.0f} tasks/s, workers busy ")
    assert (result.workers, result.tasks) == (2, 20)


@pytest.mark.parametrize("asked", [{"workers": 0}, {"tasks": 1.5}, {"seconds": -1}, {"trip": float("nan")}])
def test_nonsense_is_refused(asked):
    (name,) = asked
    with pytest.raises(BadInput, match=f"{name}="):
        simulate(**asked)
