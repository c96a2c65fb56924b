"""The future of one task. Waiting for it survives Ctrl-C at any instant.

`concurrent.futures.Future` waits on a `threading.Condition`, whose Python-level `with` can be interrupted after it
took its lock and before it would give it back; the thread that brings the result would then wait for ever. Here the
outcome is stored first, waiters wait on a C lock, and the condition is entered by the lock's own C method.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from _thread import RLock
from typing import Any, NamedTuple, Protocol, TypeVar

from dqlab.client.channel import SLICE, pause
from dqlab.client.results import Load, load_error
from dqlab.client.screen import Screen
from dqlab.errors import BacklogFull, DqlabError, WrongType
from dqlab.wire.messages import Found, Outcome

__all__ = ["HINT_AFTER", "Future"]

#: seconds of waiting after which somebody looks whether there is a worker at all
HINT_AFTER = 2.0

T = TypeVar("T")


class _Condition(threading.Condition):
    """A condition whose `with` goes straight to the lock's C methods, between which no interrupt is delivered."""

    def __init__(self) -> None:
        super().__init__(RLock())

    @property
    def __enter__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._lock.__enter__  # type: ignore[attr-defined]

    @property
    def __exit__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._lock.__exit__  # type: ignore[attr-defined]


class _Outcome(NamedTuple):
    value: Any
    error: BaseException | None
    cancelled: bool = False  #: whether nobody ran it; a task may raise `CancelledError` itself


class Asker(Protocol):
    """What a future asks of the client that made it."""

    load: Load  #: what makes a value of a result's bytes

    def call(self, method: str, *args: Any) -> Any:
        """Call the master's broker."""

    def cancel(self, ranges: list[tuple[int, int]]) -> int:
        """Cancel those of the (first, count) tasks that have not started; return how many that were."""
        ...

    def hint_if_stuck(self) -> None:
        """Say so, once, when somebody waits and no worker is there to do the work."""

    @property
    def screen(self) -> Screen:
        """Where the output of tasks is shown."""
        ...

    def check_here(self) -> None:
        """Raise `MasterGone` in a forked copy of the client's process, where no outcome ever comes."""


class Future(concurrent.futures.Future[T]):
    """`task_id` is the task's id at the master; everything else is as in `concurrent.futures`."""

    _outcome: _Outcome | None = None

    def __init__(self, client: Asker) -> None:
        # What the base class sets, with another condition; its own would cost as much as all the rest of `submit`.
        self._condition = _Condition()
        self._state = "PENDING"
        self._result = self._exception = None
        self._waiters: list[Any] = []
        self._done_callbacks: list[Any] = []
        self._client = client
        self._gate = threading.Lock()
        self._gate.acquire()
        self.task_id: int | None = None
        self.refused: BacklogFull | None = None  #: set where the backlog was full

    def __repr__(self) -> str:
        if self._outcome is None or self.cancelled():
            return f"<Future task {self.task_id} {'pending' if self._outcome is None else 'cancelled'}>"
        raised = f" raised {type(self._outcome.error).__name__}" if self._outcome.error is not None else ""
        return f"<Future task {self.task_id} finished{raised}>"

    @property
    def load(self) -> Load:
        """What makes a value of a result's bytes."""
        return self._client.load

    # -- the collector's side (see submission.Sink) --------------------------------------------------------------

    def fulfil(self, data: bytes) -> None:
        """The task is done; `data` is its pickled result."""
        try:
            self.resolve(self.load(data), None)
        except BaseException as exc:
            self.resolve(None, exc)

    def end(self, outcome: Outcome) -> None:
        """The task failed, or was cancelled."""
        if outcome.state == "cancelled":
            self._cancelled()
        else:
            self.resolve(None, load_error(self.task_id or 0, outcome, self.load))

    def gone(self, error: DqlabError) -> None:
        """There will be no outcome, and why."""
        if isinstance(error, BacklogFull):
            self.refused = error
        self.resolve(None, error)

    def resolve(self, value: Any, error: BaseException | None) -> None:
        """Set the outcome, unless there is one."""
        if not self._is_first(_Outcome(value, error)):
            return
        try:
            self.set_result(value) if error is None else self.set_exception(error)
        except concurrent.futures.InvalidStateError:
            pass  # cancelled meanwhile

    def _cancelled(self) -> None:
        if self._is_first(_Outcome(None, concurrent.futures.CancelledError(), cancelled=True)):
            super().cancel()
            self.set_running_or_notify_cancel()

    def _is_first(self, outcome: _Outcome) -> bool:
        """Keep the outcome, unless there is one; whoever cancels and the collector may bring theirs at one time."""
        if self.__dict__.setdefault("_outcome", outcome) is not outcome:
            return False
        self._gate.release()
        return True

    @property
    def ended(self) -> bool:
        """Whether there is an outcome; unlike `done`, without a lock."""
        return self._outcome is not None

    # -- the user's side ---------------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel the task if it has not started; asks the master."""
        if self._outcome is not None or self.task_id is None:
            return self.cancelled()
        try:
            if self._client.cancel([(self.task_id, 1)]):
                self._cancelled()
        except (DqlabError, TimeoutError):
            return False
        return self.cancelled()

    # What `result` has given out is the end, also before the thread that brought it has told everybody else.

    def done(self) -> bool:
        """Whether the task has ended: it was done, failed or cancelled."""
        return self._outcome is not None

    def cancelled(self) -> bool:
        """Whether the task was cancelled."""
        return self._outcome is not None and self._outcome.cancelled

    def running(self) -> bool:
        """Whether a worker has the task now; asks the master."""
        if self._outcome is not None or self.task_id is None:
            return False
        try:
            return Found.decode(self._client.call("lookup", self.task_id)).outcome.state == "leased"
        except (DqlabError, TimeoutError):
            return False

    def result(self, timeout: float | None = None) -> T:
        """The task's result; raises what it raised (the worker's traceback is its cause), `TimeoutError`, ..."""
        outcome = self._wait(timeout)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the task raised, None if nothing."""
        outcome = self._wait(timeout)
        if outcome.cancelled and outcome.error is not None:
            raise outcome.error
        return outcome.error

    def hint_after(self, waited: float, patience: float) -> None:
        """Somebody has waited for `waited` seconds: after `patience` say so if nobody is there to do the work.

        Raises `MasterGone` in a forked copy of the client's process.
        """
        self._client.check_here()
        if waited > patience:
            self._client.hint_if_stuck()

    @property
    def screen(self) -> Screen:
        """Where the output of its task is shown."""
        return self._client.screen

    def __reduce__(self) -> Any:
        hint = "send its result, or its task_id to connect(...).result(id)"
        raise WrongType("a future can't be sent to a task", hint)

    def _wait(self, timeout: float | None) -> _Outcome:
        began, hint_at = time.monotonic(), HINT_AFTER
        while self._outcome is None:
            self._client.screen.look()
            waited = time.monotonic() - began
            left = SLICE if timeout is None else timeout - waited
            if pause(self._gate, left):
                continue
            self._client.check_here()  # by now: who submits, and waits at once, need not be asked for each task
            if left <= 0:
                raise TimeoutError(f"task {self.task_id} has no result after {timeout:g} s")
            if waited > hint_at:
                self._client.hint_if_stuck()
                hint_at = waited + HINT_AFTER
        self._client.screen.show()
        return self._outcome
