"""The referee: sees each call on the broker and what came of it, and says when a promise is broken. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dqlab.workbench.levels import DELIVERIES, LEASE

__all__ = ["Broken", "Referee"]

#: seconds that rounding may make of a lease
EPSILON = 0.01


class Broken(Exception):
    """A promise is broken: with which `task` ("" if with none), and how the story of it ends."""

    def __init__(self, task: str, ending: str, traceback: str = "") -> None:
        super().__init__(ending)
        self.task, self.ending, self.traceback = task, ending, traceback


@dataclass
class Delivery:
    """A task in a worker's hands, since `at`; `ended` is "" as long as the worker may still be at work on it."""

    worker: str
    at: float
    ended: str = ""  #: "in time", "killed", or "master died"

    def may_be_given_again(self, now: float) -> bool:
        """Whether there is a reason to give its task to somebody else."""
        return self.ended in ("killed", "master died") or (self.ended != "in time" and now - self.at >= LEASE - EPSILON)


@dataclass
class Account:
    """What has happened to one task."""

    sure: bool  #: the client heard that it was taken in
    deliveries: list[Delivery] = field(default_factory=list)
    in_this_life: int = 0  #: deliveries since the master was last started
    results: list[Any] = field(default_factory=list)  #: that workers have brought
    end: tuple[str, Any] | None = None  #: ("results", value) or ("failed", None), once seen


class Referee:
    """Knows what was promised up to `level`. Each method may raise `Broken`."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._accounts: dict[str, Account] = {}
        self.ends: Counter[tuple[str, str]] = Counter()  #: how often each task is in "results", and in "failed"
        self._unheard = 0  #: answers to `get` that were lost with the master: each may have been a delivery

    def put(self, task: str, sure: bool) -> None:
        """A client has put a task; it is `sure` if the master lived to say so."""
        self._accounts.setdefault(task, Account(sure)).sure = sure

    def given(self, task: Any, worker: str, now: float) -> None:
        """`get` has given a worker a task."""
        account = self._accounts.get(task) if isinstance(task, str) else None
        if account is None:
            raise Broken("", f"get gave {worker} {task!r}, and nobody has put that.")
        last = account.deliveries[-1] if account.deliveries else None
        account.deliveries.append(Delivery(worker, now))
        account.in_this_life += 1
        if last is not None and not last.may_be_given_again(now):
            done = last.ended == "in time"
            raise Broken(task, ", and it was done already." if done else f", and {last.worker} was at work on it.")
        if self._level >= 5 and account.in_this_life > DELIVERIES:
            raise Broken(task, ": a fourth time.")

    def not_heard(self) -> None:
        """The master died while it answered a `get`."""
        self._unheard += 1

    def brought(self, task: str, result: Any) -> None:
        """A worker brings a result."""
        self._accounts[task].results.append(result)

    def heard(self, task: str, worker: str, now: float) -> None:
        """The broker has taken the result in, or dropped it."""
        for delivery in self._accounts[task].deliveries:
            if delivery.worker == worker and not delivery.ended and now - delivery.at < LEASE - EPSILON:
                delivery.ended = "in time"

    def killed(self, worker: str) -> None:
        """A worker's connection has ended."""
        for account in self._accounts.values():
            for delivery in account.deliveries:
                if delivery.worker == worker:
                    delivery.ended = delivery.ended or "killed"

    def master_died(self) -> None:
        """A new broker begins: it may, but need not, know who has what."""
        for account in self._accounts.values():
            account.in_this_life = 0
            for delivery in account.deliveries:
                delivery.ended = delivery.ended or "master died"

    def look(self, results: Any, failed: Any) -> None:
        """Look at the broker's lists."""
        ends = [*_pairs(results), *(("failed", task, None) for task in _tasks(failed))]
        self.ends = Counter((name, task) for name, task, _ in ends)
        for name, task, value in ends:
            self._known(name, task, value)
        for (name, task), number in self.ends.items():
            if number > 1:
                raise Broken(task, ": twice.")
            if name == "results" and ("failed", task) in self.ends:
                raise Broken(task, f": {task} has a result, and failed.")
        seen = {task: (name, value) for name, task, value in ends}
        for task, account in self._accounts.items():
            if account.end is not None and seen.get(task) != account.end:
                what = "result" if account.end[0] == "results" else "failure"
                raise Broken(task, f"; the {what} of {task} had been there, and is no more.")
            account.end = seen.get(task)

    def _known(self, name: str, task: Any, value: Any) -> None:
        account = self._accounts.get(task)
        if account is None:
            raise Broken("", f"{name} holds {task!r}, and nobody has put that.")
        if name == "results" and value not in account.results:
            raise Broken(task, f"; its result is {value!r}, and nobody has said that.")
        if name == "failed" and (number := len(account.deliveries)) + self._unheard < DELIVERIES:
            raise Broken(task, f"; it is among the failed after {number} of {DELIVERIES} deliveries.")

    def open(self) -> list[str]:
        """The tasks that have no end yet, and need one."""
        return [task for task, account in self._accounts.items() if account.sure and account.end is None]


def _pairs(results: Any) -> list[tuple[str, Any, Any]]:
    pairs = []
    for pair in _listed("results", results):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise Broken("", f"results holds {pair!r}, which is no (task, result).")
        pairs.append(("results", *pair))
    return pairs


def _tasks(failed: Any) -> list[str]:
    tasks = _listed("failed", failed)
    for task in tasks:
        if not isinstance(task, str):
            raise Broken("", f"failed holds {task!r}, which is no task.")
    return tasks


def _listed(name: str, value: Any) -> list[Any]:
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise Broken("", f"{name} is {value!r}, and should be a list.")
    return list(value)
