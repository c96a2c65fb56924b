"""The event log as a stream: follow it while a master runs, keep it in a file, read it again.

A record is a text file, one JSON object per line: a header, then events as the master wrote them (a record may stand
for `count` consecutive tasks), and between them two kinds of line that only a follower can know: `sample` (queue
levels and latency, when they changed) and `failure` (the traceback of a task that failed). What the dashboard shows
live and what it replays is the same stream.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from dqlab.errors import BadInput

__all__ = ["Recorder", "follow", "read"]

#: the version of the file's form, which is the first line's first value
FORM = 1
#: seconds between two looks at a master that is at work
PERIOD = 0.2
#: seconds that a look may wait while nothing happens
IDLE = 1.0
#: failed tasks whose traceback is asked for at once
FAILURES = 20
#: what lines of a kind say besides their time
NEEDED = {
    **dict.fromkeys(("worker_joined", "worker_left"), ("worker",)),
    **dict.fromkeys(("leased", "done", "delayed", "failed", "redelivered"), ("task",)),
    "sample": ("queues",),
    "failure": ("task", "text"),
}


def follow(client: Any, stop: threading.Event, period: float = PERIOD) -> Iterator[list[dict[str, Any]]]:
    """Yield what is new at `client`'s master, at most once in `period` seconds, until `stop` is set.

    While nothing happens it yields once a second. Whatever the client raises when the master is gone passes through.
    """
    seq, moving = 0, True
    while not stop.is_set():
        began = time.monotonic()
        lines = _look(client, seq, period if moving else IDLE)
        before, seq = seq, _last(lines, seq)
        workers = next(line["workers"] for line in lines if line["kind"] == "sample")
        moving = seq > before or any(worker["running"] is not None for worker in workers.values())
        yield lines
        stop.wait(max(0.0, period - (time.monotonic() - began)))


def _look(client: Any, seq: int, timeout: float) -> list[dict[str, Any]]:
    """The events after number `seq`, a sample, and if tasks have failed why they did."""
    events = client.events(since=seq, timeout=timeout, expand=False)
    sample = _sample(client.stats())
    # The stats may count a failure whose event has not come yet: only the events tell when to ask.
    failed = any(event["kind"] == "failed" for event in events)
    failures = client.failures(limit=FAILURES) if failed else []
    return [*events, sample, *(_failure(failure, sample["time"]) for failure in failures)]


def _last(lines: list[dict[str, Any]], seq: int) -> int:
    """The highest event number in `lines`, or `seq`."""
    return max([seq, *(line["seq"] for line in lines if "seq" in line)])


def _sample(stats: dict[str, Any]) -> dict[str, Any]:
    workers = {w["name"]: {"host": w["host"], "running": w.get("running")} for w in stats["workers"]}
    return {
        "time": stats.get("time") or time.time(),
        "kind": "sample",
        "queues": stats["queues"],
        "latency": stats["latency"],
        "workers": workers,
    }


def _failure(failure: dict[str, Any], when: float) -> dict[str, Any]:
    return {"time": when, "kind": "failure", "task": failure["task"], "text": failure.get("traceback") or ""}


class Recorder:
    """Writes what happens at a master into a file, in a thread, until `stop`, the end of the block or of the master.

    `client` is a `Master` or what `connect` returned, `path` the file; an older one is replaced.
    """

    def __init__(self, client: Any, path: str | Path) -> None:
        self.path = Path(path)
        self._client = client
        self._file: TextIO = self.path.open("w", encoding="utf-8")
        self._write({"dqlab_record": FORM, "started": time.time()})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dqlab-record", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> Path:
        """Write what is still new, close the file and return its path. Harmless when repeated."""
        self._stop.set()
        self._thread.join(timeout)
        return self.path

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Recorder {self.path.name} {'recording' if self._thread.is_alive() else 'stopped'}>"

    def _run(self) -> None:
        known: dict[Any, dict[str, Any]] = {}  # the latest sample, and why the latest tasks failed
        with self._file:
            try:
                for lines in self._until_stopped():
                    for line in lines:
                        about = (line["kind"], line.get("task"))
                        if "seq" in line or known.pop(about, None) != {**line, "time": 0}:
                            self._write(line)
                        if "seq" not in line:
                            known[about] = {**line, "time": 0}
                    for about in list(known)[: -2 * FAILURES]:
                        del known[about]
                    self._file.flush()
            except Exception as error:  # the master's end is the record's end, whatever form it takes
                self._write({"time": time.time(), "kind": "end", "reason": f"{type(error).__name__}: {error}"})

    def _until_stopped(self) -> Iterator[list[dict[str, Any]]]:
        """All that `follow` yields, and one look more after the stop, so that the last events are not missing."""
        seq = 0
        for lines in follow(self._client, self._stop):
            seq = _last(lines, seq)
            yield lines
        yield _look(self._client, seq, 0.0)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


def read(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a record, without its header. A last line cut short by a crash is left out.

    Raises `BadInput` if the file isn't a record or a line in it makes no sense.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadInput(f"there is no file {str(path)!r}", "make one with master.record(...)") from None
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error.strerror}", "make one with master.record(...)") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is no record: not a text file", "make one with master.record(...)") from None
    if not lines or not lines[0].startswith('{"dqlab_record"'):
        raise BadInput(f"{path.name} is no record: its first line is no header", "make one with master.record(...)")
    events = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            event = json.loads(line)
            good = all(name in event for name in NEEDED.get(event["kind"], ())) and event["time"] >= 0
        except (ValueError, TypeError, KeyError):
            good = False
        if not good:
            if number == len(lines):
                break
            raise BadInput(f"{path.name}, line {number}: no event", "record it again") from None
        events.append(event)
    if not events:
        raise BadInput(f"{path.name} holds no event", "record while a master is at work")
    return events
