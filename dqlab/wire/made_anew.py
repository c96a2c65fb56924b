"""What each process makes for itself, as it would by importing the module: locks and the like, whose state no pickle
can hold, and which mean nothing in another process."""

from __future__ import annotations

import contextvars
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["MadeAnew", "is_made_anew", "make_variable", "with_new"]


def make_variable(name: str, *default: Any) -> contextvars.ContextVar[Any]:
    """A context variable, with the default that it may have."""
    return contextvars.ContextVar(name, default=default[0]) if default else contextvars.ContextVar(name)


def _variable(var: contextvars.ContextVar[Any]) -> tuple[Any, ...]:
    try:
        return make_variable, (var.name, contextvars.Context().run(var.get))
    except LookupError:
        return make_variable, (var.name,)


#: by type, how another one is made
_HOW: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    type(threading.Lock()): lambda _: (threading.Lock, ()),
    type(threading.RLock()): lambda _: (threading.RLock, ()),
    contextvars.ContextVar: _variable,
    threading.Semaphore: lambda it: (type(it), (it._value,)),
    threading.BoundedSemaphore: lambda it: (type(it), (it._initial_value,)),
    **{cls: lambda it: (type(it), ()) for cls in (threading.local, threading.Event, threading.Condition)},
    **{cls: lambda it: (type(it), (it.maxsize,)) for cls in (queue.Queue, queue.LifoQueue, queue.PriorityQueue)},
    queue.SimpleQueue: lambda it: (type(it), ()),
    threading.Barrier: lambda it: (type(it), (it._parties, it._action, it._timeout)),
    ThreadPoolExecutor: lambda it: (type(it), (it._max_workers, it._thread_name_prefix, it._initializer, it._initargs)),
    **{cls: lambda it: (type(it), (dict(it),)) for cls in (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)},
    weakref.WeakSet: lambda it: (type(it), (list(it),)),
}


def is_made_anew(value: Any) -> bool:
    """Whether a value is one of these."""
    return type(value) in _HOW


class MadeAnew:
    """Stands in a pickle for such a value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return _HOW[type(self.value)](self.value)


def with_new(names: dict[str, Any]) -> dict[str, Any]:
    """Names of a module or class, for a pickle: where they are for these values, others are made there."""
    return {name: MadeAnew(value) if is_made_anew(value) else value for name, value in names.items()}
