"""Small versions of stored pictures, for the sheet and the gallery; what can't be shown says why."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from dqlab.errors import DqlabError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["Unshowable", "embedded", "require_pillow", "thumbnail"]

#: pixels of a picture that are decoded for a small one; a file of a kilobyte can claim billions
MOST_PIXELS = 60_000_000
#: bytes of a drawing that is embedded as it is
LARGEST_DRAWING = 64_000
#: bytes of a small picture that is embedded
LARGEST_PICTURE = 8_000
#: what is tried on JPEG's scale from 1 to 95 until it has no more
QUALITIES = (70, 50, 30, 15)


class Unshowable(Exception):
    """The picture can't be made small here; the message is the reason, in a few words."""


def require_pillow() -> None:
    """Raise DqlabError if Pillow, which decodes pictures, isn't installed."""
    try:
        import PIL  # noqa: F401
    except ImportError as missing:
        raise DqlabError("this needs Pillow, which is missing", "pip install 'dqlab[lab]'") from missing


def thumbnail(file: Path, size: tuple[int, int]) -> Picture:
    """Return the picture in `file`, cut and scaled to `size` (pixels). Raises Unshowable, and nothing else."""
    from PIL import Image, ImageOps

    if is_drawing(file):
        raise Unshowable("SVG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large pictures, odd metadata
            with Image.open(file) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise Unshowable(f"{picture.width} x {picture.height}")
                picture.draft("RGB", (2 * size[0], 2 * size[1]))  # a JPEG needn't be decoded in full
                return ImageOps.fit(ImageOps.exif_transpose(picture).convert("RGB"), size)
    except Unshowable:
        raise
    except Image.UnidentifiedImageError:
        raise Unshowable(f"{file.suffix.lstrip('.').upper() or 'unknown'}") from None
    except Image.DecompressionBombError:
        raise Unshowable("too many pixels") from None
    except FileNotFoundError:
        raise Unshowable("gone") from None
    except Exception:  # decoders raise whatever a broken file makes them run into
        raise Unshowable("broken") from None


def embedded(file: Path, size: tuple[int, int]) -> str:
    """Return a data: address of the picture in `file` at `size`. Raises Unshowable."""
    if is_drawing(file) and file.stat().st_size <= LARGEST_DRAWING:  # shown by <img>, a drawing runs no script
        return data_address(file.read_bytes(), "image/svg+xml")
    return data_address(packed(thumbnail(file, size)), "image/jpeg")


def packed(picture: Picture) -> bytes:
    """Return `picture` as a JPEG of LARGEST_PICTURE bytes at most: what has much in it gets coarser, then smaller."""
    while True:
        for quality in QUALITIES:
            small = io.BytesIO()
            picture.save(small, "JPEG", quality=quality, optimize=True)
            if small.tell() <= LARGEST_PICTURE:
                return small.getvalue()
        picture = picture.resize((picture.width // 2, picture.height // 2))


def is_drawing(file: Path) -> bool:
    """Say whether `file` is a drawing: it has no pixels."""
    return file.suffix.lower() in (".svg", ".svgz")


def data_address(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
