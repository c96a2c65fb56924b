"""Pictures for the sandbox: small generative drawings, the same for the same number, each in a few milliseconds.

    draw("dunes", 7)                -> a PIL image, 320 x 240
    encoded("dunes", 7, "webp")     -> its bytes

A style is one function `(canvas, colours, random) -> image`; `STYLES` names them all. Nothing is read from disk.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

from dqlab.errors import NotInstalled

try:
    from PIL import Image, ImageDraw
except ImportError as missing:  # Pillow isn't needed by anything but the sandbox
    raise NotInstalled("the sandbox draws with Pillow, which is missing", "pip install 'dqlab[lab]'") from missing

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: width and height of a picture in pixels
SIZE = (320, 240)
#: lines and polygons are drawn this much larger and then shrunk, which smooths their edges
OVERSAMPLING = 2
#: five colours each, from dark to light
PALETTES = (
    "0b132b 1c2541 3a506b 5bc0be f0f3bd",
    "1a1423 3d314a 684756 96705b ffd9a0",
    "2b0f54 ab1f65 ff4f69 ff8142 ffda45",
    "03071e 370617 9d0208 e85d04 ffba08",
    "10002b 3c096c 7b2cbf c77dff ffe5ec",
    "081c15 1b4332 40916c 95d5b2 fefae0",
    "001219 005f73 0a9396 e9d8a6 ee9b00",
    "22223b 4a4e69 9a8c98 c9ada7 f2e9e4",
    "0d1b2a 1b3a4b 3e8e9c f4a259 f7ede2",
    "14213d 264b96 3f8efc 87bfff f5faff",
)
#: real and imaginary part of places where the Mandelbrot set is worth a look
COASTS = (
    (-0.7436, 0.1318), (-0.2351, 0.8272), (-0.1011, 0.9563), (-0.0452, 0.9868), (0.3601, 0.6435), (-0.5622, 0.6428),
    (-1.4011, 0.0), (-0.7463, 0.1102),
)  # fmt: skip
#: how each format is written: quick, and small enough for a class on one access point
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 6},
    "jpg": {"format": "JPEG", "quality": 88},
    "webp": {"format": "WEBP", "quality": 85, "method": 1},
}

Colour = tuple[int, int, int]
Colours = Callable[[float], Colour]


def palette(words: str) -> Colours:
    """Return the function that maps 0..1 to a colour between the five that `words` spells in hexadecimal."""
    stops = [tuple(bytes.fromhex(word)) for word in words.split()]

    def colour(position: float) -> Colour:
        place = min(max(position, 0.0), 1.0) * (len(stops) - 1)
        left = min(int(place), len(stops) - 2)
        share = place - left
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(stops[left], stops[left + 1], strict=True))
        return red, green, blue

    return colour


def tinted(grey: Picture, colours: Colours) -> Picture:
    """Colour a grey picture: black becomes the palette's first colour, white its last."""
    ramp = [colours(level / 255) for level in range(256)]
    return Image.merge("RGB", [grey.point([stop[channel] for stop in ramp]) for channel in range(3)])


def field(size: tuple[int, int], height: Callable[[float, float], float]) -> Picture:
    """Return the smooth surface `height(x, y)` (-1..1, x and y in 0..1) as a grey picture.

    Computed on a coarse grid and stretched, since a surface this smooth needs no more.
    """
    columns, rows = 64, 48
    coarse = Image.new("F", (columns, rows))
    coarse.putdata([127.5 + 127.5 * height(x / columns, y / rows) for y in range(rows) for x in range(columns)])
    return coarse.resize(size, Image.Resampling.BICUBIC).convert("L")


def ripples(random: Random, count: int) -> Callable[[float, float], float]:
    """Return a surface of `count` waves that run in random directions."""
    waves = [(random.uniform(-9, 9), random.uniform(-9, 9), random.uniform(0, 7)) for _ in range(count)]
    return lambda x, y: sum(math.sin(a * x + b * y + c) for a, b, c in waves) / count * 1.3


