"""A worker as a process: it takes tasks, says which, and brings results, also to a master that has come back.

A task is done when the file of its name is there; a task that is poison ends the process.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from pathlib import Path

from dqlab.errors import MasterGone
from dqlab.workbench.caller import Caller

__all__ = ["POISON", "main"]

#: how the name of a task begins that ends whoever takes it
POISON = "poison"
#: seconds between two looks
LOOK = 0.02


def main() -> None:
    """Work for the master that standard input names, until somebody ends this process."""
    address, key, name, folder = pickle.load(sys.stdin.buffer)
    task = None
    while True:
        try:
            caller = Caller(address, key, name)
            while True:
                if task is not None:
                    caller.call("done", task, f"{task}, done by {name}")
                    print("told", task, flush=True)
                task = caller.call("get")
                if task is None:
                    time.sleep(LOOK)
                else:
                    print("took", task, flush=True)
                    _work(task, Path(folder))
        except MasterGone:
            time.sleep(LOOK)


def _work(task: str, folder: Path) -> None:
    if task.startswith(POISON):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    while not (folder / task).exists():
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
