"""A master that exists only on paper: workers, tasks and deaths in virtual time, told as events and stats."""

from __future__ import annotations

import heapq
import random
import time
from collections import deque
from typing import Any


class SimulatedMaster:
    """Answers `events`, `stats` and `failures` as a client does. ``seconds`` is the mean length of a task.

    Time passes by `advance`; with ``live=True`` it follows the real clock whenever somebody asks.
    """

    def __init__(
        self,
        workers: int = 4,
        seconds: float = 0.5,
        live: bool = False,
        failing: float = 0.0,
        seed: int = 1,
        remembered: int = 10_000,
    ) -> None:
        self.random = random.Random(seed)
        self.live, self.seconds, self.failing = live, seconds, failing
        self.now = self.started = time.time() if live else 1_000_000.0
        self.log: deque[dict[str, Any]] = deque(maxlen=remembered)
        self.seq = self.next_task = 0
        self.ready: deque[tuple[int, int]] = deque()
        self.running: dict[str, tuple[int, int, float]] = {}
        self.agenda: list[tuple[float, int, str, int]] = []
        self.counts = {"done": 0, "failed": 0, "redelivered": 0}
        self.delayed: list[tuple[float, int, int]] = []
        self.failed: list[dict[str, Any]] = []
        self.hosts: dict[str, str] = {}
        self.paused = False
        self.dead = False
        self.names = 0
        for _ in range(workers):
            self.add()

    # ------------------------------------------------------------ what a client sees

    away = False  #: it is here, and nobody has to look for it

    def events(self, since: int = 0, timeout: float = 0.0, expand: bool = False) -> list[dict[str, Any]]:
        if self.dead:
            raise ConnectionError("the master is gone")
        if self.live:
            until = time.time() + timeout
            self.advance(time.time())
            while self.seq <= since and time.time() < until:
                time.sleep(0.02)
                self.advance(time.time())
        return [event for event in self.log if event["seq"] > since]

    def stats(self) -> dict[str, Any]:
        workers = [
            {
                "name": n,
                "host": h,
                "pid": 1,
                "state": "busy" if n in self.running else "idle",
                "done": 0,
                "utilisation": 0.0,
                "running": self.running[n][0] if n in self.running else None,
                "queues": None,
            }
            for n, h in self.hosts.items()
        ]
        queue = {
            "ready": len(self.ready),
            "delayed": len(self.delayed),
            "leased": len(self.running),
            "paused": self.paused,
            "cancelled": 0,
            **self.counts,
        }
        return {
            "queues": {"default": queue},
            "workers": workers,
            "throughput": 0.0,
            "time": self.now,
            "latency": {"p50": self.seconds * 2, "p95": self.seconds * 5},
            "uptime": self.now - self.started,
        }

    def failures(self, limit: int = 20) -> list[dict[str, Any]]:
        return self.failed[-limit:]

    # ------------------------------------------------------------ what happens

    def submit(self, n: int = 1) -> None:
        self._tell("submitted", task=self.next_task, count=n)
        self.ready.extend((task, 1) for task in range(self.next_task, self.next_task + n))
        self.next_task += n
        self._hand_out()

    def add(self, host: str = "lab1") -> str:
        self.names += 1
        name = f"w{self.names}"
        self.hosts[name] = host
        self._tell("worker_joined", worker=name, host=host, pid=100 + self.names)
        self._hand_out()
        return name

    def leave(self, name: str, reason: str = "killed by signal 9") -> None:
        del self.hosts[name]
        if name in self.running:
            task, attempt, _ = self.running.pop(name)
            self.counts["redelivered"] += 1
            self.ready.appendleft((task, attempt + 1))
            self._tell("redelivered", task=task, worker=name, reason=reason, attempt=attempt)
        self._tell("worker_left", worker=name, reason=reason)
        self._hand_out()

    def pause(self, queue: str = "default") -> None:
        self.paused = True
        self._tell("paused", queue=queue)

    def resume(self, queue: str = "default") -> None:
        self.paused = False
        self._tell("resumed", queue=queue)
        self._hand_out()

    def advance(self, until: float) -> None:
        """Let everything happen that happens until then (seconds since the epoch)."""
        while self.agenda and self.agenda[0][0] <= until:
            self.now, _, worker, task = heapq.heappop(self.agenda)
            if worker == "":
                due = next(entry for entry in self.delayed if entry[1] == task)
                self.delayed.remove(due)
                self.ready.append(due[1:])
                self._hand_out()
            elif worker in self.running and self.running[worker][0] == task:
                self._end(worker)
        self.now = max(self.now, until)

    def _end(self, worker: str) -> None:
        task, attempt, began = self.running.pop(worker)
        spent = round(self.now - began, 4)
        if self.random.random() >= self.failing:
            self.counts["done"] += 1
            self._tell("done", task=task, worker=worker, seconds=spent, attempt=attempt)
        elif attempt < 2:
            self.delayed.append((self.now + 1.0, task, attempt + 1))
            heapq.heappush(self.agenda, (self.now + 1.0, self.seq, "", task))
            why = {"reason": "ValueError: bad pixel", "attempt": attempt}
            self._tell("delayed", task=task, worker=worker, seconds=1.0, **why)
        else:
            self.counts["failed"] += 1
            reason = "ValueError: bad pixel"
            text = f'Traceback (most recent call last):\n  File "job.py", line 3, in paint\n{reason}'
            failure = {"task": task, "queue": "default", "attempts": attempt, "reason": reason, "traceback": text}
            self.failed.append(failure)
            self._tell("failed", task=task, worker=worker, reason=reason, attempt=attempt)
        self._hand_out()

    def _hand_out(self) -> None:
        for worker in self.hosts:
            if worker not in self.running and self.ready and not self.paused:
                task, attempt = self.ready.popleft()
                self.running[worker] = (task, attempt, self.now)
                spent = self.seconds * self.random.uniform(0.5, 1.5)
                heapq.heappush(self.agenda, (self.now + spent, self.seq, worker, task))
                self._tell("leased", task=task, worker=worker, attempt=attempt)

    def _tell(self, kind: str, **fields: Any) -> None:
        self.seq += 1
        self.log.append({"seq": self.seq, "time": self.now, "kind": kind, "queue": "default", **fields})
