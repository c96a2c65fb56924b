"""Both ends of "ends with its owner": a process that this one owns, and the owner as the owned process sees it.

Begin with `owned_process` (the owner's end), then `owner` (the other one). Uses `dqlab.errors` only.
"""
