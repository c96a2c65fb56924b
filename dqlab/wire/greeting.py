"""Who is who: what dqlab's own peers say first on each connection, and how each proves that it is what it says.

    peer   ──("dqlab", wire version, release, role, nonce, client, token)──>  master
           <──────────(wire version, release, nonce, "master to ROLE")──────
           ──────────────("ROLE to master", first request)──────────────────>

BaseManager's handshake shows only that the other side can have a challenge answered by somebody with the key: whoever
takes a dead master's port can hand one worker's challenge to another, and so becomes "the master" of both. A proof here
is an HMAC that names its direction and both nonces, made with a key that is derived for it, so that neither the
handshake, which signs any text, nor a peer's own proof, nor a recorded one will do. (Who relays every byte between a
peer and the true master isn't stopped by it; ssh is for that.) It costs no round trip.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from dqlab.errors import AuthenticationFailed, BadInput, Refused
from dqlab.wire import checks
from dqlab.wire.messages import WIRE_VERSION, Message, takes

__all__ = ["CLIENT", "WORKER", "Greeting", "Hello", "Welcome", "is_ours"]

#: the two roles that a peer may have
CLIENT, WORKER = "client", "worker"
#: the first word of each connection of dqlab's own
NAME = "dqlab"
#: bytes of a nonce, and of a proof
NONCE_BYTES = 32
#: what the key of the proofs is derived for
PURPOSE = b"dqlab proof 1"

_BYTES = checks.TOKEN


@dataclass(frozen=True)
class Hello(Message):
    """What a peer says first."""

    name: str = takes(checks.one_of(NAME))
    wire_version: int = takes(checks.ID)
    release: str = takes(checks.NAME)
    role: str = takes(checks.one_of(CLIENT, WORKER))
    nonce: bytes = takes(_BYTES)
    #: the number and the token of a client that the master knows already
    client: int | None = takes(checks.optional(checks.CLIENT), default=None)
    token: bytes | None = takes(checks.optional(_BYTES), default=None)


@dataclass(frozen=True)
class Welcome(Message):
    """What the master answers."""

    wire_version: int = takes(checks.ID)
    release: str = takes(checks.NAME)
    nonce: bytes = takes(_BYTES)
    proof: bytes = takes(_BYTES)


for _message in (Hello, Welcome):
    _message.seal()


def is_ours(args: Any) -> bool:
    """Whether the arguments of `accept_connection` are a `Hello`, of whatever version."""
    return type(args) is tuple and len(args) > 1 and args[0] == NAME


class Greeting:
    """One connection's greeting, at either end: `key` is the master's authkey, `release` this dqlab's version."""

    def __init__(self, key: bytes, release: str) -> None:
        self._key, self._release = hmac.digest(key, PURPOSE, "sha256"), release
        self._nonce = secrets.token_bytes(NONCE_BYTES)

    def _proof(self, direction: str, *nonces: bytes) -> bytes:
        return hmac.digest(self._key, b"\0".join([direction.encode(), *nonces]), "sha256")

    # -- a peer ------------------------------------------------------------------------------------------------

    def hello(self, role: str, client: int | None = None, token: bytes | None = None) -> tuple[Any, ...]:
        """What to say first."""
        return Hello(NAME, WIRE_VERSION, self._release, role, self._nonce, client, token).encode()

    def check_welcome(self, role: str, answer: Any, where: str) -> bytes:
        """Our own proof, for the first request; `AuthenticationFailed` unless the answer proves the master's."""
        theirs = answer[:2] if type(answer) is tuple and len(answer) >= 2 else (1, "0.1.0")
        _check_version(theirs[0], theirs[1], self._release, f"the master at {where}")
        try:
            welcome = Welcome.decode(answer)
        except BadInput as exc:
            raise AuthenticationFailed(f"what answers at {where} is no master of dqlab: {exc.message}") from None
        expected = self._proof(f"master to {role}", self._nonce, welcome.nonce)
        if not hmac.compare_digest(expected, welcome.proof):
            raise AuthenticationFailed(
                f"what answers at {where} can't prove that it is the master", "somebody else has its port"
            )
        return self._proof(f"{role} to master", self._nonce, welcome.nonce)

    # -- the master --------------------------------------------------------------------------------------------

    def welcome(self, args: tuple[Any, ...]) -> tuple[Hello, tuple[Any, ...], bytes]:
        """What a peer's first words say, what to answer, and the proof that must come with its first request."""
        _check_version(args[1], args[2] if len(args) > 2 else "", self._release, "what has connected")
        hello = Hello.decode(args)
        ours = self._proof(f"master to {hello.role}", hello.nonce, self._nonce)
        answer = Welcome(WIRE_VERSION, self._release, self._nonce, ours).encode()
        return hello, answer, self._proof(f"{hello.role} to master", hello.nonce, self._nonce)


def _check_version(theirs: Any, release: Any, ours: str, who: str) -> None:
    if theirs == WIRE_VERSION and type(theirs) is int:
        return
    newer = type(theirs) is int and theirs > WIRE_VERSION
    raise Refused(
        f"{who} speaks wire version {checks.shown(theirs)} (dqlab {checks.shown(release)}), "
        f"this is version {WIRE_VERSION} (dqlab {ours})",
        f"upgrade dqlab {'here' if newer else 'there'}, so that both ends have the same",
    )
