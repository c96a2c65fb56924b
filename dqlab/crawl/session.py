"""The connections of a worker's process to the web: kept alive for all its threads, under an honest name."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dqlab.crawl.addresses import site_of
from dqlab.crawl.asking import Asking

if TYPE_CHECKING:  # requests takes a quarter of a second to import: where it is used, and only there
    import requests

__all__ = ["session"]

#: crawls whose connections and cookies are kept
CRAWLS = 4
#: codings of a body that `coding` can undo
CODINGS = "gzip, deflate"


#: who asks if nobody says it
ANYBODY = Asking()


@functools.lru_cache(maxsize=CRAWLS)
def session(asking: Asking = ANYBODY) -> requests.Session:
    """Return this process's session for requests that say `asking`; threads may share it."""
    import urllib.request

    import requests
    import urllib3

    from dqlab.crawl.transport import Adapter

    proxies = urllib.request.getproxies()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True

    @functools.lru_cache(maxsize=1024)
    def proxies_for(host: str, url: str) -> dict[str, str]:
        """Let the user's proxy alone with what is on this machine: it would look for that on its own."""
        bypass = is_here(host) or requests.utils.should_bypass_proxies(url, no_proxy=None)
        return {} if bypass else proxies

    class Session(requests.Session):
        """One that looks at its environment once, and follows no redirect: who does first reads the whole answer."""

        def get_redirect_target(self, resp: requests.Response) -> None:
            """Follow none."""

        def merge_environment_settings(self, url: Any, *settings: Any) -> Any:
            parts = urlsplit(url)
            here = proxies_for(parts.hostname or "", f"{parts.scheme}://{parts.netloc}/") if proxies else {}
            return {"proxies": here, "stream": True, "verify": asking.verify and bundle, "cert": None}

        def get_adapter(self, url: str) -> Any:
            return adapter

    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Show the password to the site that it is for, and never what the user's ~/.netrc has for others."""
        if asking.auth and site_of(request.url or "") == asking.site:
            return requests.auth.HTTPBasicAuth(*(word.encode() for word in asking.auth))(request)
        return request

    if not asking.verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    adapter = Adapter(asking.ca)
    made = Session()
    made.headers = requests.structures.CaseInsensitiveDict(
        {"User-Agent": asking.user_agent, "Accept-Encoding": CODINGS, "Connection": "keep-alive"}
    )
    made.auth = authorise
    for domain, path, secure, name, value in asking.cookies:
        made.cookies.set(name, value, domain=domain, path=path, secure=secure)
    return made


def is_here(host: str) -> bool:
    """Say whether `host` is this machine itself."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
