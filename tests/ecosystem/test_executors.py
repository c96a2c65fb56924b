"""What others build on `concurrent.futures`, with a `Master` as the executor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import joblib
import pytest

import dqlab.joblib  # noqa: F401  (makes the back-end known)
from dqlab import BadInput, LocalWorkers, Master, connect
from tests.cluster import all_events, cluster


@pytest.fixture(scope="module")
def master() -> Iterator[Master]:
    """A master with two workers that the tests share."""
    with cluster(2) as (master, _):
        master.submit(int).result(30)  # from now on its threads are there
        yield master


def square(x):
    return x * x


def where(x):
    return os.getpid()


def fail_at_three(x):
    if x == 3:
        raise ValueError(x)
    return x


def norm(x):
    return float(sum((value - 0.5) ** 2 for value in x))


# -- how many workers -------------------------------------------------------------------------------------------------


def test_max_workers_counts_those_that_start_and_those_that_serve_the_queue():
    with Master() as master:
        assert master._max_workers == 1
        workers = LocalWorkers(master, 2)
        assert master._max_workers == 2  # none of them has joined
        workers.wait()
        LocalWorkers(master, 1, queues=["images"]).wait()
        assert (master._max_workers, master.options(queue="images")._max_workers) == (2, 3)
        with connect(master.connection_file) as client:
            assert (client._max_workers, client.options(queue="images")._max_workers) == (2, 3)


# -- asyncio ----------------------------------------------------------------------------------------------------------


def test_asyncio(master):
    async def both():
        loop = asyncio.get_running_loop()
        squares = await asyncio.gather(*[loop.run_in_executor(master, square, x) for x in range(20)])
        with pytest.raises(ValueError, match="3"):
            await loop.run_in_executor(master, fail_at_three, 3)
        return squares, await asyncio.wrap_future(master.submit(square, 5))

    assert asyncio.run(both()) == ([x * x for x in range(20)], 25)


def test_asyncio_cancels_what_waits(master):
    async def give_up():
        loop = asyncio.get_running_loop()
        for _ in range(2):
            loop.run_in_executor(master, time.sleep, 0.5)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(master, square, 1), 0.1)

    asyncio.run(give_up())
    master.submit(square, 2).result(30)
    assert all_events(master, "cancelled")


# -- joblib -----------------------------------------------------------------------------------------------------------


def test_joblib(master):
    with joblib.parallel_config("dqlab", master=master):
        assert joblib.effective_n_jobs() == joblib.effective_n_jobs(-1) == 2
        assert joblib.Parallel()(joblib.delayed(square)(x) for x in range(1_000)) == [x * x for x in range(1_000)]
        assert os.getpid() not in joblib.Parallel(n_jobs=2)(joblib.delayed(where)(x) for x in range(10))
        results = joblib.Parallel(return_as="generator")(joblib.delayed(square)(x) for x in range(50))
        assert list(results) == [x * x for x in range(50)]
    with joblib.parallel_backend("dqlab", master=master):
        assert joblib.Parallel()(joblib.delayed(lambda x: x + 1)(x) for x in range(5)) == [1, 2, 3, 4, 5]


def test_joblib_raises_what_a_call_raises_and_can_be_used_again(master):
    with joblib.parallel_config("dqlab", master=master):
        with pytest.raises(ValueError, match="3"):
            joblib.Parallel()(joblib.delayed(fail_at_three)(x) for x in range(100))
        assert joblib.Parallel()(joblib.delayed(square)(x) for x in range(3)) == [0, 1, 4]


def test_joblib_inside_a_task_of_joblib(master):
    def inner(n):
        return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(square)(x) for x in range(n)))

    with joblib.parallel_config("dqlab", master=master):
        assert joblib.Parallel()(joblib.delayed(inner)(n) for n in (3, 4)) == [5, 14]


def test_joblib_wants_a_master():
    with pytest.raises(BadInput, match="master=None"), joblib.parallel_config("dqlab"):
        pass


# -- others, which are installed by `make test PART=ecosystem` --------------------------------------------------------


def test_dask(master):
    import dask

    tasks = [dask.delayed(square)(x) for x in range(20)]
    assert dask.compute(*tasks, scheduler=master) == tuple(x * x for x in range(20))
    total = dask.delayed(sum)(tasks)
    assert total.compute(scheduler=master) == sum(x * x for x in range(20))


@pytest.mark.long
def test_adaptive(master):
    import adaptive

    learner = adaptive.Learner1D(square, bounds=(-1, 1))
    adaptive.BlockingRunner(learner, npoints_goal=30, executor=master, ntasks=master._max_workers)
    assert len(learner.data) >= 30
    assert all(y == x * x for x, y in learner.data.items())


@pytest.mark.long
def test_more_executors(master):
    from more_executors import MapExecutor, RetryExecutor

    with MapExecutor(connect(master.connection_file), square) as mapped:
        assert mapped.submit(square, 3).result(30) == 81
    with RetryExecutor(connect(master.connection_file), max_attempts=2, sleep=0.1) as retried:
        with pytest.raises(ValueError, match="3"):
            retried.submit(fail_at_three, 3).result(30)


@pytest.mark.long
def test_scipy(master):
    from scipy.optimize import differential_evolution

    options = {"rng": 1, "updating": "deferred", "maxiter": 15, "polish": False}
    here = differential_evolution(norm, [(0, 1)] * 3, workers=1, **options)
    there = differential_evolution(norm, [(0, 1)] * 3, workers=master.map, **options)
    assert there.fun == here.fun < 0.1


@pytest.mark.long
def test_emcee(master):
    import emcee
    import numpy as np

    start = np.random.default_rng(1).random((8, 2))
    chains = []
    for pool in (None, master):
        sampler = emcee.EnsembleSampler(8, 2, minus_norm, pool=pool)
        sampler.random_state = np.random.RandomState(1).get_state()
        sampler.run_mcmc(start, 20)
        chains.append(sampler.get_chain())
    assert np.array_equal(*chains)


def minus_norm(x):
    return -norm(x)


@pytest.mark.long
def test_nevergrad(master):
    import nevergrad

    optimizer = nevergrad.optimizers.OnePlusOne(parametrization=2, budget=60, num_workers=2)
    best = optimizer.minimize(norm, executor=master, batch_mode=False)
    assert optimizer.num_tell == 60
    assert norm(best.value) < norm([0, 0])


@pytest.mark.long
def test_scikit_learn(master):
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    x, y = make_classification(200, random_state=1)
    forest = RandomForestClassifier(20, random_state=1)
    here = cross_val_score(forest, x, y, cv=4)
    with joblib.parallel_config("dqlab", master=master):
        assert list(cross_val_score(forest, x, y, cv=4)) == list(here)
        search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1, 10]}, cv=3).fit(x, y)
    assert search.best_score_ > 0.7
