"""The child: the process in which tasks run. It may hold the GIL, crash or be killed; the worker notices and goes on.

The worker feeds it jobs (spans of tasks) through its standard input and reads outcomes from its standard output, as
frames of a length and a pickle. Whatever tasks print is caught and sent along.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn, cast

import cloudpickle

from dqlab.process.owner import die_with_parent
from dqlab.wire.messages import CALLS, PAYLOADS_HELD, Failure, Lease, beside
from dqlab.wire.plain_data import dump_plain
from dqlab.worker.frames import read_frame, write_frame
from dqlab.worker.shared_numbers import BEGUN, LIMIT, STARTED, Cursor

__all__ = ["Current", "current", "load_handler"]

#: seconds after which results are sent although there is more to do
FLUSH = 0.05
#: seconds of one task from which on its result does not wait for others: the next may take much longer
EAGER = 0.01
#: types whose values any pickler pickles alike
_SIMPLE = frozenset({int, float, complex, str, bytes, bool, type(None)})
#: characters of a traceback that travel
TEXT_CHARS = 12_000
#: characters of one printed piece; the rest of it is cut
PRINT_CHARS = 8_000


@dataclass
class Current:
    """Where the code that asks is running: `worker` is its name, `task` the id of the task."""

    worker: str = ""
    task: int = 0


_current = Current()


def current() -> Current | None:
    """The worker and task that the calling code runs in; None outside of a worker."""
    return _current if _current.worker else None


class _Printer(io.TextIOBase):
    """Standard output of tasks: each whole line becomes a message with the task's id."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send, self._rest = send, ""  # threads of a task may mix their lines, as on any standard output

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._rest += text
        if "\n" in text or len(self._rest) > PRINT_CHARS:
            self.flush_task()
        return len(text)

    def flush_task(self) -> None:
        text, self._rest = self._rest, ""
        if text:
            self._send(("printed", _current.task, text[:PRINT_CHARS]))


class _Child:
    def __init__(self, stdin: BinaryIO, stdout: BinaryIO, cursor: Cursor) -> None:
        self._in, self._out, self._cursor = stdin, stdout, cursor.numbers
        self._functions: dict[str, Any] = {}
        self._pickled: dict[str, bytes] = {}
        self._items: OrderedDict[int, Any] = OrderedDict()
        self._handler: Any = None
        self._words: list[Any] = []  #: what goes out with the next frame
        self._said = 0.0  #: when the last one went out
        self._delivering = False
        self._speaking = threading.RLock()  #: threads of a task print too, and a frame must not get between another's
        self._forked = False  #: whether this is a copy of the child that a task has forked
        self._printer = _Printer(self._say_printed)

    def _say(self, message: Any, now: bool = False) -> None:
        """Add a message to those that go out together: soon, or `now`."""
        self._words.append(message)
        if now or time.perf_counter() - self._said > FLUSH:
            self._deliver()

    def _say_printed(self, message: Any) -> None:
        """Send what was printed at once, or, while a frame goes out, with the next."""
        self._words.append(message)
        # Who prints may be another thread, or a finalizer in the middle of `_deliver`: neither may wait, nor cut in.
        if not self._delivering and self._speaking.acquire(blocking=False):
            try:
                self._deliver()
            finally:
                self._speaking.release()

    def _deliver(self) -> None:
        with self._speaking:
            self._delivering = True
            words, self._words = self._words, []
            write_frame(self._out, words)
            self._said = time.perf_counter()
            self._delivering = False

    def forked(self) -> None:
        """This is a copy of the child now: what it says or hears must not be taken for the child's."""
        self._forked = True
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (self._in, self._out):
            os.dup2(nowhere, stream.fileno(), inheritable=False)  # held open, they would hide the child's death
        os.close(nowhere)
        if sys.stdout is self._printer:
            sys.stdout = sys.__stdout__

    def _end_copy(self, exc: BaseException | None) -> NoReturn:
        """The copy has come out of the task, which is the child's to go on with."""
        if exc is not None and not isinstance(exc, SystemExit):
            traceback.print_exception(exc)
        code = exc.code if isinstance(exc, SystemExit) else exc and 1
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))

    def run(self) -> None:
        """Do what is fed until standard input ends."""
        _, name, handler = read_frame(self._in)
        if handler:
            self._handler = load_handler(handler)
        self._say(("ready",), now=True)
        sys.stdout = self._printer
        while True:
            _, name, jobs, functions = read_frame(self._in)
            _current.worker, self._said = name, time.perf_counter()
            self._pickled.update(functions)
            self._run_jobs(jobs)
            self._say(("end",), now=True)

    def _run_jobs(self, jobs: list[tuple[Any, ...]]) -> None:
        for number, (base, row) in enumerate(jobs):
            lease = Lease.decode(row)
            first, lo, hi, payload, kind = lease.first, lease.lo, lease.hi, lease.payload, lease.header.kind
            self._hold(first, payload, kind)  # of a job that was given back too: the worker takes it for known here
            if base + lo >= self._cursor[LIMIT]:
                continue
            _current.task = first + lo
            self._cursor[STARTED] = time.monotonic_ns()
            self._cursor[BEGUN] = base + lo  # loading may crash as well; it counts against the first task
            try:
                items = self._load_items(first, payload, kind)
                call = self._load_function(lease.header.function, kind, lease.header.python)
            except BaseException as exc:
                self._say(("failed", number, lo, hi, _describe(exc), 0.0))
                continue
            self._run_items(number, base, first, lo, hi, kind, call, items, lease.header.timeout, lease.careful)

    def _hold(self, first: int, payload: Any, kind: str) -> None:
        if kind != "plain" and payload is not None:
            self._items[first] = payload
            while len(self._items) > PAYLOADS_HELD:
                self._items.popitem(last=False)

    def _load_items(self, first: int, payload: Any, kind: str) -> list[Any]:
        if kind == "plain":
            return list(payload)
        held = self._items[first]
        if isinstance(held, bytes | bytearray | memoryview):
            held = self._items[first] = [held] if kind == "call" else pickle.loads(held)
        return held

    def _load_function(self, digest: str, kind: str, python: str) -> Any:
        if kind == "plain":
            return self._handler
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        if python and python != here:
            raise RuntimeError(
                f"the task was pickled by Python {python}, this worker runs Python {here}; start workers with {python}"
            )
        if digest not in self._functions:
            self._functions[digest] = pickle.loads(self._pickled.pop(digest))
        return self._functions[digest]

    def _run_items(
        self, number: int, base: int, first: int, lo: int, hi: int, kind: str, call: Any, items: list[Any],
        timeout: float | None, careful: bool,
    ) -> None:  # fmt: skip
        """The inner loop. A tiny task costs little more than its call: two stores, a load and a look at the clock."""
        cursor, clock, current_task = self._cursor, time.perf_counter, _current
        do, start, task = _caller(kind, call), (0 if kind == "plain" else lo), first - base
        results: list[Any] = []
        began = since = clock()
        flush_at, look = lo, 0.0  #: the first item that is not sent yet; when to look whether it has to be
        for position, item in enumerate(items[start : start + hi - lo], base + lo):
            if timeout is not None:  # before `BEGUN`: the worker would take the last task's start for this one's
                cursor[STARTED] = time.monotonic_ns()
            cursor[BEGUN] = position
            if position >= cursor[LIMIT]:
                hi = position - base
                break
            current_task.task = task + position
            try:
                value = do(item)
                if self._forked:
                    self._end_copy(None)
                results.append(value)
            except BaseException as exc:
                if self._forked:
                    self._end_copy(exc)
                i = position - base
                self._flush(number, flush_at, i, results, kind, since)
                self._printer.flush_task()
                self._say(("failed", number, i, i + 1, _describe(exc), clock() - began))
                results, flush_at, since = [], i + 1, clock()
            now = clock()
            if now > look:
                if now - since > FLUSH or now - began > EAGER or careful:
                    self._printer.flush_task()
                    self._flush(number, flush_at, position - base + 1, results, kind, since)
                    self._deliver()
                    results, flush_at, since = [], position - base + 1, clock()
                # No sooner can a task have taken long, or the first one wait for long.
                look = 0.0 if careful else min(now + EAGER, since + FLUSH)
            began = now
        self._printer.flush_task()
        self._flush(number, flush_at, hi, results, kind, since)

    def _flush(self, number: int, lo: int, hi: int, results: list[Any], kind: str, since: float) -> None:
        """Send the results of items [lo, hi); one that can't be sent is an error of its own task."""
        if lo == hi:
            return
        seconds = time.perf_counter() - since
        try:
            data = _pickle_results(results, kind)
        except BaseException as exc:
            if hi - lo == 1:
                self._say(("failed", number, lo, hi, _describe(exc), seconds))
                return
            for i, value in enumerate(results):
                self._flush(number, lo + i, lo + i + 1, [value], kind, time.perf_counter() - seconds / (hi - lo))
            return
        self._say(("done", number, lo, hi, beside(data), seconds))


