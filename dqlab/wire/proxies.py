"""Proxies of what a `multiprocessing.Manager` serves (a queue, a lock, a dictionary that tasks share), in tasks.

A proxy's pickle has no key: it is for processes of the same program, which have that of the program from their start. A
worker's child gets it with the first proxy that it is sent.
"""

from __future__ import annotations

import types
from typing import Any

__all__ = ["proxy_maker", "reduce_proxy_maker", "refuse_end_of_pipe"]


def reduce_proxy_maker(code: types.FunctionType | type) -> tuple[Any, ...] | None:
    """How a task gets what makes proxies of their pickles; None of all other code."""
    if code.__module__ != "multiprocessing.managers" or code.__name__ != "RebuildProxy":
        return None
    from multiprocessing import current_process  # whoever has a proxy has loaded it

    return proxy_maker, (bytes(current_process().authkey),)


def proxy_maker(authkey: bytes) -> Any:
    """What makes proxies of their pickles, in a process that has this key from now on."""
    from multiprocessing import current_process, managers

    current_process().authkey = authkey
    return managers.RebuildProxy  # type: ignore[attr-defined]


def refuse_end_of_pipe(end: object) -> Any:
    """Raise `TypeError`: its number of a file would be that of another one in another process."""
    raise TypeError(f"cannot pickle {type(end).__name__!r} object, which is an end of a pipe")
