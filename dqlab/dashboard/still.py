"""A still of a whole run, for places where no widget runs: a notebook on GitHub, an exported page."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from dqlab.dashboard.history import History
from dqlab.dashboard.lane import Lane

__all__ = ["still"]

#: pixels: the picture's width, a lane's height, the space above the lanes and below them, and beside them for names
WIDTH, ROW, HEAD, FOOT, LEFT, RIGHT = 1000, 24, 38, 24, 60, 20
#: the colours of `dashboard.css`
COLOURS = {"done": "#0072b2", "retry": "#e69f00", "failed": "#d55e00", "lost": "#b5548d"}
INK, SOFT, PAPER, RULE = "#1f2328", "#5b6470", "#ffffff", "#d8dee4"
#: seconds between two marks on the time axis
STEPS = (1, 2, 5, 10, 30, 60, 300, 600, 3600)


def still(history: History) -> bytes:
    """The lanes from the history's first instant to its last, as a PNG."""
    lanes = [lane for lane in history.lanes.values() if lane.bars or lane.host]
    image = Image.new("RGB", (WIDTH, HEAD + ROW * max(1, len(lanes)) + FOOT), PAPER)
    draw = ImageDraw.Draw(image)
    big, small = ImageFont.load_default(15), ImageFont.load_default(12)
    span = max(history.now, 1e-6)
    bottom = image.height - FOOT

    def x(seconds: float) -> float:
        return LEFT + max(0.0, seconds) / span * (WIDTH - LEFT - RIGHT)

    _, _, _, done, failed, redelivered, *_ = history.levels
    draw.text((4, 8), f"{done} tasks done, {failed} failed, {redelivered} redelivered, in {span:.1f} s", INK, big)
    step = next((step for step in STEPS if span / step <= 8), STEPS[-1])
    for mark in range(0, int(span) + 1, step):
        draw.line((x(mark), HEAD, x(mark), bottom), RULE)
        draw.text((x(mark), bottom + 4), f"{mark} s", SOFT, small, anchor="ma")
    middle = {lane.name: HEAD + ROW * (row + 0.5) for row, lane in enumerate(lanes)}
    for lane in lanes:
        _draw_lane(draw, lane, middle[lane.name], x, span, small)
    for begin, end in history.absences:
        _draw_absence(draw, x(begin), x(end), bottom, small)
    for link in history.links:
        if link.source != link.target and {link.source, link.target} <= middle.keys():
            ends = (x(link.lost), middle[link.source], x(link.taken), middle[link.target])
            draw.line(ends, COLOURS["lost"], 2)
    out = io.BytesIO()
    image.quantize(32).save(out, "PNG", optimize=True)
    return out.getvalue()


def _draw_lane(draw: ImageDraw.ImageDraw, lane: Lane, y: float, x, span: float, font) -> None:  # type: ignore[no-untyped-def]
    half = ROW / 2 - 4
    draw.text((LEFT - 8, y), lane.name, INK, font, anchor="rm")
    draw.line((x(lane.joined), y, x(span if lane.left is None else lane.left), y), SOFT)
    for bar in lane.bars:
        box = (x(bar.start), y - half, max(x(bar.start) + 1, x(bar.end) - 3), y + half)
        hollow = bar.kind == "lost"
        draw.rectangle(box, None if hollow else COLOURS.get(bar.kind, SOFT), COLOURS.get(bar.kind, SOFT))
        if bar.kind == "failed":
            draw.text(((box[0] + box[2]) / 2, y), "!", PAPER, font, anchor="mm")
    if lane.left is not None and lane.end == "died":
        _draw_cross(draw, x(lane.left), y, INK)


def _draw_absence(draw: ImageDraw.ImageDraw, begin: float, end: float, bottom: float, font) -> None:  # type: ignore[no-untyped-def]
    """A gap through all lanes, with a cross where the master was last seen."""
    draw.rectangle((begin, HEAD, max(begin + 1, end), bottom), PAPER)
    for edge in (begin, max(begin + 1, end)):
        draw.line((edge, HEAD, edge, bottom), COLOURS["failed"])
    _draw_cross(draw, begin, HEAD, COLOURS["failed"])
    draw.text((begin + 12, HEAD), "no master", COLOURS["failed"], font, anchor="lm")


def _draw_cross(draw: ImageDraw.ImageDraw, x: float, y: float, colour: str) -> None:
    for slope in (-1, 1):
        draw.line((x - 7, y - 7 * slope, x + 7, y + 7 * slope), colour, 3)
