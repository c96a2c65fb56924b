"""The child: the process in which tasks run. It may hold the GIL, crash or be killed; the worker notices and goes on.

The worker feeds it jobs (spans of tasks) through its standard input and reads outcomes from its standard output, as
frames of a length and a pickle. Whatever tasks print takes pipes of its own, see `task_streams`. How a job is run
stands in `task_runner`, what becomes of functions in `functions`.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import OrderedDict
from typing import Any, BinaryIO, NoReturn

from dqlab.process.current import HERE
from dqlab.wire.checks import BUFFERS
from dqlab.wire.messages import PAYLOADS_HELD, PLAIN, Lease
from dqlab.worker.frames import read_frame, write_frame
from dqlab.worker.functions import Functions
from dqlab.worker.shared_numbers import BEGUN, LIMIT, STARTED, SharedNumbers
from dqlab.worker.task_runner import FLUSH, TaskRunner
from dqlab.worker.task_streams import TaskStreams

__all__ = ["load_handler"]


class _Child:
    def __init__(self, stdin: BinaryIO, stdout: BinaryIO, cursor: SharedNumbers, streams: TaskStreams) -> None:
        self._in, self._out, self._cursor, self._streams = stdin, stdout, cursor.numbers, streams
        self._functions = Functions()
        self._items: OrderedDict[int, Any] = OrderedDict()
        self._handler: Any = None
        self._words: list[Any] = []  #: what goes out with the next frame
        self._said = 0.0  #: when the last one went out
        self._speaking = threading.Lock()  #: one frame at a time
        self._runner = TaskRunner(self._cursor, HERE, self)

    def say(self, message: Any, now: bool = False) -> None:
        """Add a message to those that go out together: soon, or `now`."""
        with self._speaking:  # never to a list that is on its way out already
            self._words.append(message)
        if now or time.perf_counter() - self._said > FLUSH:
            self.deliver()

    def deliver(self) -> None:
        """Send what there is to say, if there is anything."""
        with self._speaking:
            words, self._words = self._words, []
            if words:
                write_frame(self._out, words)
                self._said = time.perf_counter()

    def end_output(self) -> None:
        """What was printed until now is the task's that is in hand."""
        self._streams.end_task()

    def forked(self) -> None:
        """This is a copy of the child now: what it says or hears must not be taken for the child's."""
        self._runner.forked = True
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (self._in, self._out):
            os.dup2(nowhere, stream.fileno(), inheritable=False)  # held open, they would hide the child's death
        os.close(nowhere)

    def end_copy(self, exc: BaseException | None) -> NoReturn:
        """The copy has come out of the task, which is the child's to go on with."""
        if exc is not None and not isinstance(exc, SystemExit):
            traceback.print_exception(exc)
        code = exc.code if isinstance(exc, SystemExit) else exc and 1
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))

    def give_way(self) -> NoReturn:
        """End between two tasks: the worker starts another child, and feeds it the rest."""
        self.end_output()
        self.deliver()
        os._exit(0)

    def run(self) -> None:
        """Do what is fed until standard input ends."""
        _, name, handler = read_frame(self._in)
        if handler:
            self._handler = load_handler(handler)
            self._functions = Functions()  # only what is imported from now on may be a client's
        self._runner.start()
        self.end_output()
        self.say(("ready",), now=True)
        while True:
            _, name, results, jobs, functions = read_frame(self._in)
            HERE.worker, self._said = name, time.perf_counter()
            self._runner.results.plain = results == PLAIN
            self._run_jobs(jobs, functions)
            self.say(("end",), now=True)

    def _run_jobs(self, jobs: list[tuple[Any, ...]], functions: dict[str, bytes]) -> None:
        for number, (base, row) in enumerate(jobs):
            lease = Lease.restore(row)
            first, kind, digest = lease.first, lease.header.kind, lease.header.function
            self._hold(first, lease.payload, kind)  # of what was given back too: the worker takes it for known here
            function = self._functions.hold(digest, functions) if kind != "plain" else None
            if base + lease.lo >= self._cursor[LIMIT]:
                continue
            if function is not None and not self._functions.suits(function):
                self.give_way()
            HERE.task = first + lease.lo
            self._cursor[STARTED] = time.monotonic_ns()
            self._cursor[BEGUN] = base + lease.lo  # loading may crash as well; it counts against the first task
            try:
                call = self._functions.load(function, lease.header.python) if function is not None else self._handler
                items = self._load_items(first, lease.payload, kind)
            except BaseException as exc:
                failure = self._runner.results.describe(exc)
                self.say(("failed", number, lease.lo, lease.hi, failure.encode(), 0.0))
                continue
            self._runner.run(number, base, lease, call, items)

    def _hold(self, first: int, payload: Any, kind: str) -> None:
        if kind != "plain" and payload is not None:
            self._items.pop(first, None)  # with a master that came back the same ids come again: it is the newest now
            self._items[first] = payload
            while len(self._items) > PAYLOADS_HELD:
                self._items.popitem(last=False)

    def _load_items(self, first: int, payload: Any, kind: str) -> list[Any]:
        if kind == "plain":
            return list(payload)
        held = self._items[first]
        if isinstance(held, BUFFERS):
            held = self._items[first] = [held] if kind == "call" else pickle.loads(held)
        return held


def load_handler(handler: str) -> Any:
    """The function named `package.module:function`."""
    module, _, name = handler.partition(":")
    function = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    return function


def main() -> None:
    """Be the child until standard input ends; called by `child_start`."""
    sys.path.insert(0, "")  # all that is ours is loaded: tasks import what lies in the working folder, as ever
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    handle, token, pipe = sys.argv[1:]
    del sys.argv[1:]
    cursor, pipes = SharedNumbers.open(handle), (int(pipe), os.dup(2))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(pipes[0], 1)
    streams = TaskStreams(bytes.fromhex(token), pipes, cursor.numbers)
    sys.stdout = sys.__stdout__ = streams.stdout  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = streams.stderr  # type: ignore[misc]
    child = _Child(stdin, stdout, cursor, streams)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=child.forked)
    try:
        child.run()
    except (EOFError, BrokenPipeError):
        os._exit(0)
