"""The settings of a master: one list, from which come `dqlab master --help`, `Master(...)`, and what is refused."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dqlab.errors import BadInput
from dqlab.wire import checks
from dqlab.wire.checks import Check
from dqlab.wire.pills import decode_pills, encode_pills, read_pill

__all__ = ["PATHS", "MasterSettings", "is_guessable", "is_loopback"]

#: the settings that are files
PATHS = ("connection_file", "journal")

#: a key shorter than this, or with fewer different bytes, can be guessed
STRONG_KEY, STRONG_KEY_VARIETY = 16, 8


def _setting(
    default: Any, help: str, metavar: str | None = None, check: Check = checks.ANY,
    each: Callable[[str], Any] | None = None,
) -> Any:  # fmt: skip
    """A field: its default, what `--help` says, with its unit as `metavar`, and what it takes.

    `each` reads one of several values: the option, whose name is the singular, may then be given again.
    """
    words = f"{help}: {check.means}" if check not in (checks.ANY, checks.NAME, checks.NAMES, checks.VALUES) else help
    return field(default=default, metadata={"help": words, "metavar": metavar, "check": check, "each": each})


@dataclass(frozen=True, kw_only=True)
class MasterSettings:
    """What a master is told, by `dqlab master` and by `Master(...)` alike. Each field has its text beside it."""

    host: str = _setting("127.0.0.1", "address to serve at")
    port: int = _setting(0, "port to serve at", check=checks.PORT)
    authkey: bytes | None = _setting(None, "the key (default: a random one)")
    connection_file: Path | None = _setting(None, "where to write the connection file", "F")
    journal: Path | None = _setting(None, "keep what is accepted in this file; a start on it goes on", "F")
    journal_sync: str = _setting("normal", "what the journal survives", check=checks.JOURNAL_SYNC)
    journal_bytes: int = _setting(4 << 30, "bytes that the journal may hold", "N", checks.COUNT)
    lease: float = _setting(15.0, "how long a silent worker keeps its tasks", "S", checks.LEASE_SECONDS)
    max_attempts: int = _setting(3, "deliveries after which a task is failed", "N", checks.ATTEMPTS)
    backlog: int = _setting(2_000_000, "tasks that may wait in one queue", "N", checks.COUNT)
    results: str = _setting("pickle", "how results travel", check=checks.RESULTS)
    pills: Sequence[Any] = _setting(
        (), "a plain value that, as None does, sends its worker home: a Python literal, else text; again for more",
        "VALUE", checks.VALUES, each=read_pill,
    )  # fmt: skip
    task_name: str = _setting("get_task_queue", "the name under which scripts find the tasks", "NAME", checks.NAME)
    result_name: str = _setting("get_result_queue", "the same of the results", "NAME", checks.NAME)
    plain_queues: Sequence[str] = _setting(
        (), "a further queue for scripts, by its name; again for more", "NAME", checks.NAMES, each=str
    )
    plain_events: Sequence[str] = _setting(
        (), "an event for scripts, by its name; again for more", "NAME", checks.NAMES, each=str
    )
    insecure: bool = _setting(False, "allow a guessable key on an address others reach")

    def check(self) -> None:
        """Raise `BadInput` for what makes no sense, or is not safe."""
        for known in fields(self):
            known.metadata["check"](known.name, getattr(self, known.name))
        encode_pills(self.pills)
        names = [self.task_name, self.result_name, *self.plain_queues, *self.plain_events]
        for name in names:
            if not name or names.count(name) > 1:
                raise BadInput(f"the name {name!r} for a queue or event", "each has one of its own")
        if self.authkey is not None and not self.authkey:
            raise BadInput("the key is empty")
        if self.authkey and is_guessable(self.authkey) and not is_loopback(self.host) and not self.insecure:
            raise BadInput(
                f"a guessable key on {self.host}, which other machines reach",
                f"leave the key out for a random one, use {STRONG_KEY} bytes or more, or say --insecure",
            )

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON, for a process that is told so on its standard input."""
        plain = {known.name: getattr(self, known.name) for known in fields(self)} | {"pills": encode_pills(self.pills)}
        plain["authkey"] = base64.b64encode(self.authkey).decode() if self.authkey is not None else None
        for name in PATHS:
            plain[name] = str(plain[name]) if plain[name] is not None else None
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> MasterSettings:
        """What `as_json` made."""
        key, plain = plain["authkey"], _with_tuples(plain)
        return cls(
            **{
                **plain,
                "authkey": base64.b64decode(key) if key is not None else None,
                **{name: Path(plain[name]) for name in PATHS if plain[name] is not None},
                "pills": decode_pills(plain["pills"]),
            }
        )


def _with_tuples(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if type(value) is list else value for name, value in plain.items()}


def is_guessable(key: bytes) -> bool:
    """Whether a key is so short or uniform that it can be found by trying."""
    return len(key) < STRONG_KEY or len(set(key)) < STRONG_KEY_VARIETY


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
