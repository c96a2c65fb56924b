"""The manager: lesson 00's `BaseManager` with its two registered queues, and the server that serves it here.

Unchanged scripts see what they expect: `get_task_queue()` and `get_result_queue()`. dqlab's own clients and workers
know of a third object, the broker, and call the methods of `BrokerCalls` on it. A connection:

    accept ── handshake (both have the key) ── create / incref / decref / dummy ── one answer, closed
                                            └─ accept_connection ── requests of one peer, until it hangs up
                                                     └─ with a `Hello`: the peer is dqlab's, both prove who they are

What differs from the standard `Server`: messages are read as plain data (`dqlab.wire.connection`), strangers are given
little time and no traceback, and every call that `dqlab.wire.methods` doesn't list is refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from hmac import compare_digest
from multiprocessing import AuthenticationError, connection, managers
from typing import Any

from dqlab.errors import BadInput, DqlabError, Refused
from dqlab.master.named_calls import NamedEvent, NamedQueue
from dqlab.master.peer import DONE, ControlLines, Peer
from dqlab.master.queue_calls import ResultQueue, TaskQueue
from dqlab.master.served_objects import ServedObjects
from dqlab.master.waiting_calls import LATER, Answer, Wait, WaitingCalls
from dqlab.version import __version__
from dqlab.wire.connection import PlainConnection, PlainListener
from dqlab.wire.greeting import Greeting, is_ours
from dqlab.wire.methods import METHODS, bind

__all__ = ["MasterServer", "QueueManager", "register_names"]

#: seconds that a stranger may take to prove that it has the key
HANDSHAKE_SECONDS = 5.0
#: strangers at one time; the one that waits longest makes room
MAX_STRANGERS = 64
#: seconds until the next attempt when no connection could be accepted
ACCEPT_PAUSE = 0.05
#: characters of what was wrong with a request, as its sender and the events are told
REASON_CHARS = 300
#: how a master is told to serve more
MORE_NAMES = "--task-name, --result-name, --plain-queue and --plain-event give others"

log = logging.getLogger("dqlab")

managers.listener_client["dqlab"] = (  # type: ignore[attr-defined]
    lambda address, backlog: PlainListener(address),
    connection.Client,
)


class QueueManager(managers.BaseManager):
    """Serves the calls in `waiting` at `address`, to whoever has `authkey`; `about` is what it says of itself."""

    _registry: dict[str, tuple[Callable[..., Any], Any, Any, Any]]

    def __init__(
        self, waiting: WaitingCalls, controls: ControlLines, address: tuple[str, int], authkey: bytes,
        about: dict[str, Any],
    ) -> None:  # fmt: skip
        super().__init__(address, authkey, "dqlab")
        self._key, self._parts = authkey, (waiting, controls, about)

    def get_server(self) -> MasterServer:
        """The server of this manager, listening; `OSError` if the address can't be had."""
        address: Any = self.address
        return MasterServer(self._registry, address, self._key, *self._parts)


def register_names(
    tasks: str, results: str, queues: Iterable[str] = (), events: Iterable[str] = ()
) -> type[QueueManager]:
    """The manager that gives out the plain two, and further queues and events, under these names."""

    class NamedManager(QueueManager):
        """With a list of names of its own."""

    NamedManager.register(tasks, TaskQueue)
    NamedManager.register(results, ResultQueue)
    for name in queues:
        NamedManager.register(name, NamedQueue)
    for name in events:
        NamedManager.register(name, NamedEvent)
    return NamedManager


