"""What doesn't come to its end is ended, and nothing else is."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from dqlab.workbench.watch import COMPUTING, Endless, Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.close()


def compute(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_who_computes_for_too_long_is_ended(watch: Watch) -> None:
    with pytest.raises(Endless, match="doesn't come to its end"), watch:
        compute(20 * COMPUTING)
    assert watch.ended == 1


def test_who_waits_for_what_never_comes_is_ended(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dqlab.workbench.watch.WAITING", 0.2)
    with pytest.raises(Endless, match="waits for something"), watch:
        threading.Event().wait(20)


def test_a_collection_of_garbage_is_not_the_time_of_the_call(watch: Watch) -> None:
    def slow(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            compute(2 * COMPUTING)

    gc.callbacks.insert(0, slow)
    try:
        with watch:
            gc.collect()
            compute(COMPUTING / 4)
    finally:
        gc.callbacks.remove(slow)
    assert watch.ended == 0
