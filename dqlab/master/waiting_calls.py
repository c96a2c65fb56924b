"""The lock around the broker, and who waits for what.

The broker is pure and single-threaded; the master has a thread for each connection. `WaitingCalls.do` runs one method
of the broker under the lock. A call that may have to wait is a `Wait`: `WaitingCalls.wait` tries it, or else keeps it,
and the thread goes back to its connection. Whoever changes something then tries those that wait for that (the broker's
`signals` say which) and answers them itself: no thread has to be woken on a task's way through the master.

With a journal an answer is a word to be kept: it goes out once what it tells of is written. Only what may come `early`
doesn't wait for that, and what can't be written is answered by `refusal(why)`, where a call has that.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from dqlab.broker import topics
from dqlab.broker.broker import Broker
from dqlab.broker.revival import revive
from dqlab.broker.topics import Topic, What
from dqlab.master.journal import Journal, Word
from dqlab.master.journal_file import JournalFile

__all__ = ["LATER", "Answer", "Wait", "WaitingCalls", "apart"]

#: seconds between two looks at what is due
TICK = 0.02
#: kinds of news that are looked for again and again, and slowly as attributes of an `Enum`
COMMANDS, READY = What.COMMANDS, What.READY
#: in place of an answer that is still to come
LATER = object()

#: returns what a call is answered with, or raises
Answer = Callable[[], Any]

log = logging.getLogger("dqlab")


class Wait:
    """A call that is answered once `attempt(now)` is true, or after `timeout` seconds (None: no limit) as it is.

    `attempt` runs under the lock. The answer is what `shape` makes of its result, or raises, outside of it
    (and in a thread of its own if that may take `long`). With `early` it doesn't wait for the journal.
    """

    __slots__ = ("attempt", "deadline", "early", "long", "pending", "refusal", "shape", "tell", "timeout", "topics")

    def __init__(
        self,
        topics: tuple[Topic, ...],
        attempt: Callable[[float], Any],
        timeout: float | None,
        shape: Callable[[Any], Any] = lambda result: result,
        long: bool = False,
        early: bool = False,
        refusal: Callable[[str], Any] | None = None,
    ) -> None:
        self.topics, self.attempt, self.timeout, self.shape = topics, attempt, timeout, shape
        self.long, self.early, self.refusal = long, early, refusal
        self.pending = False  #: whether it waits
        self.deadline: float | None
        self.tell: Callable[[Answer], None]


class WaitingCalls:
    """`send_command(worker, command)` is called, outside the lock, for each command that the broker gives."""

    def __init__(self, broker: Broker, send_command: Callable[[str, tuple[Any, ...]], None]) -> None:
        self.broker, self._states = broker, broker.states
        self.journal: Journal | None = None
        # Seconds since the epoch that never jump: what events show must not run backwards.
        offset = time.time() - time.monotonic()
        self.now = lambda: time.monotonic() + offset
        self._lock = threading.Lock()
        self._waiting: dict[Topic, dict[Wait, None]] = {}  #: who waits longest comes first
        self._send_command = send_command
        self._commands: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._due: list[Callable[[], None]] = []  #: answers that go out when the lock is released
        self._words: list[Word] = []  #: and those that go out when the journal has what they tell
        self._seen = 0  #: the newest event that those who follow were told of
        self._closed = threading.Event()
        for name, target in (("courier", self._carry_commands), ("housekeeper", self._keep_house)):
            threading.Thread(target=target, name=f"dqlab-{name}", daemon=True).start()

    def keep(self, file: JournalFile, most: int) -> None:
        """Take up what is in a journal, and keep it from now on, in at most `most` bytes."""
        now = self.now()
        changes = self.do(revive, self.broker, file.remains(), now)
        file.begin(now)
        self.journal = Journal(file, changes, most, self.do, partial(self._states.signals.add, topics.ROOM))

    def do(self, method: Callable[..., Any], *args: Any) -> Any:
        """Run `method(*args)` of the broker under the lock; then answer who waited for what it did."""
        due: list[Callable[[], None]] | None = None
        words: list[Word] | None = None
        try:
            with self._lock:
                try:
                    return method(*args)
                finally:
                    if self._states.signals:
                        self._serve()
                    if self._due:
                        due, self._due = self._due, []
                    if self._words:
                        words, self._words = self._words, []
        finally:
            for answer in due or ():
                answer()
            if words and self.journal is not None:
                self.journal.after(words)

    def do_now(self, method: Callable[..., Any], *args: Any) -> Any:
        """The same, with the time as the last argument."""
        return self.do(lambda: method(*args, self.now()))

    def wait(self, wait: Wait, tell: Callable[[Answer], None]) -> Any:
        """The answer if there is one at once; or `LATER`, and then `tell` is called with it in another thread."""
        result = self.do(self._begin, wait, tell)
        return result if result is LATER else wait.shape(result)

    def drop(self, wait: Wait) -> None:
        """Nobody is there any more to hear the answer."""
        self.do(self._forget, wait)

    def close(self) -> None:
        """Answer everybody with what there is; nobody waits after this."""
        self._closed.set()
        self._commands.put(None)
        self.do(self._end)

    # -- under the lock -------------------------------------------------------------------------------------------

    def _begin(self, wait: Wait, tell: Callable[[Answer], None]) -> Any:
        result = wait.attempt(now := self.now())
        wait.tell = tell
        if result or wait.timeout == 0 or self._closed.is_set():
            if self.journal is None or not self._is_word(wait):
                return result
            self._words.append(_word(wait, partial(tell, partial(wait.shape, result))))
            return LATER
        wait.pending = True
        wait.deadline = None if wait.timeout is None else now + wait.timeout
        for topic in wait.topics:
            self._waiting.setdefault(topic, {})[wait] = None
        return LATER

    def _serve(self) -> None:
        """Try who waits for what has happened, and for what happens by that."""
        signals = self._states.signals
        while signals:
            what, about = topic = signals.pop()
            if what is COMMANDS:
                self._take_commands(str(about))
            elif what is READY and self._waiting:
                self._serve_ready(topic)
            elif topic in self._waiting:
                for wait in list(self._waiting[topic]):
                    self._try(wait)

    def _serve_ready(self, news: Topic) -> None:
        for topic in (news, topics.ANY_QUEUE):
            for wait in list(self._waiting[topic]) if topic in self._waiting else ():
                if not self._states.ready_in(str(news.about)):
                    return
                self._try(wait)

    def _try(self, wait: Wait, last: bool = False) -> None:
        """Make an attempt; if it succeeds, or is the last, the answer is due."""
        try:
            result = wait.attempt(self.now())
            if not result and not last:
                return
            answer = partial(wait.shape, result)
        except Exception as exc:  # for who asked, not for who happens to try
            answer = partial(_raise, exc)
        self._forget(wait)
        tell = partial(wait.tell, answer)
        if wait.long:
            tell = partial(apart, tell)
        if self._is_word(wait):
            self._words.append(_word(wait, tell))
        else:
            self._due.append(tell)

    def _is_word(self, wait: Wait) -> bool:
        return not wait.early and self.journal is not None and self.journal.behind

    def _forget(self, wait: Wait) -> None:
        wait.pending = False
        for topic in wait.topics:
            waiting = self._waiting.get(topic, {})
            waiting.pop(wait, None)
            if not waiting:
                self._waiting.pop(topic, None)

    def _end(self, whose: Callable[[Wait], bool] = lambda wait: True) -> None:
        """They have waited for long enough."""
        for wait in {wait: None for waiting in self._waiting.values() for wait in waiting if whose(wait)}:
            self._try(wait, last=True)

    def _take_commands(self, name: str) -> None:
        worker = self.broker.leases.workers.get(name)
        while worker and worker.commands:
            self._commands.put((name, worker.commands.popleft()))

    # -- threads --------------------------------------------------------------------------------------------------

    def _carry_commands(self) -> None:
        while item := self._commands.get():
            self._send_command(*item)

    def _keep_house(self) -> None:
        while not self._closed.wait(TICK):
            try:
                self.do_now(self._tick)
            except Exception:  # a master whose clock stopped would redeliver nothing any more
                log.exception("a tick failed", extra={"action": "tick"})

    def _tick(self, now: float) -> None:
        try:
            self.broker.tick(now)
        finally:
            if self._states.events.last != self._seen:
                self._seen = self._states.events.last
                self._states.signals.add(topics.EVENTS)
            self._end(lambda wait: wait.deadline is not None and wait.deadline <= now)


def _word(wait: Wait, tell: Callable[[], None]) -> Word:
    refusal = wait.refusal
    return Word(tell, refusal and (lambda why: wait.tell(partial(refusal, why))))


def apart(call: Callable[[], None]) -> None:
    """Run `call` in a thread of its own."""
    try:
        threading.Thread(target=call, name="dqlab-answer", daemon=True).start()
    except RuntimeError:  # out of threads
        call()


def _raise(exc: Exception) -> NoReturn:
    raise exc
