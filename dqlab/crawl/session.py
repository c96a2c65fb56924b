"""The connections of a worker's process to the web: kept alive, retried where that helps, under an honest name."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dqlab import __version__
from dqlab.crawl.robots import AGENT

if TYPE_CHECKING:  # requests takes a quarter of a second to import: where it is used, and only there
    import requests

__all__ = ["session"]

USER_AGENT = f"{AGENT}/{__version__} (image crawler for lessons; obeys robots.txt)"
#: another try after a failed connection, a broken answer, or one of these statuses; seconds before the second one
CONNECTS, STATUSES, BACK_OFF = 2, 3, 0.3
TRY_AGAIN = (429, 500, 502, 503, 504)
#: seconds that a server may ask us to wait (Retry-After) before a retry
LONGEST_WAIT = 10.0


@functools.cache
def session() -> requests.Session:
    """Return this process's session."""
    import requests
    from urllib3 import Retry

    class Patience(Retry):
        """Retries that let no server make us wait for hours, or read what it sends along with its refusal."""

        def get_retry_after(self, response: Any) -> float | None:
            wanted = super().get_retry_after(response)
            return wanted and min(wanted, LONGEST_WAIT)

        def increment(self, *args: Any, **details: Any) -> Any:
            again = super().increment(*args, **details)
            if response := details.get("response"):
                response.close()  # else urllib3 reads it to its end, which need not come
            return again

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """Follow none: whoever follows redirects here first reads the whole answer, however long it is."""

        def merge_environment_settings(self, url: Any, *settings: Any) -> Any:
            """Let the user's proxy alone with what is on this machine: it would look for that on its own."""
            merged = super().merge_environment_settings(url, *settings)
            return merged | {"proxies": {}} if is_here(urlsplit(url).hostname or "") else merged

    retries = Patience(
        total=STATUSES,
        connect=CONNECTS,
        read=CONNECTS,
        status=STATUSES,
        status_forcelist=TRY_AGAIN,
        backoff_factor=BACK_OFF,
        raise_on_status=False,
    )
    session = Session()
    session.headers["User-Agent"] = USER_AGENT
    session.auth = lambda request: request  # else requests sends what the user's ~/.netrc has for the host
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retries))
    return session


def is_here(host: str) -> bool:
    """Say whether `host` is this machine itself."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
