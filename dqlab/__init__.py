"""dqlab: distributed task queues to learn with, and to keep using.

    client ──submit, map──>  ┌────────────── master process ──────────────┐  <──lease──  worker ──job──> child
           <──results──────  │ manager: connections, plain data only      │  ──tasks──>    │  <─result─ (runs the task)
                             │ broker_calls: what a peer may call         │  <─outcomes──  │
    plain script             │ waiting_calls: the lock, and who waits     │  <─heartbeats──┘
           ──put, get──>     │ broker: every task's state, every choice   │
                             └────────────────────────────────────────────┘

The package `client` turns calls into tasks and results into futures. The `master`, with the `broker` inside, owns every
task's state and runs nobody's code. A `worker` holds the connections; its child runs the tasks and may crash. `launch`
starts masters and workers that end with you; `wire` is what they all speak.

Start reading at `dqlab.wire.messages`; the README says in which order to go on.
"""

from typing import TYPE_CHECKING

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
from dqlab.lazy_names import lazy_names
from dqlab.version import __version__ as __version__

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
    "simulate",
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

if TYPE_CHECKING:
    from dqlab.client.client import Client, connect
    from dqlab.client.completion import as_completed, wait
    from dqlab.client.future import Future
    from dqlab.client.progress_bar import progress
    from dqlab.dashboard import Dashboard, trace
    from dqlab.launch.local_workers import LocalWorkers
    from dqlab.launch.master import Master
    from dqlab.launch.ssh import SSHWorkers
    from dqlab.master.simulation import simulate
    from dqlab.process.current import current
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "client.client": ("Client", "connect"),
            "client.completion": ("as_completed", "wait"),
            "client.future": ("Future",),
            "client.progress_bar": ("progress",),
            "launch.master": ("Master",),
            "launch.local_workers": ("LocalWorkers",),
            "launch.ssh": ("SSHWorkers",),
            "master.simulation": ("simulate",),
            "process.current": ("current",),
            "dashboard.view": ("Dashboard",),
            "dashboard.perfetto": ("trace",),
        },
    )