def _caller(kind: str, function: Any) -> Callable[[Any], Any]:
    """What to do with one item."""
    if kind == "star":
        return lambda item: function(*item)
    if kind in CALLS:
        return lambda item: _call(function, item)
    return cast(Callable[[Any], Any], function)


def _call(function: Any, item: bytes) -> bytes:
    args, kwargs = pickle.loads(item)
    return _dump(function(*args, **kwargs))


def _dump(value: Any) -> bytes:
    """One result; the plain pickler does for what is only a number or a string."""
    return pickle.dumps(value, 5) if type(value) in _SIMPLE else cloudpickle.dumps(value)


def _pickle_results(results: list[Any], kind: str) -> bytes:
    if kind in CALLS:
        return results[0] if len(results) == 1 else pickle.dumps(results, 5)
    if kind != "plain":
        return cloudpickle.dumps(results)
    return dump_plain(results)


def _describe(exc: BaseException) -> tuple[Any, ...]:
    """An exception as it travels: pickled, its traceback as text (without our own frames), one line."""
    tb = exc.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename == __file__:
        tb = tb.tb_next
    text = _cut("".join(traceback.format_exception(type(exc), exc, tb)))
    summary = _cut("".join(traceback.format_exception_only(type(exc), exc)).strip().splitlines()[-1])
    try:
        data: bytes | None = cloudpickle.dumps(exc.with_traceback(None))
        pickle.loads(data)  # type: ignore[arg-type]
    except BaseException:
        data = None
    return Failure(kind="error", exception=data, traceback=text, summary=summary).encode()


def _cut(text: str) -> str:
    """A text that a message takes: what is too long lacks its middle, what is no Unicode is replaced."""
    if len(text) > TEXT_CHARS:
        text = f"{text[: TEXT_CHARS // 2]}\n...\n{text[-TEXT_CHARS // 2 :]}"
    return text.encode("utf8", "replace").decode("utf8")


def load_handler(handler: str) -> Any:
    """The function named `package.module:function`."""
    module, _, name = handler.partition(":")
    function = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    return function


def main() -> None:
    """Run as `python -c "from dqlab.worker.child import main; main()" HANDLE`."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What C code or a subprocess of a task prints must not get between the frames.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    child = _Child(stdin, stdout, Cursor.open(sys.argv[1]))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=child.forked)
    try:
        child.run()
    except (EOFError, BrokenPipeError):
        os._exit(0)
