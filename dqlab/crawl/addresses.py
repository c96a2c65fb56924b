"""Addresses on the web: one spelling for each, so that the same thing is fetched once."""

from __future__ import annotations

import functools
import re
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

__all__ = ["absolute", "shown", "site_of"]

#: the schemes that are followed, and their default ports
PORTS = {"http": 80, "https": 443}
#: characters that stay as they are; a % stays too, what is escaped remains so
SAFE = "!#$%&'()*+,/:;=?@[]~"
#: in characters; a longer address is no address of a picture
LONGEST = 4000
#: a reference that needs no look at its parts, as nothing in it means anything else (most of those that pages hold)
PLAIN = re.compile(r"(https?://[a-z\d.-]+)?(?:/[\w~-][\w.~-]*)+(?:\?[\w.~=&%+,-]+)?", re.ASCII)


def absolute(base: str, reference: str, charset: str = "utf-8") -> str | None:
    """
    Return the http(s) address that `reference` means on a page at `base`; None if it means none.

    Scheme and host become lower case; default port, fragment, user name and password go; what isn't ASCII is escaped,
    in the host as punycode ("xn--"), behind a "?" in the `charset` of the page. A backslash in the path means a slash.
    All of that is as browsers do it.
    """
    if len(reference := reference.strip()) > LONGEST:  # an inline picture, mostly
        return None
    if plain := PLAIN.fullmatch(reference):
        address = reference if plain[1] else root_of(base) + reference
        return address if address[0] != "/" and len(address) <= LONGEST else None
    return put_together(base, reference, charset)


@functools.lru_cache(maxsize=256)
def root_of(base: str) -> str:
    """Return the start of the addresses of the site that the page at `base` is on; "" if there is none."""
    return (put_together(base, "/") or "/")[:-1]


def put_together(base: str, reference: str, charset: str = "utf-8") -> str | None:
    """Return what `absolute` does, by the parts of both."""
    path, mark, rest = reference.partition("?")
    try:
        parts = urlsplit(urljoin(base, path.replace("\\", "/") + mark + rest))
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        host = host and wired(host)
        path = quote(without_dots(parts.path) or "/", safe=SAFE)
        others = "strict" if charset == "utf-8" else "xmlcharrefreplace"  # letters that an old charset doesn't have
        query = quote(parts.query, safe=SAFE, encoding=charset, errors=others)
    except ValueError:  # "http://[", a port of 99999, half a character
        return None
    if scheme not in PORTS or not host:
        return None
    host = f"[{host}]" if ":" in host else host
    place = host if port in (None, PORTS[scheme]) else f"{host}:{port}"
    address = urlunsplit((scheme, place, path, query, ""))
    return address if len(address) <= LONGEST else None


def without_dots(path: str) -> str:
    """Return `path` without "." and ".." for pieces, which `urljoin` leaves where an address has all that it needs."""
    return urljoin("/", path) if "/." in path and not path.startswith("//") else path


@functools.lru_cache(maxsize=256)
def wired(host: str) -> str:
    """Return `host` as the name service knows it: "bücher.example" is xn--bcher-kva.example; ValueError if it can't."""
    if host.isascii():
        return host
    import idna  # comes with requests, which asks it too

    return idna.encode(host, uts46=True).decode()


def site_of(address: str) -> str:
    """Return what two addresses, as `absolute` gives them, share if their site is one: host (no "www.") and port."""
    return "".join(address.split("/", 3)[2:3]).removeprefix("www.")


def shown(text: str) -> str:
    """Return `text`, which may be an address with name and password, without these, for messages."""
    return re.sub(r"//[^/\s]*@", "//...@", text)
