"""How the crawl presents itself to servers: name, headers, cookies, passwords, certificates; none is ever shown."""

from __future__ import annotations

import http.cookiejar
import re
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dqlab.crawl.addresses import absolute, site_of
from dqlab.crawl.robots import AGENT
from dqlab.errors import BadInput
from dqlab.version import __version__

__all__ = ["USER_AGENT", "Asking", "asking"]

USER_AGENT = f"{AGENT}/{__version__} (image crawler for lessons; obeys robots.txt)"
#: headers that say who the user is (X-Api-Key, Private-Token too): they go to the site of the start page only
PERSONAL = re.compile(r"auth|cookie|token|key|secret|session|passw", re.IGNORECASE)
#: headers that are the connection's own
OWN = ("host", "content-length", "transfer-encoding", "connection", "range", "if-range", "accept-encoding")
#: a cookie of a browser's file: domain (with a dot before it: its subdomains too), path, only by https, name, value
Cookie = tuple[str, str, bool, str, str]


@dataclass(frozen=True)
class Asking:
    """
    What each request says of us. Travels to the workers; its repr holds nothing that is secret.

    `site`: host and port to which `auth` and personal headers go; `verify`: look at certificates; `ca`: others (PEM)
    that are trusted too; `token`: what tells this crawl's cookies and connections from those of others.
    """

    user_agent: str = USER_AGENT
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cookies: tuple[Cookie, ...] = field(default=(), repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    site: str = ""
    verify: bool = True
    ca: str | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)

    def for_site(self, site: str) -> dict[str, str]:
        """Return the headers of a request to `site` (host and port)."""
        return {name: value for name, value in self.headers if site == self.site or not PERSONAL.search(name)}


def asking(
    url: str,
    *,
    user_agent: str | None = None,
    headers: tuple[str, ...] = (),
    cookies: str | Path | None = None,
    auth: tuple[str, str] | None = None,
    verify: bool = True,
    ca: str | Path | None = None,
) -> Asking:
    """
    Return how a crawl of `url` asks, checked; a name and password that stand in `url` count as `auth`.

    `headers` are lines such as "Accept-Language: de"; `cookies` a file as browsers export it (Netscape), `ca` one with
    certificates (PEM). Raises BadInput for what is no such thing.
    """
    pairs = tuple(header(line) for line in headers)
    if not url and (auth or any(PERSONAL.search(name) for name, _ in pairs)):
        raise BadInput(
            "a password, or a header that says who you are, goes to the start page's site, and a list has none",
            "give --cookies, which know their sites",
        )
    parts = urlsplit(url)
    if parts.username and auth is None:
        auth = unquote(parts.username), unquote(parts.password or "")
    agent = one_line(user_agent or USER_AGENT, "user agent")
    site = site_of(absolute(url, "") or "")
    base = Asking(agent, pairs, auth=auth, site=site, verify=verify, token=secrets.token_hex(8))
    return replace(
        base, cookies=cookies_of(Path(cookies)) if cookies else (), ca=certificates(Path(ca)) if ca else None
    )


def header(line: str) -> tuple[str, str]:
    """Return name and value of a header line; a name is the same however it is written."""
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not name.strip().isascii() or " " in name.strip():
        raise BadInput("a header isn't one (its value isn't shown)", "write it as 'Name: value'")
    if name.strip().lower() in OWN:
        raise BadInput(f"the header {name.strip()} can't be chosen", "the connection sets it itself")
    return name.strip().title(), one_line(value.strip(), f"header {name.strip()}")


def one_line(value: str, what: str) -> str:
    """Return `value` if it can stand in a header."""
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise BadInput(f"the {what} holds letters that no header can hold", "take ASCII") from None
    if not value.isprintable():
        raise BadInput(f"the {what} holds line ends or control characters", "leave them out")
    return value


def cookies_of(file: Path) -> tuple[Cookie, ...]:
    """Return what stands in a cookie file."""
    jar = http.cookiejar.MozillaCookieJar(file)
    try:
        jar.load(ignore_discard=True, ignore_expires=True)  # browsers write 0 for those without an end
    except (OSError, http.cookiejar.LoadError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "not a cookie file"
        raise BadInput(f"{file}: {words}", "export the browser's cookies in Netscape's format (cookies.txt)") from None
    valid = [cookie for cookie in jar if not cookie.expires or not cookie.is_expired()]
    return tuple((c.domain, c.path, c.secure, c.name, c.value or "") for c in valid)


def certificates(file: Path) -> str:
    """Return what stands in a file with certificates."""
    import ssl

    try:
        text = file.read_text(encoding="ascii")
        ssl.create_default_context(cadata=text)
    except (OSError, ValueError, ssl.SSLError) as error:
        words = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else None
        raise BadInput(f"{file}: {words or 'holds no certificate'}", "take a file in PEM format") from None
    return text
