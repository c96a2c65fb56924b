"""Starts masters and workers, here and on other machines, and ends them with whoever started them.

Begin with `launcher` (what all workers that somebody started have in common), then `worker_group` and `worker_process`
(what it holds), `master` and `local_workers` (processes of this machine); `ssh` reaches other machines. Uses
`dqlab.client`, `dqlab.master`, `dqlab.worker` and `dqlab.process`.
"""
