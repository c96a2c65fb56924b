"""A picture as it came, looked at: what it is by its bytes, whether it is whole, whether its owner lets it be taken."""

from __future__ import annotations

from dataclasses import dataclass

from dqlab.crawl.dimensions import dimensions
from dqlab.crawl.directives import refusal
from dqlab.crawl.errand import Errand
from dqlab.crawl.kinds import fault, kind_of
from dqlab.crawl.landing import Landed
from dqlab.crawl.terms import Answer

__all__ = ["Image", "image_of", "is_picture"]


@dataclass(frozen=True)
class Image:
    """
    A picture, or the `error`. `url` is the address as found, `source` the one that redirects led to.

    `content_type` and `suffix` are what the bytes are, whatever the label says; `width` and `height` in pixels; `etag`
    and `last_modified` as the server said; `unchanged`: the copy that is here already is still right; `seconds` it
    took, `worker` that fetched it (None: nobody knows); `landed`: where the body lies, if it isn't here.
    """

    url: str
    body: bytes = b""
    content_type: str | None = None
    seconds: float = 0.0
    worker: str | None = None
    error: str | None = None
    suffix: str = ""
    source: str | None = None
    referer: str | None = None
    width: int | None = None
    height: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    unchanged: bool = False
    landed: Landed | None = None

    @property
    def size(self) -> int:
        """The bytes of the body."""
        return self.landed.bytes if self.landed else len(self.body)


def is_picture(label: str, head: bytes) -> bool:
    """Say whether what begins with `head` is a picture, whatever its `label` says."""
    return kind_of(head) is not None


def image_of(errand: Errand, answer: Answer, seconds: float, worker: str | None, ignore: tuple[str, ...] = ()) -> Image:
    """Return the picture that `answer` brought, or why it is none; `ignore`: wishes of owners that don't count."""
    kind = kind_of(answer.body)
    error = None if answer.unchanged else refusal([answer.headers.get("x-robots-tag", "")], ignore)
    if error is None and not answer.unchanged:
        error = fault(answer.body)
    if error and answer.body and kind is None and answer.kind.startswith("image/"):
        error += f" (labelled {answer.kind[:60]})"
    width, height = dimensions(answer.body) or (None, None)
    return Image(
        url=errand.url,
        body=b"" if error else answer.body,
        content_type=kind.content_type if kind else answer.kind or None,
        seconds=round(seconds, 4),
        worker=worker,
        error=error,
        suffix=kind.suffixes[0] if kind else "",
        source=answer.url if answer.url != errand.url else None,
        referer=errand.referer,
        width=width,
        height=height,
        etag=answer.headers.get("etag"),
        last_modified=answer.headers.get("last-modified"),
        unchanged=answer.unchanged,
    )
