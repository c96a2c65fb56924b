"""The signals that tell a process to end in order."""

from __future__ import annotations

import signal
from collections.abc import Callable

__all__ = ["on_end_signals"]

#: what `kill`, Ctrl-C and a terminal that is closed send
END_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


def on_end_signals(end: Callable[[], object]) -> None:
    """Have `end()` called, in the main thread, whenever a signal tells this process to end.

    Under `nohup` a closed terminal is no such signal.
    """
    for name in END_SIGNALS:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
            continue
        signal.signal(number, lambda *_: end())
