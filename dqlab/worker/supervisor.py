"""Worker processes by number: one worker is this process, several are children of it that it owns and speaks for."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
from collections.abc import Callable
from typing import Any

from dqlab.errors import ConnectionFailed, DqlabError, LaunchFailed, NotDqlab, Refused
from dqlab.process.owned_process import ASK_AGAIN, OwnedProcess
from dqlab.process.owner import die_with_parent, read_settings, say, watch_owner
from dqlab.process.python_command import python_command
from dqlab.process.signals import on_end_signals
from dqlab.wire.printed import show
from dqlab.worker.blas_threads import with_blas_threads
from dqlab.worker.plain_worker import PlainWorker
from dqlab.worker.settings import WorkerSettings
from dqlab.worker.worker import Worker

__all__ = ["run_owned", "run_workers"]


def run_owned() -> int:
    """A worker (or several) whose owner has given the settings on standard input."""
    die_with_parent()
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
    if event == "printed":
        show(fields["pieces"])
    elif event == "joined":
        print(f"dqlab worker {fields['name']} joined, pid {fields['pid']}", file=sys.stderr, flush=True)
    elif fields.get("reason"):
        print(f"dqlab worker {fields.get('name') or ''} left: {fields['reason']}", file=sys.stderr, flush=True)


def _to_owner(say: Callable[..., None], shows_output: bool) -> Callable[..., None]:
    """How an owned worker announces: what tasks print only to whoever has a terminal for it."""

    def tell(event: str, **fields: Any) -> None:
        if event != "printed" or shows_output:
            say(event=event, **fields)

    return tell


def _run_one(settings: dict[str, Any], announce: Callable[..., None], owned: bool) -> int:
    tell = _to_owner(announce, bool(settings.get("shows_output"))) if owned else announce
    known = WorkerSettings.from_dict(settings)
    worker: Worker | PlainWorker = Worker(known, tell)
    on_end_signals(lambda: worker.stop())
    if owned:
        told: set[str] = set()  # whoever wants to see whether this worker is frozen says the same again

        def obey(command: dict[str, Any]) -> None:
            if "stop" in command and "stop" not in told:
                told.add("stop")
                worker.stop()

        watch_owner(lambda: worker.end_now(), obey)
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

    Commands, from the owner: `{"add": k}`, `{"kill": name}`, `{"stop": name}`, and `{"stop": null}` for all.
    """

    def __init__(self, settings: dict[str, Any], announce: Callable[..., None], owned: bool) -> None:
        self._settings = {key: value for key, value in settings.items() if key not in ("n", "supervise")}
        self._settings["shows_output"] = not owned
        self._n = int(settings.get("n") or 1)
        self._announce, self._owned = announce, owned
        self._workers: dict[OwnedProcess, str] = {}  #: process -> name, "" before it has joined
        self._inbox: queue.SimpleQueue[tuple[OwnedProcess | None, dict[str, Any] | None]] = queue.SimpleQueue()
        self._leaving: set[OwnedProcess] = set()  #: those that were told to stop
        self._failed = False

    def run(self) -> int:
        """Supervise until no worker is left; the exit code, 1 if one of them has failed."""
        on_end_signals(lambda: self._inbox.put((None, {"stop": None})))
        if self._owned:
            watch_owner(self._end_now, lambda command: self._inbox.put((None, command)))
        self._add(self._n)
        while self._workers:
            with contextlib.suppress(queue.Empty):
                process, said = self._inbox.get(timeout=ASK_AGAIN if self._leaving else None)
                if process is None:
                    self._obey(said or {})
                else:
                    self._note(process, said)
            for process in self._leaving:
                if process.frozen:
                    process.kill()
                else:
                    process.tell({"stop": None})
        return 1 if self._failed else 0

    def _add(self, n: int) -> None:
        environment = with_blas_threads(len(self._workers) + n)
        for _ in range(n):
            command = python_command("dqlab.cli", "worker", "--owned")
            process = OwnedProcess(command, self._settings, lambda *said: self._inbox.put(said), environment)
            self._workers[process] = ""
            process.start()

    def _note(self, process: OwnedProcess, said: dict[str, Any] | None) -> None:
        if said is not None:
            if said.get("event") == "joined":
                self._workers[process] = said["name"]
                self._tell("joined", name=said["name"], pid=said["pid"])
            elif said.get("event") == "printed":
                self._tell("printed", pieces=said["pieces"])
            return
        name = self._workers.pop(process)
        self._leaving.discard(process)
        process.end()
        code = process.returncode
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
            elif "stop" in command and command["stop"] in (None, name):
                if name:
                    self._leaving.add(process)
                else:  # it has nothing in hand yet
                    process.kill()

    def _end_now(self) -> None:
        for process in list(self._workers):
            process.kill()
        os._exit(0)
