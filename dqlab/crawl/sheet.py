"""All pictures of a crawl on one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dqlab.crawl.store import read_manifest
from dqlab.errors import BadInput, DqlabError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["contact_sheet"]

#: pixels: the size of a picture on the sheet, and the space around it
THUMB, GAP = (96, 72), 6
BACKGROUND = (17, 19, 26)


def contact_sheet(folder: str | os.PathLike[str], columns: int = 16) -> Picture:
    """Return the pictures in the manifest of `folder`, by name, in rows of `columns`. Shown as it is by a notebook."""
    try:
        from PIL import Image, ImageOps
    except ImportError as missing:
        raise DqlabError("a contact sheet needs Pillow, which is missing", "pip install 'dqlab[lab]'") from missing

    paths = sorted(entry.path for entry in read_manifest(Path(folder)) if entry.path)
    if not paths:
        raise BadInput(f"no pictures in {folder}", "crawl into it first")
    across, down = THUMB[0] + GAP, THUMB[1] + GAP
    rows = -(-len(paths) // columns)
    sheet = Image.new("RGB", (columns * across + GAP, rows * down + GAP), BACKGROUND)
    for number, path in enumerate(paths):
        with Image.open(Path(folder) / path) as picture:
            thumb = ImageOps.fit(picture.convert("RGB"), THUMB)
        sheet.paste(thumb, (GAP + number % columns * across, GAP + number // columns * down))
    return sheet
