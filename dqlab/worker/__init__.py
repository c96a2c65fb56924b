"""A worker: takes tasks, and has a child process run them, which may hold the GIL, crash or be killed.

Begin with `worker` (leases in, outcomes out), then `child_process` (its side of the child), `child` (the process in
which tasks run; `child_start` comes before it) and `inbox` (where it waits for its child and for its own threads).
`control_line` keeps the leases alive, `supervisor` is several workers, `blas_threads` shares the cores between them,
`plain_worker` serves a master that knows nothing of dqlab. Uses `dqlab.wire`, `dqlab.process` and `dqlab.errors`: it
meets the master on the wire.
"""
