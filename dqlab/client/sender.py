"""What goes out: submissions, in batches, each until the master has it or refuses it; and what is to be cancelled."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

from dqlab.client.connections import RETRY, Connections
from dqlab.client.submission import Submission, Waiting, pack, tell
from dqlab.errors import BacklogFull, BadInput, DqlabError, Refused
from dqlab.wire.connection import PlainConnection
from dqlab.wire.messages import Finished, Outcome

__all__ = ["Sender"]

#: submissions and bytes in one message
BATCH, BATCH_BYTES = 2_000, 1 << 20
#: what becomes of tasks that nobody has run
CANCELLED = Outcome(state="cancelled", result=None, attempts=0, history=())


class Sender:
    """Empties its `outbox`: a `Submission` is sent, a list of (first, count) ranges is cancelled, a lock is released
    when all before it has gone out, None is the end. `give_up(error)` hears why nothing more goes out."""

    def __init__(self, connections: Connections, waiting: Waiting, give_up: Callable[[DqlabError], None]) -> None:
        self._connections, self._waiting, self._give_up = connections, waiting, give_up
        self.outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.full = False  #: whether the master's backlog is full
        self.patient = True  #: whether what it has no room for waits until it has; else that is cancelled
        self.cancelled = 0  #: how many tasks that were
        self._known: set[str] = set()  #: digests of the functions that the master was sent

    def run(self) -> None:
        """Send until None is in the outbox, or the master is gone."""
        conn: PlainConnection | None = None
        while (item := self.outbox.get()) is not None:
            batch, after = self._drain(item)
            try:
                if batch:
                    conn = self._deliver(conn, self._pack(batch))
                for other in after:
                    if isinstance(other, list):
                        conn = self._connections.attempt(conn, "cancel", other)[0]
                    else:
                        other.release()
            except DqlabError as exc:
                self._give_up(exc)
                return
            except Exception as exc:  # nobody may wait for ever, whatever went wrong
                self._give_up(DqlabError(f"the client's sender failed: {exc!r}"))
                raise
            if None in after:
                return
            batch.clear()  # until the next one comes nothing here refers to a future, nor to its result
            item = None

    def _drain(self, item: Any) -> tuple[list[Submission], list[Any]]:
        """A batch of submissions, and what else was waiting behind it."""
        batch: list[Submission] = []
        size = 0
        while True:
            if not isinstance(item, Submission):
                return batch, [item] if item is not None else []
            batch.append(item)
            size += len(item.payload)
            if len(batch) >= BATCH or size > BATCH_BYTES:
                return batch, []
            try:
                item = self.outbox.get_nowait()
            except queue.Empty:
                return batch, []
            if item is None:
                self.outbox.put(None)
                return batch, []

    def _pack(self, batch: list[Submission]) -> list[Submission]:
        # A run that is longer than the backlog would wait for room for ever.
        packed = pack(batch, max(1, self._connections.about["backlog"] // 4))
        runs = [run for run in packed if run.sink is None or run.sink.goes_out(run.first)]
        for run in runs:
            if run.sink is not None:
                self._waiting.add(run.first, run.count, run.sink)
        return runs

    def _deliver(self, conn: PlainConnection | None, batch: list[Submission]) -> PlainConnection | None:
        while batch:
            functions = {s.header.function: s.function for s in batch if s.header.function not in self._known}
            try:
                conn, (accepted, why) = self._connections.attempt(
                    conn, "submit", functions, [s.encode() for s in batch]
                )
            except (BadInput, Refused) as exc:
                return self._find_culprit(conn, batch, exc)
            self._known.update(functions)
            for submission in batch[:accepted]:
                tell(submission)
            batch = batch[accepted:]
            batch = self._drop_refused(batch, why)
            self.full = bool(batch)
            if not self.patient:
                batch = self._cancel(batch)
            if batch:
                threading.Event().wait(RETRY)
        return conn

    def _find_culprit(self, conn: PlainConnection | None, batch: list[Submission], exc: DqlabError) -> Any:
        """One submission of the batch was refused: send them one by one (the master takes a repeated one once)."""
        if len(batch) > 1:
            for submission in batch:
                conn = self._deliver(conn, [submission])
        elif batch[0].header.function in self._known:
            self._known.remove(batch[0].header.function)  # the master may have forgotten the function: send it again
            conn = self._deliver(conn, batch)
        else:
            self._refuse(batch[0], exc)
        return conn

    def _refuse(self, submission: Submission, exc: DqlabError) -> None:
        self._waiting.drop(submission.first)
        if submission.sink is not None:
            submission.sink.gone(exc)
        tell(submission)

    def _drop_refused(self, batch: list[Submission], why: str) -> list[Submission]:
        for submission in [s for s in batch if s.accepted is not None]:
            hint = "" if why else "wait for it to shrink, or start the master with more backlog="
            self._refuse(submission, BacklogFull(why or f"queue {submission.header.queue!r} is full", hint))
            if why:  # the master has it perhaps, and could not write that down
                self.outbox.put([(submission.first, submission.count)])
        return [s for s in batch if s.accepted is None]

    def _cancel(self, batch: list[Submission]) -> list[Submission]:
        """The master has not taken these: they end as if it had, and had cancelled them."""
        for run in batch:
            self._waiting.deliver(Finished(serial=0, first=run.first, lo=0, hi=run.count, outcome=CANCELLED))
            self.cancelled += run.count
        return []

    def call_off(self) -> None:
        """Nothing more goes out: what is in the outbox waits for an outcome with the rest, and gets the same."""
        with contextlib.suppress(queue.Empty):
            while True:
                item = self.outbox.get_nowait()
                if isinstance(item, Submission):
                    self._pack([item])
                elif item is None:
                    self.outbox.put(None)  # for `run`, which ends by it
                    break
