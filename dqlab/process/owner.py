"""Who started this process: when the owner is gone, so is the process.

A master or worker that a notebook starts has a pipe from the notebook as its standard input. It reads its settings
there, then commands; when the pipe ends, the notebook is gone, however it died. A process forked by somebody else may
hold a copy of the pipe open, so the parent's process id is watched as well. A process that is stopped sees neither:
there the kernel's death signal does it (on Linux).
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["die_with_parent", "read_settings", "say", "wake_with_parent", "watch_owner"]

#: seconds between two looks at the parent's process id
LOOK = 0.5
#: `prctl`'s number for the signal that the kernel sends when the thread ends that started this process
PR_SET_PDEATHSIG = 1

_say_lock = threading.Lock()


def read_settings() -> dict[str, Any]:
    """The owner's settings: one line of JSON on standard input."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    settings = json.loads(line)
    if not isinstance(settings, dict):
        raise SystemExit("dqlab: the settings on standard input are not a JSON object")
    return settings


def say(**fields: Any) -> None:
    """Tell the owner something: one line of JSON on standard output."""
    with _say_lock:
        try:
            print(json.dumps(fields), flush=True)
        except (OSError, ValueError):
            pass  # the owner is gone; watch_owner ends us


def watch_owner(gone: Callable[[], None], heard: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Call `gone()` from a thread of its own as soon as the owner's pipe ends or the parent has changed.

    `heard(command)` gets each further line of JSON that the owner writes. Each, and the end, is answered at once: that
    is how the owner sees that this process isn't frozen.
    """
    parent = os.getppid()
    once = threading.Lock()

    def end() -> None:
        if once.acquire(blocking=False):
            gone()

    def listen() -> None:
        try:
            while line := sys.stdin.readline():
                say(event="heard")
                if heard is not None and line.strip():
                    heard(json.loads(line))
        except (OSError, ValueError):
            pass
        say(event="heard")
        end()

    threading.Thread(target=listen, name="dqlab-owner", daemon=True).start()
    threading.Thread(target=_watch_parent, args=(parent, end), name="dqlab-parent", daemon=True).start()


def die_with_parent() -> None:
    """See that this process is killed when the thread that started it ends, even if it is stopped or holds the GIL.

    Linux does that; elsewhere a thread watches the parent.
    """
    parent = os.getppid()
    if _ask_for_death_signal(signal.SIGKILL):
        if os.getppid() != parent:
            os._exit(0)
        return
    threading.Thread(target=_watch_parent, args=(parent, lambda: os._exit(0)), name="dqlab-parent", daemon=True).start()


def wake_with_parent() -> None:
    """See that this process, should it be stopped, goes on when its owner is gone, and can end in order."""
    _ask_for_death_signal(getattr(signal, "SIGCONT", 0))


def _ask_for_death_signal(number: int) -> bool:
    if platform.system() != "Linux":
        return False
    import ctypes

    return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number) == 0


def _watch_parent(parent: int, gone: Callable[[], None]) -> None:
    rest = threading.Event()
    while os.getppid() == parent:
        rest.wait(LOOK)
    gone()
