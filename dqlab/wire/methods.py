"""What a peer may call on the master, and what each argument may be: the protocol above BaseManager's own.

`find_method` and `bind` check a request against this table before anything happens. Unchanged scripts reach the two
plain queues with the methods of the standard queue; all else is for dqlab's own clients and workers. `python -m
dqlab.wire.methods` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dqlab.errors import Refused
from dqlab.wire import checks
from dqlab.wire.checks import Check, Holds, all_hold, optional

__all__ = ["METHODS", "Method", "Misused", "bind", "find_method"]


class Misused(Refused):
    """A call that the standard queue answers with an error of type `kind`; in the pickle for a script it is that."""

    def __init__(self, kind: type[Exception], message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return self.kind, (self.message,)


class Method(NamedTuple):
    """The arguments of a method, in order, of which the last `optional` ones may be left out, and the others not."""

    arguments: dict[str, Check]
    optional: int
    required: frozenset[str]
    holds: tuple[Holds, ...]  #: of each argument's check


def _takes(optional: int = 0, **arguments: Check) -> Method:
    required = frozenset(list(arguments)[: len(arguments) - optional])
    return Method(arguments, optional, required, tuple(check.holds for check in arguments.values()))


_STANDARD = {
    "put": _takes(item=checks.VALUE, block=checks.ANY, timeout=optional(checks.WAIT), optional=2),
    "get": _takes(block=checks.ANY, timeout=optional(checks.WAIT), optional=2),
    "put_nowait": _takes(item=checks.VALUE),
    "get_nowait": _takes(),
    "qsize": _takes(),
    "empty": _takes(),
    "full": _takes(),
    "join": _takes(),
    "task_done": _takes(),
    "__str__": _takes(),
    "__repr__": _takes(),
}
_PLAIN_QUEUE = {
    **_STANDARD,
    "put_some": _takes(items=checks.VALUES, timeout=checks.WAIT),
    "get_some": _takes(timeout=checks.WAIT),
    "claim": _takes(thread=checks.ID),
    "put_once": _takes(number=checks.ID, items=checks.VALUES, timeout=checks.WAIT),
    "get_once": _takes(number=checks.ID, timeout=checks.WAIT),
    "idle": _takes(timeout=optional(checks.WAIT)),
}
_EVENT = {
    "set": _takes(),
    "clear": _takes(),
    "is_set": _takes(),
    "wait": _takes(timeout=optional(checks.WAIT), optional=1),
}
_BROKER = {
    # anybody of dqlab's
    "about": _takes(),
    "stats": _takes(),
    "events": _takes(since=checks.ID, timeout=checks.WAIT, expanded=checks.FLAG, limit=checks.LIMIT, optional=3),
    "lookup": _takes(task=checks.ID, timeout=checks.WAIT, optional=1),
    "failures": _takes(limit=checks.LIMIT),
    "open_tasks": _takes(limit=checks.LIMIT),
    "unfinished": _takes(queues=optional(checks.QUEUES)),
    "pause": _takes(queue=checks.QUEUE, paused=checks.FLAG),
    "requeue": _takes(queue=optional(checks.QUEUE)),
    "stop_worker": _takes(name=checks.NAME),
    # a client
    "stuck": _takes(name=checks.NAME),
    "open_client": _takes(),
    "reopen_client": _takes(pending=checks.RANGES),
    "close_client": _takes(),
    "submit": _takes(functions=checks.FUNCTIONS, runs=checks.ROWS),
    "collect": _takes(ack=checks.ID, timeout=checks.WAIT),
    "cancel": _takes(ranges=checks.RANGES),
    # a worker
    "join": _takes(
        host=checks.HOST, pid=checks.PID, queues=optional(checks.QUEUES), handler=checks.FLAG,
        name=optional(checks.NAME), python=checks.NAME, optional=2,
    ),
    "control": _takes(name=checks.NAME),
    "exchange": _takes(reports=checks.ROWS, timeout=checks.WAIT),
    "leave": _takes(reason=checks.REASON),
}  # fmt: skip
#: by kind of object and name; only the first two are one object each, and all but the last are for scripts
METHODS: Mapping[str, Mapping[str, Method]] = {
    "tasks": _PLAIN_QUEUE, "results": _PLAIN_QUEUE, "queue": _STANDARD, "event": _EVENT, "broker": _BROKER,
}  # fmt: skip


def find_method(object: Any, method: Any) -> Method:
    """What a method of an object takes; `Refused` where there is none of that name."""
    methods = METHODS.get(object) if type(object) is str else None
    if methods is None:
        raise Refused(f"there is no object {checks.shown(object)} here")
    if type(method) is not str or method not in methods:
        raise Refused(f"{checks.shown(method)} may not be called on {object!r}")
    return methods[method]


def bind(method: Method, name: str, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments of a call by name; `Refused` or `BadInput` where the method of that name takes others."""
    if type(args) not in (tuple, list) or type(kwargs) is not dict:
        raise Refused(f"{name} with {type(args).__name__} and {type(kwargs).__name__} for its arguments")
    arguments, _, required, holds = method
    if not kwargs and all_hold(holds, args):  # as nearly every call is
        return dict(zip(arguments, args, strict=True))
    bound = dict(zip(arguments, args, strict=False))
    for argument, value in kwargs.items():
        if argument not in arguments or argument in bound:
            raise Misused(TypeError, f"{name} takes no argument {checks.shown(argument)}")
        bound[argument] = value
    if len(args) > len(arguments) or not bound.keys() >= required:
        takes = ", ".join(arguments) or "no arguments"
        raise Misused(TypeError, f"{name} takes {takes}, not {len(args)} arguments")
    for argument, value in bound.items():
        check = arguments[argument]
        if not check.holds(value):
            check(argument, value)
    return bound


if __name__ == "__main__":
    for _object, _methods in METHODS.items():
        for _name, _method in _methods.items():
            _words = ", ".join(f"{name}: {check.means}" for name, check in _method.arguments.items())
            print(f"{_object}.{_name}({_words})")