# -- the styles -----------------------------------------------------------------------------------------------------


def aurora(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """Slow coloured light."""
    warp, light = ripples(random, 2), ripples(random, 3)
    return tinted(field(canvas.size, lambda x, y: light(x + warp(x, y) * 0.4, y + warp(y, x) * 0.4)), colours)


def contours(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """A map of hills, in steps, with a line at each step."""
    bands = random.randint(9, 13)
    surface = field(canvas.size, ripples(random, 4))

    def step(level: int) -> Colour:
        whole, rest = divmod(level / 256 * bands, 1)
        shade = colours((whole + 0.5) / bands)
        return tuple(value // 2 for value in shade) if rest < 0.12 else shade  # type: ignore[return-value]

    ramp = [step(level) for level in range(256)]
    return Image.merge("RGB", [surface.point([stop[channel] for stop in ramp]) for channel in range(3)])


def dunes(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """Ridges behind ridges under a low sun."""
    width, height = canvas.size
    sky = tinted(Image.linear_gradient("L").resize(canvas.size), lambda t: colours(0.45 + t * 0.5))
    pen = ImageDraw.Draw(sky)
    x, y, radius = random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.4) * height, height * 0.11
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours(1.0))
    ridges = random.randint(4, 6)
    for ridge in range(ridges):
        base, rise = 0.42 + 0.58 * ridge / ridges, random.uniform(0.05, 0.1)
        a, b, c, d = (random.uniform(0, 7) for _ in range(4))
        line = [
            (x, height * (base + rise * (math.sin(x / width * (2 + a) + b) + 0.3 * math.sin(x / width * (9 + c) + d))))
            for x in range(0, width + 8, 8)
        ]
        pen.polygon([(0, height), *line, (width, height)], fill=colours(0.55 - 0.5 * (ridge + 1) / ridges))
    return sky


def fractal(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """A corner of the Mandelbrot set's coast."""
    real, imaginary = random.choice(COASTS)
    reach = 10 ** random.uniform(-2.1, -1.5)
    extent = (real - reach, imaginary - reach * 0.75, real + reach, imaginary + reach * 0.75)
    turn = random.uniform(0.6, 1.4)
    width, height = canvas.size
    coast = Image.effect_mandelbrot((width * 3 // 4, height * 3 // 4), extent, 96)  # the costliest points of all
    return tinted(coast, lambda depth: colours(0.5 - 0.5 * math.cos(depth * 6 * turn)))


def glass(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """Leaded glass: every point belongs to the nearest of a few seeds."""
    width, height = canvas.size
    seeds = [(random.uniform(0, width), random.uniform(0, height)) for _ in range(36)]
    tilt = random.uniform(0, math.tau)
    pen = ImageDraw.Draw(canvas)
    for seed in seeds:
        cell = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
        for other in seeds:
            if other is not seed:
                cell = nearer(cell, seed, other)
        slope = (seed[0] / width - 0.5) * math.cos(tilt) + (seed[1] / height - 0.5) * math.sin(tilt)
        pen.polygon(cell, fill=colours(0.55 + slope * 0.8 + random.uniform(-0.12, 0.12)), outline=colours(0), width=3)
    return canvas


def nearer(cell: list[tuple[float, float]], seed: tuple[float, float], other: tuple[float, float]) -> list:
    """Return the part of the polygon `cell` that is nearer to `seed` than to `other`."""
    normal = other[0] - seed[0], other[1] - seed[1]
    middle = (normal[0] * (other[0] + seed[0]) + normal[1] * (other[1] + seed[1])) / 2
    kept = []
    for here, there in zip(cell, cell[1:] + cell[:1], strict=True):
        a = normal[0] * here[0] + normal[1] * here[1] - middle
        b = normal[0] * there[0] + normal[1] * there[1] - middle
        if a <= 0:
            kept.append(here)
        if a * b < 0:
            share = a / (a - b)
            kept.append((here[0] + (there[0] - here[0]) * share, here[1] + (there[1] - here[1]) * share))
    return kept


def petals(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """Seeds of a sunflower: each turned from the last by nearly the golden angle."""
    width, height = canvas.size
    canvas.paste(colours(0.02), (0, 0, width, height))
    pen = ImageDraw.Draw(canvas)
    angle = math.radians(random.choice((137.508, 137.2, 137.9, 99.5, 151.1, 222.4, 77.9)))
    count = random.randint(180, 420)
    for seed in range(count, 0, -1):
        distance = math.sqrt(seed / count) * height * 0.52
        size = height * (0.008 + 0.022 * seed / count)
        x, y = width / 2 + distance * math.cos(seed * angle), height / 2 + distance * math.sin(seed * angle)
        pen.ellipse((x - size, y - size, x + size, y + size), fill=colours(1 - 0.8 * seed / count))
    return canvas


def threads(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """A pen on two swinging pendulums."""
    width, height = canvas.size
    canvas.paste(colours(0.0), (0, 0, width, height))
    pen = ImageDraw.Draw(canvas)
    fast, slow = random.choice(((2, 3), (3, 4), (1, 1), (2, 5), (1, 2), (1, 3)))
    drift, phase = random.choice((-0.03, -0.01, 0.008, 0.02)), random.uniform(0, math.tau)
    steps, damping = 900, random.uniform(0.3, 1.6)
    points = []
    for step in range(steps):
        time, fade = step / 14, math.exp(-step / steps * damping)
        x = width / 2 + width * 0.46 * fade * math.sin((fast + drift) * time + phase)
        y = height / 2 + height * 0.46 * fade * math.sin(slow * time)
        points.append((x, y))
    for step, ends in enumerate(pairwise(points)):
        pen.line(ends, fill=colours(0.25 + 0.75 * step / steps), width=3)
    return canvas


def tiles(canvas: Picture, colours: Colours, random: Random) -> Picture:
    """Truchet's tiles: two quarter circles in each square, turned by the toss of a coin."""
    width, height = canvas.size
    canvas.paste(colours(0.08), (0, 0, width, height))
    pen = ImageDraw.Draw(canvas)
    side = height // random.choice((4, 5, 6))
    half, thick = side // 2, side // random.choice((4, 5, 7))
    for left in range(0, width, side):
        for top in range(0, height, side):
            shade = colours(0.45 + 0.55 * (left / width + top / height) / 2)
            corners = ((left, top, 0), (left + side, top + side, 180))
            if random.random() < 0.5:
                corners = ((left + side, top, 90), (left, top + side, 270))
            for x, y, start in corners:
                reach = half + thick // 2
                pen.arc((x - reach, y - reach, x + reach, y + reach), start, start + 90, fill=shade, width=thick)
    return canvas


STYLES: dict[str, Callable[[Picture, Colours, Random], Picture]] = {
    style.__name__: style for style in (aurora, contours, dunes, fractal, glass, petals, threads, tiles)
}


def draw(style: str, number: int, size: tuple[int, int] = SIZE) -> Picture:
    """Return picture `number` of `style`; equal arguments give equal pictures."""
    random = Random(f"{style} {number}")
    canvas = Image.new("RGB", (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING))
    drawing = STYLES[style](canvas, palette(random.choice(PALETTES)), random)
    return drawing.resize(size, Image.Resampling.BOX)


@cache
def encoded(style: str, number: int, kind: str, size: tuple[int, int] = SIZE) -> bytes:
    """Return the bytes of that picture as `kind`: "png", "jpg" or "webp"."""
    file = io.BytesIO()
    draw(style, number, size).save(file, **FORMATS[kind])
    return file.getvalue()
