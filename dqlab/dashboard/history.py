"""What the dashboard knows: the event log folded into lanes, bars, links and series, in bounded memory.

                                    ┌── lanes: a line per worker, a bar per task (or per run of short ones)
    record.follow() ──> History ────┼── links: from a lost task to the worker that took it over
    record.read()                   ├── bins:  levels, and tasks done, per slice of time
                                    └── absences: from when the master was last seen until it was started again

Pure: no widget, no thread, no clock; time comes with the events. `frame(since)` says what changed after a version,
as plain data, so that a screen is told only that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from dqlab.dashboard.bin import BINS, LEVELS, NOTHING, Bin
from dqlab.dashboard.lane import MERGED_SLICES, Bar, Lane, Link, rounded

__all__ = ["History"]

#: bars that a lane keeps, whatever its window
BARS = 4_000
#: lanes kept; the ones that left first are forgotten first
LANES = 256
#: links, failures and lost tasks still waiting for a new worker that are kept
LINKS, FAILURES, LOST = 200, 20, 1_000
#: failures of a record that are kept, so that each of its instants has some to show
RECORDED_FAILURES = 1_000
#: printed lines that are kept, of a record as well, and characters of each
PRINTED, RECORDED_PRINTED, LINE_CHARS = 100, 1_000, 200
#: times without a master that are kept
ABSENCES = 20

#: how a lane ends whose worker has not come back to a master that was started again
OUT_OF_REACH = "out of reach"
#: words in the reason for leaving of a worker that did not leave by its own will
_DEATHS = ("connection", "heartbeat", "killed", "died")


class History:
    """Folds the lines of the event stream. `window` is the visible time in seconds; `None` keeps everything."""

    def __init__(self, window: float | None = 30.0, slice: float | None = None) -> None:
        self.window = window
        self.slice = slice or (window or 60.0) / BINS
        self.base: float | None = None  #: seconds since the epoch at which the history's own time begins
        self.now = self._before = 0.0  #: the newest instant, and the one before it
        self.seq = 0  #: the last event folded
        self.version = 0
        self.lanes: dict[str, Lane] = {}
        self.links: deque[Link] = deque(maxlen=None if window is None else LINKS)
        self.absences: deque[list[float]] = deque(maxlen=None if window is None else ABSENCES)  #: [begin, end]
        self.failures: deque[list[Any]] = deque(maxlen=RECORDED_FAILURES if window is None else FAILURES)
        self.printed: deque[list[Any]] = deque(maxlen=RECORDED_PRINTED if window is None else PRINTED)
        self.bins: deque[Bin] = deque(maxlen=None if window is None else BINS + 2 * MERGED_SLICES)
        self.levels: list[Any] = NOTHING  #: as last sampled
        self.queues: dict[str, dict[str, Any]] = {}
        self.paused: list[str] = []  #: names of paused queues
        self._lost: dict[int, tuple[str, float]] = {}
        self._failures_version = self._printed_version = 0
        self._bars = 0
        #: kind of event -> the method that folds it; the others move nothing that is drawn
        self._folds = {name[4:]: getattr(self, name) for name in dir(type(self)) if name.startswith("_on_")}

    # ---------------------------------------------------------------- in

    def feed(self, events: Iterable[dict[str, Any]]) -> int:
        """Fold event records (with or without `count`), oldest first. Returns how many were new."""
        self.version += 1
        fed = 0
        for event in events:
            if "seq" in event:
                if event["seq"] <= self.seq:
                    continue
                self.seq = event["seq"]
                fed += 1
            fold = self._folds.get(event["kind"])
            if fold is not None:
                fold(event, self._at(event["time"]))
        self._forget()
        return fed

    # ---------------------------------------------------------------- out

    @property
    def state(self) -> str:
        """One word: "empty", "busy", "paused", "waiting" (there is work but no worker) or "finished"."""
        return self.levels[-1]

    @property
    def workers(self) -> list[str]:
        """The workers that are there, by name, in the order in which they joined."""
        return [lane.name for lane in self.lanes.values() if lane.left is None and lane.host]

    def frame(self, since: int = 0) -> dict[str, Any]:
        """What changed after version `since` as plain data; everything for 0."""
        frame: dict[str, Any] = {"key": since == 0, "now": rounded(self.now)}
        frame["bins"] = _newer(self.bins, since)
        frame["links"] = _newer(self.links, since)
        frame["lanes"] = [
            [lane.name, lane.host, rounded(lane.joined), lane.left and rounded(lane.left), lane.end, lane.reason]
            + [lane.task, rounded(lane.since), lane.newer(since)]
            for lane in self.lanes.values()
            if lane.version > since
        ]
        if self._failures_version > since or since == 0:
            frame["failures"] = list(self.failures)
        if self._printed_version > since or since == 0:
            frame["printed"] = list(self.printed)
        frame["paused"] = self.paused
        frame["absences"] = [[rounded(begin), rounded(end)] for begin, end in self.absences]
        return frame

    # ---------------------------------------------------------------- one method per kind of event

    def _on_worker_joined(self, event: dict[str, Any], when: float) -> None:
        self._lane(event["worker"], when, event.get("host", ""))

    def _on_worker_left(self, event: dict[str, Any], when: float) -> None:
        lane = self._lane(event["worker"], when)
        lane.left, lane.reason = when, str(event.get("reason", ""))
        lane.end = "died" if any(word in lane.reason for word in _DEATHS) else "stopped"

    def _on_restarted(self, event: dict[str, Any], when: float) -> None:
        """The master is back, and knows no worker until each comes back to it: it was last seen just before."""
        if self._before < when:  # else nothing is known of the time before
            self.absences.append([self._before, when])
        for lane in self.lanes.values():
            if lane.left is None:
                lane.left, lane.end, lane.reason = self._before, OUT_OF_REACH, str(event.get("reason", ""))
                lane.version = self.version

    def _on_leased(self, event: dict[str, Any], when: float) -> None:
        task, count = event["task"], event.get("count", 1)
        worker = event.get("worker", "plain")
        self._lane(worker, when).leases.append((task, task + count, when))
        if self._lost:
            for lost in [t for t in self._lost if task <= t < task + count]:
                self._link(lost, *self._lost.pop(lost), worker, when)

    def _on_done(self, event: dict[str, Any], when: float) -> None:
        worker, count = event.get("worker", "plain"), event.get("count", 1)
        lane = self._lane(worker, when)
        seconds = event.get("seconds")
        start = lane.could_start(event["task"]) if seconds is None else when - seconds
        self._bar(lane, start, when, "done", event["task"], count)
        slot = self._bin(when)
        slot.done[worker] = slot.done.get(worker, 0) + count
        slot.version = self.version

    def _on_delayed(self, event: dict[str, Any], when: float) -> None:
        self._ended_badly(event, when, "retry")

    def _on_failed(self, event: dict[str, Any], when: float) -> None:
        self._ended_badly(event, when, "failed")
        self.failures.append([event["task"], event.get("queue", ""), rounded(when), str(event.get("reason", "")), ""])
        self._failures_version = self.version

    def _on_redelivered(self, event: dict[str, Any], when: float) -> None:
        if self.absences and self.absences[-1][1] == when:  # it was lost when the master died, and is found now
            when = self.absences[-1][0]
        self._ended_badly(event, when, "lost")
        for task in range(event["task"], event["task"] + min(LOST, event.get("count", 1))):
            if len(self._lost) < LOST:
                self._lost[task] = (event.get("worker", "plain"), when)

    def _ended_badly(self, event: dict[str, Any], when: float, kind: str) -> None:
        lane = self.lanes.get(event.get("worker", "plain"))
        if lane is None:
            return
        running = lane.task is not None and event["task"] <= lane.task < event["task"] + event.get("count", 1)
        if kind == "lost" and not running and lane.free_at >= when:
            return  # waited in the worker behind the task that is drawn
        task = lane.task if running and lane.task is not None else event["task"]
        start = lane.since if running else lane.could_start(task)
        self._bar(lane, start, when, kind, task, 1, str(event.get("reason", "")))

    def _on_printed(self, event: dict[str, Any], when: float) -> None:
        for line in event.get("text", "").removesuffix("\n").split("\n")[-PRINTED:]:
            self.printed.append([event["task"], event.get("worker", ""), rounded(when), line[:LINE_CHARS]])
        self._printed_version = self.version

    # ---------------------------------------------------------------- the two lines that a follower adds

    def _on_sample(self, sample: dict[str, Any], when: float) -> None:
        """Levels of the queues, and what each worker is doing."""
        self.queues = queues = sample["queues"]
        latency, workers = sample.get("latency", {}), sample.get("workers", {})
        for name, worker in workers.items():
            if name not in self.lanes:  # it joined before the oldest event that the master remembers
                self._lane(name, when, worker["host"])
        totals = [sum(queue.get(name, 0) for queue in queues.values()) for name in LEVELS[:6]]
        self.paused = [name for name, queue in queues.items() if queue.get("paused")]
        self.levels = [*totals, latency.get("p50"), latency.get("p95"), self._state(totals)]
        slot = self._bin(when)
        slot.levels, slot.version = self.levels, self.version
        for lane in self.lanes.values():
            worker = workers.get(lane.name, {})
            lane.host = lane.host or worker.get("host", "")
            task = worker.get("running") if lane.left is None else None
            if task != lane.task:
                lane.task, lane.version = task, self.version
                lane.since = when if task is None else lane.could_start(task)

    def _on_failure(self, failure: dict[str, Any], when: float) -> None:
        """The traceback of a task that failed."""
        row = next((row for row in reversed(self.failures) if row[0] == failure["task"]), None)
        if row is not None and row[4] != failure["text"]:
            row[4], self._failures_version = failure["text"], self.version

    # ---------------------------------------------------------------- small parts

    def _state(self, totals: list[int]) -> str:
        ready, leased, delayed, done, failed, _ = totals
        if self.paused:
            return "paused"
        if leased or ready or delayed:
            working = leased or any(lane.left is None for lane in self.lanes.values())
            return "busy" if working else "waiting"
        return "finished" if done or failed else "empty"

    def _at(self, when: float) -> float:
        if self.base is None:
            self.base = when
        if when - self.base > self.now:
            self._before, self.now = self.now, when - self.base
        return when - self.base

    def _lane(self, name: str, when: float, host: str = "") -> Lane:
        lane = self.lanes.get(name)
        if lane is None:
            lane = self.lanes[name] = Lane(name, host, when)
            lane.bars = deque(maxlen=None if self.window is None else BARS)
        elif host and lane.left is not None:  # the same worker came back
            lane.left, lane.end, lane.reason = None, "", ""
        lane.host = host or lane.host
        lane.version = self.version
        return lane

    def _bar(self, lane: Lane, start: float, end: float, kind: str, task: int, count: int, text: str = "") -> None:
        self._bars += 1
        lane.draw(Bar(self._bars, start, end, kind, task, count, text=text, version=self.version), self.slice)

    def _link(self, task: int, source: str, lost: float, target: str, taken: float) -> None:
        last = self.links[-1] if self.links else None
        if last is not None and (last.source, last.lost, last.target) == (source, lost, target):
            last.count, last.version = last.count + 1, self.version
        else:
            self.links.append(Link(source, lost, target, taken, task, 1, self.version))

    def _bin(self, when: float) -> Bin:
        """The slice that holds `when`, or the nearest one that is kept."""
        start = when // self.slice * self.slice
        for slot in reversed(self.bins):
            if slot.start <= start + self.slice / 2:
                if slot.start > start - self.slice / 2:
                    return slot
                break
        else:
            if self.bins:
                return self.bins[0]
        if self.bins and self.bins[-1].start > start:  # an empty slice in the past: count it where time stands now
            return self.bins[-1]
        slot = Bin(start, version=self.version)
        self.bins.append(slot)
        return slot

    def _forget(self) -> None:
        """Drop what has left the window."""
        if self.window is None:
            return
        horizon = self.now - self.window - MERGED_SLICES * self.slice
        while self.bins and self.bins[0].start < horizon and len(self.bins) > 1:
            self.bins.popleft()
        while self.links and self.links[0].taken < horizon:
            self.links.popleft()
        while self.absences and self.absences[0][1] < horizon:
            self.absences.popleft()
        gone = [name for name, lane in self.lanes.items() if lane.left is not None and lane.left < horizon]
        for name in gone:
            del self.lanes[name]
        for name in [n for n, lane in self.lanes.items() if lane.left is not None][: max(0, len(self.lanes) - LANES)]:
            del self.lanes[name]
        for lane in self.lanes.values():
            while lane.bars and lane.bars[0].end < horizon:
                lane.bars.popleft()


def _newer(items: Iterable[Any], since: int) -> list[Any]:
    return [item.as_list() for item in items if item.version > since]
