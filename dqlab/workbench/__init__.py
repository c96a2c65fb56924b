"""Where a broker is tried that somebody else has written: in virtual time, then in earnest.

    your class ──> check ──> verdict: levels passed, or the smallest story in which it fails
                     │
                     └─ a process of its own: search ──moves──> world ──calls──> lives ──> your broker
                        (hypothesis shrinks)                      └──> referee: what was promised

    your class ──> serve ──> a line for each level
                     │
                     └─ real_run: a process with caller_server ──> desk ──calls──> your broker
                                  processes of real_worker, SIGKILL, SIGSTOP

A broker is a class with `__init__(self, journal=())`, `put(self, task)`, `get(self, worker, now)`, which gives a task
or None, `done(self, worker, task, result, now)`, `hang_up(self, worker, now)`, `tick(self, now)`, and the lists
`results` of (task, result) and `failed` of tasks. What it may count on stands in `levels`.
"""

from dqlab.workbench.real_run import Served, serve
from dqlab.workbench.verdict import Verdict, check

__all__ = ["Served", "Verdict", "check", "serve"]
