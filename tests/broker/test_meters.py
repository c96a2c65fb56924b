"""The meters: how fast, how long, how busy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.broker.meters import BUSY_MEMORY, LATENCY_SAMPLES, RATE_WINDOW, Latency, Rate, Utilisation


def test_nothing_done_is_no_rate():
    assert Rate().per_second(5.0) == 0.0


def test_a_steady_rate_reads_as_it_is_from_the_first_second_on():
    rate = Rate()
    for tenth in range(1, 301):
        rate.add(10, tenth / 10)
        if tenth > 20:
            assert rate.per_second(tenth / 10) == pytest.approx(100, rel=0.1)


def test_a_burst_fades_out_of_the_window():
    rate = Rate()
    rate.add(1000, 10.0)
    assert rate.per_second(12.0) == pytest.approx(500)
    assert rate.per_second(14.9) == pytest.approx(1000 / 4.9)
    assert rate.per_second(10.0 + RATE_WINDOW + 0.2) == 0.0


def test_a_burst_of_ten_thousand_calls_is_kept_in_a_few_slices():
    rate = Rate()
    for i in range(10_000):
        rate.add(1, i / 10_000)
    assert rate.per_second(1.0) == pytest.approx(10_000, rel=0.01)
    assert len(rate._slices) <= 12


def test_no_sample_has_no_percentile():
    assert Latency().percentile(0.5) is None


def test_percentiles_weigh_each_sample_by_its_tasks():
    latency = Latency()
    latency.add(9.0, 1)
    latency.add(1.0, 94)
    latency.add(5.0, 5)
    assert [latency.percentile(share) for share in (0.5, 0.94, 0.95, 0.99, 1.0)] == [1.0, 1.0, 5.0, 5.0, 9.0]


def test_old_samples_are_forgotten():
    latency = Latency()
    for seconds in [100.0, *[1.0] * LATENCY_SAMPLES]:
        latency.add(seconds, 1)
    assert latency.percentile(1.0) == 1.0


def test_a_worker_that_was_busy_all_its_life_is_so_from_the_first_second():
    meter = Utilisation(0.0)
    meter.busy(True, 0.0)
    for now in (0.01, 1.0, 100.0):
        assert meter.share(now) > 0.6
    assert meter.share(100.0) == pytest.approx(1.0, abs=0.01)


def test_half_the_time_busy_reads_as_half():
    meter = Utilisation(0.0)
    for tenth in range(1000):
        meter.busy(tenth % 2 == 0, tenth / 10)
    assert meter.share(100.0) == pytest.approx(0.5, abs=0.05)


def test_an_idle_workers_share_fades():
    meter = Utilisation(0.0)
    meter.busy(True, 0.0)
    meter.busy(False, 50.0)
    assert meter.share(50.0) > meter.share(51.0) > meter.share(50.0 + BUSY_MEMORY) > meter.share(200.0)
    assert meter.share(200.0) < 0.01


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=30))
def test_a_share_is_always_a_share(story):
    meter, now = Utilisation(0.0), 0.0
    for busy, seconds in story:
        now += seconds
        meter.busy(busy, now)
        assert 0.0 <= meter.share(now) <= 1.0
