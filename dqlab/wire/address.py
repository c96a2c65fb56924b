"""`HOST:PORT` as people write it, and back."""

from __future__ import annotations

from dqlab.errors import BadInput

__all__ = ["parse_address", "place"]


def parse_address(text: str) -> tuple[str, int] | None:
    """`HOST:PORT` or `[IPv6]:PORT` as a pair; None if the text is something else."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or "/" in host or "\\" in host:
        return None
    if not 0 < int(port) < 65536:
        raise BadInput(f"port {port} in {text!r}", "a number from 1 to 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)


def place(host: str, port: int) -> str:
    """`HOST:PORT`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