class MasterServer(managers.Server):
    """What a `QueueManager` serves with. Each connection has a thread, and objects of its own, to which its leases
    are bound."""

    public = ["create", "incref", "decref", "dummy", "accept_connection"]

    def __init__(
        self, registry: dict[str, Any], address: tuple[str, int], authkey: bytes, waiting: WaitingCalls,
        controls: ControlLines, about: dict[str, Any],
    ) -> None:  # fmt: skip
        super().__init__(registry, address, authkey, "dqlab")
        self.waiting, self._controls, self._about, self._key = waiting, controls, about, authkey
        self.stop_event = threading.Event()
        self._strangers: dict[PlainConnection, float] = {}
        self._objects = ServedObjects(registry, waiting)

    def start(self) -> None:
        """Accept connections, in threads of their own."""
        for target in (self.accepter, self._hurry_strangers):
            threading.Thread(target=target, name=f"dqlab-{target.__name__}", daemon=True).start()

    def close(self) -> None:
        """Say goodbye to the workers, then stop listening."""
        self.stop_event.set()
        self._controls.send_all(("bye",))
        self.waiting.close()
        self.listener.close()  # type: ignore[attr-defined]

    def accepter(self) -> None:
        """Accept one connection after another until the end."""
        while not self.stop_event.is_set():
            try:
                conn = self.listener.accept()  # type: ignore[attr-defined]
            except OSError:  # closed, or out of file descriptors until somebody hangs up
                self.stop_event.wait(ACCEPT_PAUSE)
                continue
            self._admit(conn)
            try:
                threading.Thread(target=self.handle_request, args=(conn,), name="dqlab-peer", daemon=True).start()
            except RuntimeError:  # out of threads: those who are here are served on
                self._dismiss(conn)
                conn.close()

    # -- strangers ------------------------------------------------------------------------------------------------

    def _admit(self, conn: PlainConnection) -> None:
        with self.mutex:  # type: ignore[attr-defined]
            if len(self._strangers) >= MAX_STRANGERS:
                self._strangers.pop(oldest := next(iter(self._strangers)))
                oldest.hang_up()
            self._strangers[conn] = self.waiting.now() + HANDSHAKE_SECONDS

    def _dismiss(self, conn: PlainConnection) -> None:
        with self.mutex:  # type: ignore[attr-defined]
            self._strangers.pop(conn, None)

    def _hurry_strangers(self) -> None:
        while not self.stop_event.wait(0.5):
            with self.mutex:  # type: ignore[attr-defined]
                for conn in [c for c, deadline in self._strangers.items() if deadline < self.waiting.now()]:
                    del self._strangers[conn]
                    conn.hang_up()

    def _handshake(self, conn: PlainConnection) -> bool:
        try:
            connection.deliver_challenge(conn, self.authkey)  # type: ignore[attr-defined]
            connection.answer_challenge(conn, self.authkey)  # type: ignore[attr-defined]
            conn.acknowledge()
        except (AuthenticationError, EOFError, OSError, ValueError, AssertionError):
            return False
        finally:
            self._dismiss(conn)
        return True

    # -- peers ----------------------------------------------------------------------------------------------------

    def handle_request(self, conn: PlainConnection) -> None:  # type: ignore[override]
        """One connection, from handshake to end."""
        peer = Peer(conn, self.waiting, self._controls, self._about)
        peer.tell = partial(self._tell, peer)
        try:
            if self._handshake(conn):
                self._answer_next(peer, self._manage)
                while peer.accepted and not self.stop_event.is_set():
                    self._answer_next(peer, self._call)
        except (EOFError, OSError):
            pass  # the peer hung up: what it held is given back below
        finally:
            peer.hang_up()

    def _answer_next(self, peer: Peer, perform: Callable[..., Any]) -> None:
        """Read one request and answer it, or leave that to whoever brings about what it waits for."""
        call = peer.recv_known()
        if call is None:
            try:
                call = partial(perform, peer, peer.load())
            except (EOFError, OSError):
                raise
            except Exception as exc:  # whatever a malformed pickle raises
                reason = f"the master takes plain data only: {exc}"
                self.waiting.do_now(self.waiting.broker.plain.refuse, id(peer), reason[:REASON_CHARS])
                peer.send(self._refuse(reason))
                return
        answer = self._answer(peer, call)
        if answer is not None:
            peer.send(answer)

    def _tell(self, peer: Peer, answer: Answer) -> None:
        """Send an answer from another peer's thread, which must not suffer from it."""
        try:
            peer.send(self._answer(peer, answer))
        except Exception:
            log.exception("an answer could not be sent", extra={"action": "answer"})
            peer.cut_off()

    def _answer(self, peer: Peer, call: Callable[[], Any]) -> tuple[str, Any] | None:
        """What a call returns or raises, as BaseManager's clients understand it; None if that comes later."""
        try:
            result = call()
            if isinstance(result, Wait):
                peer.waits = result
                result = self.waiting.wait(result, peer.tell)
            return DONE if result is None else None if result is LATER else ("#RETURN", result)
        except peer.raises as exc:
            return "#ERROR", exc
        except BadInput as exc:
            return "#TRACEBACK", f"{type(exc).__name__}: {exc}\n"
        except DqlabError as exc:
            return self._refuse(str(exc))
        except (EOFError, OSError):
            raise
        except Exception as exc:  # whatever a request of the wrong shape leads to
            return self._refuse(f"bad request: {exc!r}")

    def _refuse(self, reason: str) -> tuple[str, str]:
        reason = reason[:REASON_CHARS]
        self.waiting.do(self.waiting.broker.refused, reason, self.waiting.now())
        return "#TRACEBACK", f"Refused: {reason}\n"  # a plain client draws a line under it

    def _manage(self, peer: Peer, request: Any) -> Any:
        """The manager's own calls, on short-lived connections; `accept_connection` keeps it."""
        _, method, args, kwds = request
        if method not in self.public:
            raise Refused(f"a client may not call {method!r} on the master")
        if method in ("create", "incref", "decref"):
            known = list(self._objects.public if method == "create" else self._objects.public.values())
            if kwds or len(args) != 1 or args[0] not in known:
                raise Refused(
                    f"{method}{args!r}: the master serves {', '.join(known)}, without arguments; {MORE_NAMES}"
                )
        if method == "create":
            self.waiting.do(self.waiting.broker.plain.create, peer.address)
            ident = self._objects.public[args[0]]
            served = self._objects.get(ident)
            return ident, [name for name in METHODS[served.kind if served else ident] if name[0] != "_"]
        if method == "decref":
            self.waiting.do_now(self.waiting.broker.plain.decref, peer.address)
        if method == "accept_connection":
            peer.accepted = True
            return self._greet(peer, args) if is_ours(args) else None
        return None

    def _greet(self, peer: Peer, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The answer to a peer that says it is dqlab's; what it must prove with its first request is kept."""
        hello, answer, peer.expected = Greeting(self._key, __version__).welcome(args)
        if hello.client is not None:
            clients = self.waiting.broker.states.clients
            peer.client = self.waiting.do_now(clients.find, hello.client, hello.token or b"")
        peer.role = hello.role
        return answer

    def _call(self, peer: Peer, request: Any) -> Any:
        if peer.expected is not None:
            request = self._proved(peer, request)
        ident, method, args, kwds = request
        try:
            perform, takes = peer.methods[ident, method]
        except (KeyError, TypeError):  # it calls that for the first time, or what can be no name
            perform, takes = peer.methods[ident, method] = self._objects.method(peer, ident, method)
        arguments = bind(takes, method, args, kwds)
        answer = perform(**arguments)
        if not peer.role:
            peer.remember(perform, arguments, answer)
        return answer

    def _proved(self, peer: Peer, message: Any) -> Any:
        """The first request, once the proof that comes with it is right; the connection ends if it is not."""
        proof, request = message
        expected, peer.expected = peer.expected, None
        if type(proof) is not bytes or not compare_digest(proof, expected or b""):
            peer.role, peer.accepted = "", False
            raise Refused("the proof is wrong", "only who has the key can make it")
        return request
