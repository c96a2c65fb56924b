"""The worker's side of its child process: start it, feed it jobs, turn its words and its death into outcomes."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from dqlab.errors import LaunchFailed
from dqlab.wire.connection import beside, load_plain
from dqlab.wire.messages import PAYLOADS_HELD, Grant, Outcome
from dqlab.worker.frames import read_frame, write_frame
from dqlab.worker.shared_numbers import BEGUN, LIMIT, STARTED, Cursor

__all__ = ["ChildProcess", "Job"]

#: children in a row that may die before they are ready
HOPELESS = 3
#: seconds that a child which was killed may take to be gone
REAP = 10.0
#: seconds that a child may live on behind closed pipes
LINGER = 1.0

_COMMAND = "from dqlab.worker.child import main; main()"


@dataclass
class Job:
    """A lease on its way through the child: of [lo, hi) nothing is reported yet."""

    grant: Grant
    payload: Any
    lo: int
    hi: int
    start: int = 0  #: position of item lo in the current feed
    fed_lo: int = field(default=0)  #: lo when it was fed

    def position(self, item: int) -> int:
        return self.start + item - self.fed_lo


class ChildProcess:
    """One child after another. ``inbox`` gets ``(generation, messages)`` for all that a child says; None at its end.

    While ``gathering``, results only pile up in ``aside``: to be woken for each would cost more than a short task does.
    """

    def __init__(self, handler: str | None, inbox: queue.SimpleQueue[Any]) -> None:
        self.handler, self.inbox = handler, inbox
        self.aside: deque[tuple[int, list[Any]]] = deque()
        self.gathering = False
        self.generation = 0
        self.worker = ""
        self.functions: dict[str, bytes] = {}
        self.feeding: list[Job] = []  #: what the child is working on
        self._cut: int | None = None
        self._early_deaths = 0
        self._timed_out = False
        self._start()

    def _start(self) -> None:
        self.generation += 1
        self.ready = False
        self._known: set[str] = set()
        self._payloads: deque[int] = deque(maxlen=PAYLOADS_HELD)
        self._cursor = Cursor.create(f"dqlab-{os.getpid()}-{self.generation}")
        fds = [self._cursor.fd] if self._cursor.fd is not None else []
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, self._cursor.handle],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=fds,
        )
        threading.Thread(target=self._listen, args=(self._process.stdout, self.generation), daemon=True).start()
        self._write(("hello", self.worker, self.handler))

    def _listen(self, stdout: BinaryIO, generation: int) -> None:
        try:
            while True:
                words = read_frame(stdout, _load)
                if self.gathering and all(word[0] == "done" for word in words):
                    self.aside.append((generation, words))
                else:
                    self.inbox.put((generation, words))
        except Exception:  # its end, or whatever a task's code wrote between the frames leads to
            self.inbox.put((generation, None))
        finally:
            stdout.close()

    def _write(self, message: Any) -> None:
        try:
            write_frame(cast(BinaryIO, self._process.stdin), message)
        except (OSError, ValueError):
            pass  # it is dead; its end is in the inbox

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End the child; `bury` says what that means for its tasks."""
        self._process.kill()

    @property
    def busy(self) -> bool:
        return bool(self.feeding)

    def feed(self, jobs: list[Job]) -> None:
        """Give an idle child its next jobs."""
        position, words, functions = 0, [], {}
        for job in jobs:
            grant = job.grant
            job.start, job.fed_lo = position, job.lo
            position += job.hi - job.lo
            if grant.function and grant.function not in self._known:
                self._known.add(grant.function)
                functions[grant.function] = self.functions[grant.function]
            payload = job.payload[job.lo - grant.lo : job.hi - grant.lo] if grant.kind == "plain" else job.payload
            if grant.kind != "plain":
                if grant.first in self._payloads:
                    payload = None
                else:
                    self._payloads.append(grant.first)
            words.append(
                (job.start - job.lo, grant.first, job.lo, job.hi, grant.kind, grant.function, beside(payload),
                 grant.python, grant.timeout, grant.careful)
            )  # fmt: skip
        self._cursor.numbers[BEGUN] = -1
        self._cursor.numbers[LIMIT] = position
        self.feeding = list(jobs)
        self._write(("feed", self.worker, words, functions))

    def hear(self, words: list[Any]) -> list[Outcome]:
        """What the messages of the child say about its tasks."""
        outcomes: list[Outcome] = []
        for kind, *word in words:
            if kind == "ready":
                self.ready, self._early_deaths = True, 0
            elif kind == "end":
                self.feeding = []
            elif kind in ("done", "failed"):
                number, lo, hi, value, seconds = word
                job = self.feeding[number]
                job.lo = hi
                if kind == "done":
                    outcomes.append(self._done(job, lo, hi, value, seconds))
                else:
                    outcomes += [Outcome("error", job.grant.token, i, i + 1, value, seconds) for i in range(lo, hi)]
        return outcomes

    def _done(self, job: Job, lo: int, hi: int, data: bytes, seconds: float) -> Outcome:
        # The values of plain tasks go to a plain queue; all others stay opaque bytes.
        value = load_plain(bytes(data)) if job.grant.kind == "plain" else data
        return Outcome("done", job.grant.token, lo, hi, value, seconds)

    def take_back(self, share: float) -> list[Outcome]:
        """Release the later ``share`` of what the child was fed and has not begun."""
        numbers = self._cursor.numbers
        end = sum(job.hi - job.fed_lo for job in self.feeding)
        limit = numbers[LIMIT]
        begun = numbers[BEGUN] + 1
        wanted = max(begun, limit - int((limit - begun) * share + 0.999)) if limit > begun else limit
        if not self.feeding or wanted >= min(limit, end):
            return []
        numbers[LIMIT] = wanted
        wanted = max(wanted, numbers[BEGUN] + 1)
        outcomes = []
        for job in reversed(self.feeding):
            keep = min(job.hi, max(job.lo, job.fed_lo + wanted - job.start))
            if keep < job.hi:
                outcomes.append(Outcome("released", job.grant.token, keep, job.hi))
                job.hi = keep
        return outcomes

    def overdue(self) -> bool:
        """End the child if the task that it is at has run longer than its time-out."""
        begun = self._cursor.numbers[BEGUN]
        for job in self.feeding:
            timeout = job.grant.timeout
            if timeout is not None and job.position(job.lo) <= begun < job.position(job.hi):
                if time.monotonic_ns() - self._cursor.numbers[STARTED] > timeout * 1e9:
                    self._timed_out = True
                    self._process.kill()
                    return True
        return False

    def bury(self) -> tuple[list[Outcome], list[Job]]:
        """The child is dead: outcomes of what it had begun, jobs it had not; then start the next one."""
        status = self._reap()
        outcomes, rest = [], []
        begun = self._cursor.numbers[BEGUN]
        for job in self.feeding:
            at = job.fed_lo + begun - job.start
            token = job.grant.token
            if job.lo >= job.hi:
                continue
            if at < job.lo or begun < 0:
                rest.append(job)
                continue
            if at > job.lo:
                outcomes.append(Outcome("lost", token, job.lo, min(at, job.hi)))
            if at < job.hi:
                outcomes.append(self._verdict(job, at, status))
                job.lo = at + 1
                if job.lo < job.hi:
                    rest.append(job)
        if not self.ready:
            self._early_deaths += 1
        self.feeding, self._timed_out = [], False
        self._close()
        if self._early_deaths >= HOPELESS:
            raise LaunchFailed(f"the process for the tasks ended {HOPELESS} times at its start ({_status(status)})")
        self._start()
        return outcomes, rest

    def _reap(self) -> int:
        """The status of a child that says nothing any more; one that only closed its pipes is killed."""
        try:
            return self._process.wait(LINGER)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(REAP)

    def _verdict(self, job: Job, item: int, status: int) -> Outcome:
        if self._timed_out:
            text = f"ran longer than its timeout of {job.grant.timeout:g} s, its process was ended"
            seconds = job.grant.timeout or 0.0
            return Outcome("timeout", job.grant.token, item, item + 1, (None, "", text), seconds)
        return Outcome("died", job.grant.token, item, item + 1, f"the task's process ended with {_status(status)}")

    def forget_payloads(self) -> None:
        """Send payloads anew: another master gives the same ids to other tasks."""
        self._payloads.clear()

    def restart(self) -> None:
        """End the child whatever it does, and start the next."""
        self.end()
        self.feeding = []
        self._start()

    def end(self) -> None:
        """End the child for good."""
        self._process.kill()
        self._process.wait(REAP)
        self.generation += 1  # what it still said is nobody's business
        self._close()

    def _close(self) -> None:
        try:
            cast(BinaryIO, self._process.stdin).close()
        except OSError:
            pass  # what it had not read yet is lost with it
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
