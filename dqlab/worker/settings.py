"""What a worker needs to know, as its owner or the command says it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from dqlab.wire.pills import decode_pills

__all__ = ["GIVE_UP", "WorkerSettings"]

#: seconds without any master after which a worker gives up
GIVE_UP = 60.0


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know. `queues` None means all; `handler` is `module:function` for plain tasks.

    `task_name` and `result_name` are what a plain master, one that is not dqlab's, calls its two queues. Only a worker
    that was given the address itself (`by_address`) works for one: what a connection file stands for is dqlab's.
    `pills` are the values of such a master that, besides None, send the worker home.
    """

    address: tuple[str, int]
    authkey: bytes
    queues: tuple[str, ...] | None = None
    handler: str | None = None
    until_empty: bool = False
    give_up: float = GIVE_UP
    host: str = ""
    task_name: str = "get_task_queue"
    result_name: str = "get_result_queue"
    by_address: bool = False
    pills: tuple[Any, ...] = ()

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> WorkerSettings:
        """From the owner's line of JSON; the key is base64."""
        queues = settings.get("queues")
        return cls(
            address=(str(settings["host"]), int(settings["port"])),
            authkey=base64.b64decode(settings["authkey"]),
            queues=tuple(queues) if queues is not None else None,
            handler=settings.get("handler"),
            until_empty=bool(settings.get("until_empty", False)),
            give_up=float(settings.get("give_up", GIVE_UP)),
            host=str(settings.get("host_name") or ""),
            task_name=str(settings.get("task_name") or cls.task_name),
            result_name=str(settings.get("result_name") or cls.result_name),
            by_address=bool(settings.get("by_address", False)),
            pills=decode_pills(settings["pills"]) if settings.get("pills") else (),
        )
