"""Waiting for several futures: as they end, or until enough of them have."""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from dqlab.client.channel import SLICE
from dqlab.client.future import HINT_AFTER, Future
from dqlab.errors import BadInput

__all__ = ["DoneAndNotDone", "as_completed", "wait"]

#: what `wait` may wait for
CONDITIONS = (
    concurrent.futures.FIRST_COMPLETED,
    concurrent.futures.FIRST_EXCEPTION,
    concurrent.futures.ALL_COMPLETED,
)

#: what is waited for: whoever gives dqlab's futures gets them back as such
F = TypeVar("F", bound=concurrent.futures.Future[Any])


class DoneAndNotDone(NamedTuple, Generic[F]):
    """What `wait` returns: the futures that have ended, and those that have not."""

    done: set[F]
    not_done: set[F]


def as_completed(futures: Iterable[F], timeout: float | None = None) -> Iterator[F]:
    """The futures in the order in which they end; `TimeoutError` after `timeout` seconds.

    Like `concurrent.futures.as_completed`, and safe to interrupt. Takes anybody's futures that call back when they end,
    as those of `concurrent.futures` and of Dask do; raises `BadInput` for others.
    """
    waiting = _checked(futures)
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    _call_back(waiting, ended)
    try:
        yield from _as_they_end(waiting, ended, timeout)
    finally:
        for future in waiting:  # who waits again and again would leave a trace on each every time
            with contextlib.suppress(AttributeError, ValueError):  # Dask's keep theirs elsewhere
                future._done_callbacks.remove(ended.put)  # type: ignore[attr-defined]


def _call_back(waiting: set[F], ended: queue.SimpleQueue[Any]) -> None:
    for future in waiting:
        ended.put(future) if future.done() else future.add_done_callback(ended.put)


def _checked(futures: Iterable[F]) -> set[F]:
    """The futures as a set, if they are such as can be waited for here."""
    everything = list(futures)
    for future in everything:
        if hasattr(future, "get_loop"):
            raise BadInput(f"{future!r} is asyncio's", "await it, or take asyncio.as_completed")
        if not hasattr(future, "add_done_callback"):
            raise BadInput(f"{future!r} is no future", "give what submit(...) returned")
    return set(everything)


def _as_they_end(waiting: set[F], ended: queue.SimpleQueue[F], timeout: float | None) -> Iterator[F]:
    began = time.monotonic()
    hint = HINT_AFTER
    screens = {future.screen for future in waiting if isinstance(future, Future)}
    while waiting:
        waited = time.monotonic() - began
        for screen in screens:
            screen.look()
        left = SLICE if timeout is None else timeout - waited
        try:
            given = [ended.get(timeout=max(0.0, min(left, SLICE)))]
        except queue.Empty:
            if left <= 0:
                raise TimeoutError(f"{len(waiting)} futures have not ended after {timeout:g} s") from None
            for future in islice(waiting, 1):
                if isinstance(future, Future):
                    future.hint_after(waited, hint)
                    hint = float("inf") if waited > hint else hint
                del future
            continue
        waiting.discard(given[0])
        for screen in screens:
            screen.show()
        yield given.pop()  # what is given out is referred to no more


def wait(
    futures: Iterable[F], timeout: float | None = None, return_when: str = concurrent.futures.ALL_COMPLETED
) -> DoneAndNotDone[F]:
    """Wait until the futures have ended, `timeout` seconds have passed, or what `return_when` names has happened.

    Like `concurrent.futures.wait`, and safe to interrupt. Takes what `as_completed` takes; raises `BadInput` for other
    futures, and for a `return_when` that is none.
    """
    if return_when not in CONDITIONS:
        raise BadInput(f"return_when={return_when!r}", f"one of {', '.join(CONDITIONS)}")
    everything = _checked(futures)
    done = {future for future in everything if future.done()}
    waiting = everything - done

    def is_enough(future: F) -> bool:
        if return_when == concurrent.futures.FIRST_EXCEPTION:
            return not future.cancelled() and future.exception() is not None
        return return_when == concurrent.futures.FIRST_COMPLETED

    try:
        if not any(map(is_enough, done)):
            for future in as_completed(waiting, timeout):
                done.add(future)
                if is_enough(future):
                    break
    except TimeoutError:
        pass
    done |= {future for future in waiting if future.done()}
    return DoneAndNotDone(done, everything - done)
