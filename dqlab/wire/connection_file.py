"""The connection file: where a master is and which key it has, readable by its owner only."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dqlab.errors import BadInput
from dqlab.wire.address import parse_address, place

__all__ = ["Connection", "find_connection", "read_key", "runtime_dir", "write_private"]


@dataclass(frozen=True)
class Connection:
    """How to reach a master. The key is not in the `repr`."""

    host: str
    port: int
    authkey: bytes
    pid: int = 0
    version: str = ""

    def __repr__(self) -> str:
        return f"<Connection {place(*self.address)}>"

    @property
    def address(self) -> tuple[str, int]:
        """`(host, port)`."""
        return self.host, self.port

    def write(self, path: Path) -> None:
        """Write the connection file, private from its first instant."""
        fields = {
            "host": self.host,
            "port": self.port,
            "key": base64.b64encode(self.authkey).decode(),
            "pid": self.pid,
            "version": self.version,
        }
        write_private(path, json.dumps(fields, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Connection:
        """Read a connection file; `BadInput` says what is wrong with it."""
        try:
            fields: Any = json.loads(path.read_text(encoding="utf8"))
            key = base64.b64decode(fields["key"], validate=True)
            host, port = str(fields["host"]), int(fields["port"])
            if not 0 < port < 65536:
                raise ValueError(f"port {port}")
            return cls(host, port, key, int(fields.get("pid", 0)), str(fields["version"]))
        except OSError as exc:
            raise BadInput(f"connection file {path}: {exc.strerror}", "is the master running?") from exc
        except UnicodeDecodeError as exc:
            raise BadInput(f"{path} is not a connection file of dqlab: it is no text") from exc
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, binascii.Error) as exc:
            raise BadInput(f"{path} is not a connection file of dqlab: {exc!r}") from exc


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 under another name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp creates it 0600
    try:
        with os.fdopen(fd, "w", encoding="utf8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def runtime_dir() -> Path:
    """Jupyter's runtime directory where there is one, else one of our own."""
    if "JUPYTER_RUNTIME_DIR" in os.environ:
        return Path(os.environ["JUPYTER_RUNTIME_DIR"])
    if sys.platform == "darwin":
        jupyter = Path.home() / "Library/Jupyter/runtime"
    elif os.name == "nt":
        jupyter = Path(os.environ.get("APPDATA", Path.home())) / "jupyter/runtime"
    else:
        jupyter = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "jupyter/runtime"
    return jupyter if jupyter.is_dir() else Path.home() / ".dqlab"


def read_key(path: str | os.PathLike[str]) -> bytes:
    """The key in a file; one newline at its end is not part of it. Of a connection file, the key that it holds."""
    try:
        key = Path(path).read_bytes()
    except OSError as exc:
        raise BadInput(f"key file {os.fspath(path)!r}: {exc.strerror}") from exc
    with contextlib.suppress(BadInput):
        return Connection.read(Path(path)).authkey
    key = key.removesuffix(b"\n").removesuffix(b"\r")
    if not key:
        raise BadInput(f"key file {os.fspath(path)!r} is empty")
    return key


def find_connection(where: str | os.PathLike[str], authkey: bytes | None = None) -> Connection:
    """The connection that a connection file, or `HOST:PORT` together with a key, stands for."""
    address = parse_address(os.fspath(where)) if isinstance(where, str) else None
    if address is not None and not Path(where).exists():
        if authkey is None:
            raise BadInput(f"no key for {where}", "give the connection file, or authkey= / --authkey-file")
        return Connection(*address, authkey)
    connection = Connection.read(Path(where))
    return connection if authkey is None else Connection(connection.host, connection.port, authkey)
