"""dqlab: distributed task queues to learn with, and to keep using.

    client ──submit, map──>  ┌────────────── master process ──────────────┐  <──lease──  worker ──job──> child
           <──results──────  │ manager: connections, plain data only      │  ──tasks──>    │  <─result─ (runs the task)
                             │ service: what a peer may call              │  <─outcomes──  │
    plain script             │ hub:     the lock, and who waits           │  <─heartbeats──┘
           ──put, get──>     │ broker:  every task's state, every choice  │
                             └────────────────────────────────────────────┘

The client (`executor`, `client`) turns calls into tasks and results into futures. The master (`serve`, `manager`,
`service`, `hub`, `broker`) owns every task's state and runs nobody's code. A worker (`worker`, `nursery`) holds the
connections; its child (`child`) runs the tasks and may crash. `launch` starts masters and workers that end with you.

Start reading at `dqlab.broker.broker`.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    # the master, and clients of it
    "Client",
    "Future",
    "Master",
    "as_completed",
    "connect",
    "progress",
    "wait",
    # workers
    "LocalWorkers",
    "SSHWorkers",
    "current",
    # seeing it
    "Dashboard",
    "trace",
    # what can go wrong
    "AuthenticationFailed",
    "BacklogFull",
    "BadInput",
    "ConnectionFailed",
    "DqlabError",
    "LaunchFailed",
    "MasterGone",
    "Refused",
    "TaskFailed",
    "TaskTimeout",
]

_HOME = {
    "client.client": ("Client", "connect"),
    "client.future": ("Future", "as_completed", "wait"),
    "client.progress_bar": ("progress",),
    "launch.master": ("Master",),
    "launch.local_workers": ("LocalWorkers",),
    "launch.ssh": ("SSHWorkers",),
    "worker.child": ("current",),
    "dashboard": ("Dashboard", "trace"),
    "errors": (
        "AuthenticationFailed", "BacklogFull", "BadInput", "ConnectionFailed", "DqlabError", "LaunchFailed",
        "MasterGone", "Refused", "TaskFailed", "TaskTimeout",
    ),
}  # fmt: skip

if TYPE_CHECKING:
    from dqlab.client.client import Client, connect
    from dqlab.client.future import Future, as_completed, wait
    from dqlab.client.progress_bar import progress
    from dqlab.dashboard import Dashboard, trace
    from dqlab.errors import (
        AuthenticationFailed,
        BacklogFull,
        BadInput,
        ConnectionFailed,
        DqlabError,
        LaunchFailed,
        MasterGone,
        Refused,
        TaskFailed,
        TaskTimeout,
    )
    from dqlab.launch.local_workers import LocalWorkers
    from dqlab.launch.master import Master
    from dqlab.launch.ssh import SSHWorkers
    from dqlab.worker.child import current


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import dqlab`` loads nothing heavy."""
    import importlib

    for module, names in _HOME.items():
        if name in names:
            value = getattr(importlib.import_module(f"dqlab.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'dqlab' has no attribute {name!r}")
