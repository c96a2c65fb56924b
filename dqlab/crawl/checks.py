"""Whether what is asked of the finding half of a crawl makes sense; said before anything is made or fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dqlab.crawl import lists
from dqlab.crawl.addresses import absolute
from dqlab.errors import BadInput

if TYPE_CHECKING:
    from dqlab.crawl.settings import Settings

__all__ = ["REFRESH", "check"]

#: what may be done with a picture that has changed: the new one takes its place, or the old one is kept, dated
REFRESH = ("replace", "keep")


def check(settings: Settings) -> None:
    """Raise BadInput, with what to do, if `settings` name no beginning, two, or bounds without sense."""
    if settings.from_file is None:
        if absolute(settings.url or "", "") is None:
            raise BadInput(f"{settings.url!r} is no address of a web page", "one begins with http:// or https://")
        if settings.column is not None:
            raise BadInput(f"column={settings.column!r} without a list", "it names a column of the list")
    elif settings.url is not None:
        raise BadInput("an address to begin with and a list are too much", "give one of them")
    elif settings.from_file != lists.STANDARD_INPUT:
        with lists.open_list(settings.from_file) as lines:
            next(lists.addresses(lines, settings.from_file, settings.column, lambda value: None), None)
    if settings.depth is not None and settings.depth < 0:
        raise BadInput(f"depth={settings.depth} makes no sense", "0 reads the first page only")
    if settings.min_bytes < 0:
        raise BadInput(f"min_bytes={settings.min_bytes} makes no sense", "take 0 or more")
    if settings.min_size is not None and (len(settings.min_size) != 2 or min(settings.min_size) < 0):
        raise BadInput(f"min_size={settings.min_size} makes no sense", "it is a width and a height in pixels")
    if settings.refresh not in (None, *REFRESH):
        raise BadInput(f"refresh={settings.refresh!r} makes no sense", f"take one of {', '.join(REFRESH)}")
    for name in ("includes", "excludes", "spans"):
        if isinstance(getattr(settings, name), str):
            raise BadInput(f"{name}={getattr(settings, name)!r} is one text", "give a list of them")
    for host in settings.spans:
        if not host or "/" in host or host != host.strip():
            raise BadInput(f"{host!r} is no host to span", "a name such as cdn.example.org, without http://")
