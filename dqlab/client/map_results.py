"""`map`: items drawn in runs, results streamed in order, memory bounded, safe to interrupt and to abandon.

    items ──islice──> run ──pickle──> master ... ──> pieces of results ──> one list at a time ──> the caller

A run is one message and one payload, however many items it has; runs grow while they stay small and quick to draw.
Workers are given any stretch of a run, so its length decides nothing but the cost per item.
"""

from __future__ import annotations

import contextlib
import operator
import queue
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from dqlab.client.channel import SLICE
from dqlab.client.drawn_items import DrawnItems
from dqlab.client.future import HINT_AFTER
from dqlab.client.pickling import dump_function
from dqlab.client.results import Load, load_error, load_results
from dqlab.client.session import Session
from dqlab.client.submission import Submission, make_header
from dqlab.errors import BadInput, DqlabError, WrongType
from dqlab.wire.messages import Header, Options, Outcome

__all__ = ["MapResults"]

#: items of the first run, and of the longest
FIRST_RUN, LONGEST_RUN = 16, 4096
#: bytes of payload, and seconds of drawing, above which runs do not grow
RUN_BYTES, DRAW_SECONDS = 1 << 16, 0.005
#: items, and bytes of payload, whose results have not been taken
OUT_ITEMS, OUT_BYTES = 1 << 18, 64 << 20


class _Run:
    """One run on its way: pieces of its results arrive in any order and leave in order (a `submission.Sink`)."""

    def __init__(self, count: int, size: int, load: Load) -> None:
        self.count, self.size, self._load = count, size, load
        self.first: int | None = None  #: id of its first task, once it went out
        self.unwanted = False  #: whether it need not go out any more
        self._pieces: dict[int, tuple[int, Outcome]] = {}
        self._left = count
        self._error: DqlabError | None = None
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()  #: rings for every piece

    def goes_out(self, first: int) -> bool:
        if self.first is not None:
            return False  # an interrupted `_send` was repeated
        self.first = first
        return not self.unwanted

    def deliver(self, lo: int, hi: int, outcome: Outcome) -> bool:
        """Tasks [lo, hi) are final; return whether that was the last of the run."""
        if lo not in self._pieces and self._left > 0:
            self._pieces[lo] = hi, outcome
            self._left -= hi - lo
            self._bell.put(None)
        return self._left <= 0

    def gone(self, error: DqlabError) -> None:
        self._error = error
        self._bell.put(None)

    def forgotten(self, lo: int, hi: int, error: DqlabError) -> bool:
        while lo < hi and lo in self._pieces:  # what the master forgot is whole pieces
            lo = self._pieces[lo][0]
        if lo < hi:
            self.gone(error)
        return self._left <= 0 or self._error is not None

    def piece_at(self, at: int, seconds: float) -> tuple[int, Iterator[Any]] | None:
        """`(end, results)` of the piece that begins at `at`; None if it is not there after `seconds`."""
        if at not in self._pieces:
            if self._error is not None:
                raise self._error
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=seconds)
            if at not in self._pieces:
                return None
        hi, outcome = self._pieces[at]
        if outcome.state == "done":
            return hi, load_results(outcome.result, self._load)
        if outcome.state == "cancelled":
            raise CancelledError
        raise load_error((self.first or 0) + at, outcome, self._load)


def _whole(name: str, value: Any) -> int:
    try:
        size = operator.index(value)
    except TypeError:
        raise WrongType(f"{name}={value!r}", "a whole number from 1") from None
    if size < 1:
        raise BadInput(f"{name}={value!r}", "a whole number from 1")
    return size


