"""What a master gives out by name, how each object is called on the wire, and who answers when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dqlab.errors import Refused
from dqlab.master.broker_calls import BrokerCalls
from dqlab.master.named_calls import NamedEvent, NamedQueue
from dqlab.master.peer import Peer
from dqlab.master.queue_calls import ResultQueue, TaskQueue
from dqlab.master.waiting_calls import WaitingCalls
from dqlab.wire.methods import Method, find_method

__all__ = ["Served", "ServedObjects"]

#: objects of which each connection has its own, and what they are called
_OWN = {TaskQueue: "tasks", ResultQueue: "results", BrokerCalls: "broker"}
#: objects that all connections share, one for each name, and their kind in `METHODS`
_SHARED = {NamedQueue: "queue", NamedEvent: "event"}


class Served(NamedTuple):
    """An object that may be called: its kind in `METHODS`, and who answers a peer."""

    kind: str
    find: Callable[[Peer], Any]


class ServedObjects:
    """The objects of a manager's registry: `public` is how each name's object is called. The broker has no name."""

    def __init__(self, registry: Mapping[str, tuple[Any, ...]], waiting: WaitingCalls) -> None:
        self._objects = {"broker": Served("broker", lambda peer: peer.object(BrokerCalls))}
        self.public: dict[str, str] = {}
        for name, (make, *_) in registry.items():
            self.public[name] = self._add(name, make, waiting)

    def _add(self, name: str, make: Any, waiting: WaitingCalls) -> str:
        if make in _OWN:
            ident = kind = _OWN[make]
            self._objects[ident] = Served(kind, lambda peer: peer.object(make))
        else:
            ident, shared = f"{_SHARED[make]} {name}", make(waiting, name)
            self._objects[ident] = Served(_SHARED[make], lambda peer: shared)
        return ident

    def get(self, ident: object) -> Served | None:
        """The object that is called so, whatever a peer has sent."""
        return self._objects.get(ident) if type(ident) is str else None

    def method(self, peer: Peer, ident: Any, name: Any) -> tuple[Callable[..., Any], Method]:
        """The method of that name, for a peer, and what it takes; `Refused` where it may not call that."""
        served = self.get(ident)
        takes = find_method(served.kind if served else ident, name)
        if served is None or (not peer.role and ident not in self.public.values()):
            raise Refused(f"{ident!r} is for dqlab's own peers, which say hello first", "is your dqlab an older one?")
        return getattr(served.find(peer), name), takes
