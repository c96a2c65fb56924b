"""A record as a trace: the Trace Event format, which https://ui.perfetto.dev and chrome://tracing open.

Hosts are processes and workers threads; a task is a slice, a death an instant, a hand-over an arrow, the backlog a
counter. Times in the file are microseconds since the record's begin.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dqlab.client.recording import read
from dqlab.dashboard.history import History
from dqlab.dashboard.lane import Bar, Lane

__all__ = ["trace"]

#: seconds below which two tasks would be drawn as one: none are
UNMERGED = 1e-6
#: number of the process to which what belongs to no host is given
MASTER = 0


def trace(record: str | Path, target: str | Path) -> Path:
    """Write `record` (made by `master.record`) as a trace into `target` and return its path.

    Raises `BadInput` if `record` is no record.
    """
    history = History(window=None, slice=UNMERGED)
    history.feed(read(record))
    target = Path(target)
    new = target.with_name(target.name + ".new")
    new.write_text(json.dumps({"displayTimeUnit": "ms", "traceEvents": list(_events(history))}), encoding="utf-8")
    os.replace(new, target)
    return target


def _events(history: History) -> Iterator[dict[str, Any]]:
    hosts = {host: pid for pid, host in enumerate(sorted({lane.host for lane in history.lanes.values()}), start=1)}
    place = {lane.name: {"pid": hosts[lane.host], "tid": tid} for tid, lane in enumerate(history.lanes.values(), 1)}
    yield {"ph": "M", "name": "process_name", "pid": MASTER, "args": {"name": "master"}}
    for host, pid in hosts.items():
        yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": host or "plain clients"}}
    for lane in history.lanes.values():
        yield {"ph": "M", "name": "thread_name", **place[lane.name], "args": {"name": lane.name}}
        for bar in lane.bars:
            yield {**_slice(bar), **place[lane.name]}
        if lane.left is not None:
            end = {"name": f"worker {lane.end}", "ts": _us(lane.left), "args": {"why": lane.reason}}
            yield {"ph": "i", "s": "t", **end, **place[lane.name]}
    for gone, back in history.absences:
        times = {"ts": _us(gone), "dur": _us(back) - _us(gone)}
        yield {"ph": "X", "name": "no master", "cat": "absence", **times, "pid": MASTER, "tid": 0}
    for number, link in enumerate(history.links, start=1):
        arrow = {"cat": "hand-over", "name": "hand-over", "id": number}
        begun = _start_of(history.lanes[link.target], link.task, link.taken)
        yield {"ph": "s", "ts": _us(link.lost) - 1, **arrow, **place[link.source]}
        yield {"ph": "f", "bp": "e", "ts": max(_us(begun) + 1, _us(link.lost)), **arrow, **place[link.target]}
    for slot in history.bins:
        if slot.levels:
            levels = dict(zip(("ready", "leased", "delayed"), slot.levels, strict=False))
            yield {"ph": "C", "name": "backlog", "ts": _us(slot.start), "pid": MASTER, "args": levels}


def _slice(bar: Bar) -> dict[str, Any]:
    name = f"task {bar.task}" if bar.count == 1 else f"{bar.count} tasks from {bar.task}"
    facts: dict[str, Any] = {"outcome": bar.kind, "tasks": bar.count}
    if bar.text:
        facts["reason"] = bar.text
    times = {"ts": _us(bar.start), "dur": _us(bar.end) - _us(bar.start)}  # so rounded, neighbours don't overlap
    return {"ph": "X", "name": name, "cat": bar.kind, **times, "args": facts}


def _start_of(lane: Lane, task: int, taken: float) -> float:
    """When the worker that took a lost task over really began it."""
    starts = (bar.start for bar in lane.bars if bar.task <= task < bar.task + bar.count and bar.end >= taken)
    return next(starts, taken)


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
