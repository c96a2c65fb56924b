"""The worker's side of its child process: start it, feed it jobs, turn its words and its death into reports."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from dqlab.errors import LaunchFailed
from dqlab.process.memory_kills import memory_kills
from dqlab.process.process_group import ProcessGroup
from dqlab.wire.bounded_cache import BoundedCache
from dqlab.wire.messages import FUNCTION_BYTES, PAYLOADS_HELD, PLAIN, Failure, Report
from dqlab.wire.plain_data import load_plain
from dqlab.wire.printed import Piece
from dqlab.worker.frames import FrameReader, write_frame
from dqlab.worker.inbox import Inbox, readable
from dqlab.worker.job import Job
from dqlab.worker.shared_numbers import BEGUN, LIMIT, STARTED, SharedNumbers
from dqlab.worker.task_output import TaskOutput

__all__ = ["ChildProcess"]

#: children in a row that may die before they are ready
HOPELESS = 3
#: seconds that a child may live on behind closed pipes
LINGER = 1.0


class ChildProcess:
    """One child after another. Whoever waits at `inbox` learns there that it has something to say: see `listen`.

    `printed(pieces)` hears, in other threads too, what tasks print, line by line; an empty list when they rest.
    """

    def __init__(
        self, handler: str | None, inbox: Inbox, printed: Callable[[list[Piece]], None] = lambda pieces: None
    ) -> None:
        self.handler, self._inbox, self._printed = handler, inbox, printed
        self._generation = 0
        self.worker = ""
        self.quits = False  #: whether a handler has raised SystemExit
        self.results = "pickle"  #: how results travel: as any pickle, or as plain data
        self.feeding: list[Job] = []  #: what the child is working on
        self._fed = self._limit = 0  #: positions in the current feed, and how far the child may go in it
        self._fed_at = 0  #: when it went out, in nanoseconds
        self._early_deaths = 0
        self._timed_out = False
        self._start()

    def _start(self) -> None:
        self._generation += 1
        self.ready = False
        self._known: BoundedCache[str, None] = BoundedCache(FUNCTION_BYTES)  #: the functions that the child has
        self._payloads: deque[int] = deque(maxlen=PAYLOADS_HELD)
        self._memory_kills = memory_kills()  #: before the child began
        self._cursor = SharedNumbers.create(f"dqlab-{os.getpid()}-{self._generation}")
        self._output = TaskOutput(self._cursor.numbers, self._running, self._printed)
        stdout, stderr = self._output.far_ends
        fds = [self._cursor.fd, stdout] if self._cursor.fd is not None else []
        words = self._cursor.handle, self._output.token.hex(), str(stdout if fds else 2)
        self._group = ProcessGroup("dqlab.worker.child_start", *words, pass_fds=fds, stderr=stderr)
        self._output.begin()
        self._mouth = readable(self._group.stdout)
        self._frames = FrameReader(self._mouth, _load)
        self._inbox.listen(self._mouth)
        self.said: list[Any] = []  #: what it has said and nobody has heard yet
        self.ended = False  #: whether it will say no more, and is to be buried
        self._write(("hello", self.worker, self.handler))

    def listen(self) -> bool:
        """Read what the child has said, for `hear`; return whether there is anything but results in it, or its end."""
        try:
            self._frames.read()
        except Exception:  # its end, or whatever a task's code wrote between the frames leads to
            self.ended = True
        more = self.ended
        for words in self._frames.messages:
            self.said += words
            more = more or any(word[0] != "done" for word in words)
        self._frames.messages.clear()
        return more

    def _write(self, message: Any) -> None:
        try:
            write_frame(self._group.stdin, message)
        except (OSError, ValueError):
            pass  # it is dead, and that is said

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._group.pid

    def kill(self) -> None:
        """End the child and all that its tasks have started; `bury` says what that means for the tasks."""
        self._group.kill()

    @property
    def busy(self) -> bool:
        """Whether the child has something to do."""
        return bool(self.feeding)

    def feed(self, jobs: list[Job]) -> None:
        """Give an idle child its next jobs."""
        position, words, functions = 0, [], {}
        for job in jobs:
            lease, header = job.lease, job.lease.header
            job.start, job.fed_lo = position, job.lo
            position += job.hi - job.lo
            if header.function and not self._known.use(header.function):
                functions[header.function] = job.function
                self._known.keep(header.function, None, len(job.function))
            payload = job.payload[job.lo - lease.lo : job.hi - lease.lo] if header.kind == PLAIN else job.payload
            if header.kind != PLAIN:
                if lease.first in self._payloads:
                    payload = None
                else:
                    self._payloads.append(lease.first)
            words.append((job.start - job.lo, job.as_lease(payload).encode()))
        self._cursor.numbers[BEGUN] = -1
        self._cursor.numbers[LIMIT] = self._limit = self._fed = position
        self._fed_at = time.monotonic_ns()
        self.feeding = list(jobs)
        self._write(("feed", self.worker, self.results, words, functions))

    def hear(self) -> list[Report]:
        """What it has said about its tasks."""
        words, self.said = self.said, []
        reports: list[Report] = []
        self._output.catch_up()
        for kind, *word in words:
            if kind == "ready":
                self.ready, self._early_deaths = True, 0
            elif kind == "quit":
                self.quits = True
            elif kind == "end":
                self.feeding = []
                self._output.rest()
            elif kind in ("done", "failed"):
                number, lo, hi, value, seconds = word
                job = self.feeding[number]
                job.lo = hi
                if kind == "done":
                    reports.append(self._done(job, lo, hi, value, seconds))
                else:
                    failure = Failure.decode(value)
                    reports += [self._report(job, "error", i, i + 1, failure, seconds) for i in range(lo, hi)]
        return reports

    def _report(self, job: Job, kind: str, lo: int, hi: int, value: Any, seconds: float = 0.0) -> Report:
        """What has become of tasks that were begun, with what they have printed."""
        first, token = job.lease.first, job.lease.token
        printed = self._output.take(first + lo, first + hi)
        return Report(kind=kind, token=token, lo=lo, hi=hi, value=value, seconds=seconds, printed=printed)

    def _running(self) -> int:
        """The task that the child is at, 0 if none."""
        begun = self._cursor.numbers[BEGUN]
        for job in self.feeding:
            if job.start <= begun < job.position(job.hi):
                return job.lease.first + job.fed_lo + begun - job.start
        return 0

    def _done(self, job: Job, lo: int, hi: int, data: bytes, seconds: float) -> Report:
        # The values of plain tasks go to a plain queue; all others stay opaque bytes.
        value = load_plain(bytes(data)) if job.lease.header.kind == PLAIN else data
        return self._report(job, "done", lo, hi, value, seconds)

    def take_back(self, share: float) -> list[Report]:
        """Release the later `share` of what the child was fed and has not begun."""
        numbers = self._cursor.numbers
        end = sum(job.hi - job.fed_lo for job in self.feeding)
        limit = numbers[LIMIT]
        begun = numbers[BEGUN] + 1
        wanted = max(begun, limit - int((limit - begun) * share + 0.999)) if limit > begun else limit
        if not self.feeding or wanted >= min(limit, end):
            return []
        numbers[LIMIT] = self._limit = wanted
        wanted = max(wanted, numbers[BEGUN] + 1)
        reports = []
        for job in reversed(self.feeding):
            keep = min(job.hi, max(job.lo, job.fed_lo + wanted - job.start))
            if keep < job.hi:
                reports.append(Report(kind="released", token=job.lease.token, lo=keep, hi=job.hi))
                job.hi = keep
        return reports

    def overdue(self) -> bool:
        """End the child if the task that it is at has run longer than its time-out, or has overwritten the numbers."""
        if not self.feeding:
            return False
        begun = self._begun()
        if begun is None:
            self.kill()
            return True
        for job in self.feeding:
            timeout = job.lease.header.timeout
            if timeout is not None and job.position(job.lo) <= begun < job.position(job.hi):
                started = self._cursor.numbers[STARTED]
                if time.monotonic_ns() - max(started, self._fed_at) > timeout * 1e9:
                    self._timed_out = True
                    self.kill()
                    return True
        return False

    def _begun(self) -> int | None:
        """The position that the child has begun last, -1 before the first; None if a task has overwritten it."""
        numbers = self._cursor.numbers
        begun, started = numbers[BEGUN], numbers[STARTED]
        reported = max((job.position(job.lo) for job in self.feeding if job.lo > job.fed_lo), default=0)
        ours = numbers[LIMIT] == self._limit and started <= time.monotonic_ns()
        return begun if ours and reported - 1 <= begun < self._fed else None

    def bury(self) -> tuple[list[Report], list[Job]]:
        """The child is dead: reports of what it had begun, jobs it had not; then start the next one."""
        status = self._group.wait(LINGER)  # one that only closed its pipes is killed
        self._output.catch_up(all=True)
        begun, jobs = self._begun(), [job for job in self.feeding if job.lo < job.hi]
        reports, rest = self._all_suspect(jobs) if begun is None else self._what_it_had_begun(jobs, begun, status)
        if not self.ready:
            self._early_deaths += 1
        self.feeding, self._timed_out = [], False
        self._close()
        if self._early_deaths >= HOPELESS:
            raise LaunchFailed(f"the process for the tasks ended {HOPELESS} times at its start ({_status(status)})")
        self._start()
        return reports, rest

    def _what_it_had_begun(self, jobs: list[Job], begun: int, status: int) -> tuple[list[Report], list[Job]]:
        reports, rest = [], []
        for job in jobs:
            at = job.fed_lo + begun - job.start
            if at < job.lo or begun < 0:
                rest.append(job)
                continue
            if at > job.lo:
                reports.append(Report(kind="lost", token=job.lease.token, lo=job.lo, hi=min(at, job.hi)))
            if at < job.hi:
                reports.append(self._verdict(job, at, status))
                job.lo = at + 1
                if job.lo < job.hi:
                    rest.append(job)
        return reports, rest

    def _all_suspect(self, jobs: list[Job]) -> tuple[list[Report], list[Job]]:
        """Nobody knows which of them it was: the death counts for all, and the master gives them out one by one."""
        reason = "the task's process ended, and a task had overwritten what it shares with its worker"
        return [Report(kind="died", token=job.lease.token, lo=job.lo, hi=job.hi, value=reason) for job in jobs], []

    def _verdict(self, job: Job, item: int, status: int) -> Report:
        if self._timed_out:
            seconds = job.lease.header.timeout or 0.0
            text = f"ran longer than its timeout of {seconds:g} s, its process was ended"
            failure = Failure(kind="timeout", summary=text)
            return self._report(job, "timeout", item, item + 1, failure, seconds)
        text = f"the task's process ended with {_status(status)}"
        if status == -signal.SIGKILL and memory_kills() > self._memory_kills:
            text += ": the system killed it, as memory ran out"
        return self._report(job, "died", item, item + 1, text)

    def forget_payloads(self) -> None:
        """Send payloads anew: another master gives the same ids to other tasks."""
        self._payloads.clear()

    def restart(self) -> None:
        """End the child whatever it does, and start the next."""
        self.end()
        self.feeding = []
        self._start()

    def end(self) -> None:
        """End the child for good; what it still said is nobody's business."""
        self._close()

    def _close(self) -> None:
        self._inbox.ignore()
        self._group.end()
        for stream in (self._mouth, self._group.stdout):
            stream.close()
        self._output.end()
        self._cursor.close()


def _load(data: bytes, buffers: list[Any]) -> Any:
    # The child runs anybody's code; what it says is read as plain data.
    return load_plain(data, buffers)


def _status(status: int) -> str:
    if status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