class MapResults:
    """The iterator that `map` returns. `close()` cancels what has not started, and so does forgetting it half-way.

    Forgetting it before anybody has asked for a result cancels nothing: who calls `map` for its effects gets them.
    """

    def __init__(
        self, session: Session, options: Options, function: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...], timeout: float | None, chunksize: int, buffersize: int | None,
    ) -> None:  # fmt: skip
        self._session, self._options = session, options
        first = _whole("chunksize", chunksize)
        self._most = OUT_ITEMS if buffersize is None else min(OUT_ITEMS, _whole("buffersize", buffersize))
        self._star = len(iterables) != 1
        self._source = iter(iterables[0]) if len(iterables) == 1 else zip(*iterables, strict=False)
        self._digest, self._pickled, self._python = dump_function(function)
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        backlog = session.about["backlog"]
        self._longest = max(1, min(LONGEST_RUN, backlog // 4, self._most // 4))
        self._next_run = min(self._longest, max(first, FIRST_RUN))
        self._runs: deque[_Run] = deque()
        self._out_items = self._out_bytes = 0
        self._at = 0  #: the next item of the first run
        self._drawn = DrawnItems(self._star)  #: items that are in no run yet
        self._outgoing: tuple[_Run, Header, bytes] | None = None  #: a run that is not on its way yet
        self._current: Iterator[Any] = iter(())
        self._exhausted = self._closed = False
        self._begun = True  # an interrupt now, or an error of the items, cancels what is out
        self._draw()
        self._begun = False  #: whether somebody has asked for a result

    def __repr__(self) -> str:
        return f"<dqlab map, {self._out_items} tasks out>"

    def __iter__(self) -> Iterator[Any]:
        # `yield from` a list's iterator costs a tenth of a Python-level __next__, and keeps its place when interrupted.
        # Another iterator over these results, or `next`, may have gone on to the next stretch meanwhile.
        while True:
            yield from (stretch := self._current)
            if self._current is stretch and not self._advance():
                return

    def __next__(self) -> Any:
        while True:
            for value in self._current:
                return value
            if not self._advance():
                raise StopIteration

    def close(self) -> None:
        """Take no more results, and cancel what has not started."""
        if not self._closed:
            self._closed, self._current = True, iter(())
            for run in self._runs:
                run.unwanted = True
            ranges = [(run.first, run.count) for run in self._runs if run.first is not None]
            self._runs.clear()
            if ranges and not self._session.closed:
                self._session.cancel_later(ranges)

    def __del__(self) -> None:
        if not hasattr(self, "_begun"):
            return  # what was given to `map` made no sense
        if self._begun:
            self.close()
        elif not self._exhausted:
            drawn = f"only the {self._out_items} items were drawn that may be out at a time"
            warnings.warn(f"dqlab: nobody took the results of a map: {drawn}", stacklevel=2)

    # An interrupt is delivered after a call or at a turn of a loop, never between two plain assignments. So each step
    # below leaves a state from which the next call goes on: nothing drawn is lost, nothing goes out twice.

    def _draw(self) -> None:
        """Draw items, in runs, up to what may be out."""
        while True:
            self._send()
            # Room for a part of a run is no reason to draw: runs would become as small as the pieces that come back.
            full = self._out_items + self._next_run > self._most or self._out_bytes >= OUT_BYTES
            if self._exhausted or full:
                return
            began = time.perf_counter()
            self._drawn.draw(self._source, self._next_run)
            if not self._drawn.items:
                self._exhausted = True
                return
            took = time.perf_counter() - began
            kind, payload, bound = self._drawn.pack()
            fresh = DrawnItems(self._star, self._drawn.broken)
            header = make_header(self._options, kind, self._digest, self._python or bound)
            run = _Run(len(self._drawn.items), len(payload), self._session.load)
            self._outgoing, self._drawn = (run, header, payload), fresh
            if took < DRAW_SECONDS and 2 * len(payload) < RUN_BYTES:
                self._next_run = min(self._longest, 2 * self._next_run)
            elif len(payload) > RUN_BYTES or took > 2 * DRAW_SECONDS:
                self._next_run = max(1, self._next_run // 2)

    def _send(self) -> None:
        """Give the session the run that is ready to go."""
        if self._outgoing is None:
            return
        run, header, payload = self._outgoing
        if not self._runs or self._runs[-1] is not run:
            self._out_items += run.count
            self._out_bytes += run.size
            self._runs.append(run)
        self._session.submit(run.count, lambda first: Submission(first, run.count, header, self._pickled, payload, run))
        self._outgoing = None

    def _advance(self) -> bool:
        """Make `_current` the next stretch of results; False at the end."""
        self._begun = True
        waited_since, hinted = time.monotonic(), False
        while not self._closed:
            self._session.check_here()
            self._session.screen.look()
            if not self._runs:
                if self._exhausted:
                    return False
                self._draw()
                continue
            run = self._runs[0]
            try:
                piece = run.piece_at(self._at, self._patience())
                self._session.screen.look()
            except (Exception, CancelledError) as exc:
                self._session.screen.look()
                self.close()
                if isinstance(exc, StopIteration):  # which would read as the end of the results
                    raise RuntimeError("a task raised StopIteration") from exc
                raise
            if piece is not None:
                self._take(run, *piece)
                return True
            if not hinted and time.monotonic() - waited_since > HINT_AFTER:
                self._session.hint_if_stuck()
                hinted = True
        return False

    def _patience(self) -> float:
        if self._deadline is None:
            return SLICE
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not all results came within {self._timeout:g} s")
        return min(SLICE, left)

    def _take(self, run: _Run, end: int, results: Iterator[Any]) -> None:
        self._out_items -= end - self._at
        self._current = results
        if end < run.count:
            self._at = end
        else:
            self._at = 0
            self._out_bytes -= run.size
            self._runs.popleft()
        self._draw()
