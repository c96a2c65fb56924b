"""Worker processes by number: one worker is this process, several are children of it that it owns and speaks for."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from dqlab.errors import ConnectionFailed, DqlabError, LaunchFailed, NotDqlab, Refused
from dqlab.process.owner import read_settings, say, watch_owner
from dqlab.worker.plain_worker import PlainWorker
from dqlab.worker.settings import WorkerSettings
from dqlab.worker.worker import Worker

__all__ = ["run_owned", "run_workers"]


def run_owned() -> int:
    """A worker (or several) whose owner has given the settings on standard input."""
    settings = read_settings()
    if int(settings.get("n") or 1) > 1 or settings.get("supervise"):
        return Supervisor(settings, say, owned=True).run()
    return _run_one(settings, say, owned=True)


def run_workers(settings: dict[str, Any]) -> int:
    """The workers of `dqlab worker`, started by hand: they tell the terminal when they have joined."""
    if settings["n"] > 1:
        return Supervisor(settings, _tell_terminal, owned=False).run()
    return _run_one(settings, _tell_terminal, owned=False)


def _tell_terminal(event: str, **fields: Any) -> None:
    if event == "joined":
        print(f"dqlab worker {fields['name']} joined, pid {fields['pid']}", file=sys.stderr, flush=True)
    elif fields.get("reason"):
        print(f"dqlab worker {fields.get('name') or ''} left: {fields['reason']}", file=sys.stderr, flush=True)


def _run_one(settings: dict[str, Any], announce: Callable[..., None], owned: bool) -> int:
    tell = (lambda event, **fields: announce(event=event, **fields)) if owned else announce
    known = WorkerSettings.from_dict(settings)
    worker: Worker | PlainWorker = Worker(known, tell)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    if owned:
        watch_owner(lambda: worker.end_now())
    try:
        try:
            return worker.run()
        except NotDqlab:
            if not known.by_address:
                raise
            worker = PlainWorker(known, tell)
            return worker.run()
    except (ConnectionFailed, LaunchFailed, Refused) as exc:
        return _complain(exc)


def _complain(exc: DqlabError) -> int:
    print(f"dqlab: {exc.message}", file=sys.stderr, flush=True)
    if exc.hint:
        print(f"  {exc.hint}", file=sys.stderr, flush=True)
    return 1


class Supervisor:
    """Owns `n` worker processes; ends when they have ended, when it is told to, or when its own owner is gone.

    Commands, from the owner: `{"add": k}`, `{"kill": name}`, `{"stop": name}`.
    """

    def __init__(self, settings: dict[str, Any], announce: Callable[..., None], owned: bool) -> None:
        from dqlab.process.owned_process import OwnedProcess

        self._start_process = OwnedProcess
        self._settings = {key: value for key, value in settings.items() if key not in ("n", "supervise")}
        self._n = int(settings.get("n") or 1)
        self._announce, self._owned = announce, owned
        self._workers: dict[Any, str] = {}  #: process -> name
        self._inbox: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._failed = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._inbox.put(("stop all", None)))
        if self._owned:
            watch_owner(self._end_now, lambda command: self._inbox.put(("command", command)))
        self._add(self._n)
        while self._workers:
            source, said = self._inbox.get()
            if source == "stop all":
                for process in self._workers:
                    process.process.terminate()
            elif source == "command":
                self._obey(said)
            else:
                self._note(source, said)
        return 1 if self._failed else 0

    def _add(self, n: int) -> None:
        for _ in range(n):
            process = self._start_process([sys.executable, "-m", "dqlab", "worker", "--owned"], self._settings)
            self._workers[process] = ""
            threading.Thread(target=self._hear, args=(process,), name="dqlab-ear", daemon=True).start()

    def _hear(self, process: Any) -> None:
        while (said := process.said.get()) is not None:
            self._inbox.put((process, said))
        self._inbox.put((process, None))

    def _note(self, process: Any, said: dict[str, Any] | None) -> None:
        if said is not None:
            if said.get("event") == "joined":
                self._workers[process] = said["name"]
                self._tell("joined", name=said["name"], pid=said["pid"])
            return
        name = self._workers.pop(process)
        process.end()
        code = process.process.returncode
        self._failed = self._failed or code > 0
        self._tell("left", name=name, code=code, reason=process.words() or f"exit code {code}")

    def _tell(self, event: str, **fields: Any) -> None:
        if self._owned:
            self._announce(event=event, **fields)
        else:
            self._announce(event, **fields)

    def _obey(self, command: dict[str, Any]) -> None:
        if "add" in command:
            self._add(int(command["add"]))
        for process, name in self._workers.items():
            if name and name == command.get("kill"):
                process.kill()
            elif name and name == command.get("stop"):
                process.process.terminate()

    def _end_now(self) -> None:
        for process in list(self._workers):
            process.kill()
        os._exit(0)
