"""The connections of a worker's process to the web: kept alive for all its threads, under an honest name."""

from __future__ import annotations

import base64
import contextlib
import functools
import ipaddress
import os
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dqlab.crawl.addresses import site_of
from dqlab.crawl.asking import Asking

if TYPE_CHECKING:  # requests takes a quarter of a second to import: where it is used, and only there
    from dqlab.crawl.response import Response

__all__ = ["Session", "session"]

#: crawls whose connections and cookies are kept
CRAWLS = 4
#: codings of a body that `coding` can undo
CODINGS = "gzip, deflate"
#: who asks if nobody says it
ANYBODY = Asking()


@functools.lru_cache(maxsize=CRAWLS)
def session(asking: Asking = ANYBODY) -> Session:
    """Return this process's session for requests that say `asking`; threads may share it."""
    return Session(asking)


class Session:
    """
    Connections and cookies. It looks at the environment once and writes a request by itself, as `requests.Session`
    takes as long for that as for the rest; it follows no redirect, as that reads the whole answer first.
    """

    def __init__(self, asking: Asking) -> None:
        import requests.cookies
        import urllib3

        from dqlab.crawl.transport import Adapter

        self.asking = asking
        self.adapter = Adapter(asking.ca)
        self.cookies = requests.cookies.RequestsCookieJar()
        for domain, path, secure, name, value in asking.cookies:
            self.cookies.set(name, value, domain=domain, path=path, secure=secure)
        self.headers = {"User-Agent": asking.user_agent, "Accept-Encoding": CODINGS, "Connection": "keep-alive"}
        self.auth = base64.b64encode(":".join(asking.auth).encode()).decode() if asking.auth else ""
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self.verify = asking.verify and bundle
        self.proxies = urllib.request.getproxies()
        self.proxies_for = functools.lru_cache(maxsize=1024)(self.look_for_proxies)
        if not asking.verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def get(self, url: str, headers: dict[str, str], timeout: float) -> Response:
        """Ask for `url`, an address as `absolute` writes them; return the answer with its body unread."""
        headers = self.headers | headers
        if shown := self.cookies_for(url):
            headers.setdefault("Cookie", shown)
        site = site_of(url)
        if self.auth and site == self.asking.site:  # never what the user's ~/.netrc has for others
            headers["Authorization"] = f"Basic {self.auth}"
        response = self.adapter.ask(url, headers, timeout, self.verify, self.proxies_for(site))
        if "Set-Cookie" in response.headers:
            from requests.cookies import MockRequest

            self.cookies.extract_cookies(response, MockRequest(self.adapter.prepared(url)))  # type: ignore[arg-type]
        return response

    def cookies_for(self, url: str) -> str:
        """Return what a request for `url` says of the cookies that are here."""
        if not len(self.cookies):
            return ""
        from requests.cookies import get_cookie_header

        return get_cookie_header(self.cookies, self.adapter.prepared(url)) or ""

    def look_for_proxies(self, site: str) -> dict[str, str]:
        """Return the proxies for `site`; none for what is on this machine: they would look for that on their own."""
        import requests.utils

        host = urlsplit(f"//{site}").hostname or ""
        if not self.proxies or is_here(host) or requests.utils.should_bypass_proxies(f"http://{site}/", no_proxy=None):
            return {}
        return self.proxies

    def close(self) -> None:
        """End the connections that are kept."""
        self.adapter.close()


def is_here(host: str) -> bool:
    """Say whether `host` is this machine itself."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
