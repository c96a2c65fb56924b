"""All pictures of a crawl on one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dqlab.crawl.manifest import read_manifest
from dqlab.crawl.thumbnails import Unshowable, require_pillow, thumbnail
from dqlab.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["contact_sheet"]

#: pixels: the size of a picture on the sheet, and the space around it
THUMB, GAP = (96, 72), 6
BACKGROUND, TILE, INK = (17, 19, 26), (70, 74, 84), (220, 222, 228)


def contact_sheet(folder: str | os.PathLike[str], columns: int = 16) -> Picture:
    """
    Return the pictures in the manifest of `folder`, by name, in rows of `columns`. Shown as it is by a notebook.

    What can't be shown (a drawing, a file that is broken or too large) is a grey tile with the reason.
    """
    require_pillow()
    from PIL import Image

    if columns < 1:
        raise BadInput(f"columns={columns} makes no sense", "take 1 or more")
    paths = sorted({entry.path for entry in read_manifest(Path(folder)) if entry.path})
    if not paths:
        raise BadInput(f"no pictures in {folder}", "crawl into it first")
    across, down = THUMB[0] + GAP, THUMB[1] + GAP
    rows = -(-len(paths) // columns)
    sheet = Image.new("RGB", (columns * across + GAP, rows * down + GAP), BACKGROUND)
    for number, path in enumerate(paths):
        try:
            thumb = thumbnail(Path(folder) / path, THUMB)
        except Unshowable as unshowable:
            thumb = tile(str(unshowable))
        sheet.paste(thumb, (GAP + number % columns * across, GAP + number // columns * down))
    return sheet


def tile(reason: str) -> Picture:
    """Return a grey tile that says `reason`."""
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", THUMB, TILE)
    middle = (THUMB[0] / 2, THUMB[1] / 2)
    ImageDraw.Draw(tile).text(middle, reason.encode("ascii", "replace").decode(), fill=INK, anchor="mm")
    return tile
