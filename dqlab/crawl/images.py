"""The second kind of task: download a picture; its bytes are the result, for the client to keep."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from dqlab.crawl.web import FetchFailed, Limits, get
from dqlab.process.current import current

__all__ = ["Image", "fetch_image"]


@dataclass(frozen=True)
class Image:
    """A picture as it came, or the `error`. `seconds` it took, `worker` that fetched it (None: nobody knows)."""

    url: str
    body: bytes = b""
    content_type: str | None = None
    seconds: float = 0.0
    worker: str | None = None
    error: str | None = None


def fetch_image(url: str, limits: Limits) -> Image:
    """Download the picture at `url`; what isn't one, or is too large, becomes an error."""
    began = time.monotonic()
    body, kind, error = b"", None, None
    try:
        answer = get(url, limits, wants=is_image)
        body, kind = answer.body, answer.kind or None
        if not is_image(answer.kind):
            error = f"{answer.kind} is no picture" if answer.kind else "it has no content type"
        elif not body:
            error = "it is empty"
    except FetchFailed as failure:
        error = failure.message
    return Image(url, body, kind, round(time.monotonic() - began, 4), worker_name(), error)


def is_image(content_type: str) -> bool:
    return content_type.startswith("image/")


def worker_name() -> str:
    """Return the name of the worker that runs this task; outside of a worker that of the process."""
    here = current()
    return here.worker if here else f"{socket.gethostname()}-{os.getpid()}"
