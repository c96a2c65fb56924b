"""Both ends of "ends with its owner": a process that this one owns, and the owner as the owned process sees it.

Begin with `owned_process` (the owner's end), then `owner` (the other one). `process_group` is for a process whose own
processes must end with it, `python_command` says how each is started, `signals` how each is told to end, `cores`
how many this machine has for them, and `memory_kills` whether the system ended one. Uses `dqlab.errors` only.
"""
