"""The pages of the sandbox site: what a crawler meets in real life, on one small site.

Each gallery shows one style of drawing on linked pages: plain relative `src` first, then `srcset`, then `<picture>`;
the pages of one gallery stand elsewhere and lean on `<base href>`. `about.html` collects the awkward rest: names with
spaces, pictures without a name, a flaky, a missing and a false picture, links that must not be followed, and a
directory that robots.txt forbids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from urllib.parse import unquote

__all__ = ["FALSE", "FLAKY", "MISSING", "PRIVATE", "Drawing", "Plan", "plan"]

#: how many drawings a gallery page shows
PER_PAGE = 9
#: the formats, which take turns
KINDS = ("jpg", "png", "webp")
SMALL, NORMAL, LARGE = (160, 120), (320, 240), (480, 360)
#: its pages live under /albums/ and find their pictures through <base href>
BASED = "glass"

#: answers 503 the first time it is asked for, then the picture
FLAKY = "/about/flaky.jpg"
#: is shown on a page and answers 404
MISSING = "/about/missing.png"
#: is shown on a page and is no picture but text/html
FALSE = "/about/false.png"
#: robots.txt forbids everything under it; a page and a picture lie there all the same
PRIVATE = "/private/"

STYLE = """
:root { color-scheme: dark } * { box-sizing: border-box }
body { margin: 0 auto; max-width: 1080px; padding: 2rem 1.5rem 4rem; background: #11131a; color: #d8dce6;
       font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif }
a { color: #8ecae6; text-decoration: none } a:hover { text-decoration: underline }
header { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; align-items: baseline; border-bottom: 1px solid #2a2f3d;
         padding-bottom: .8rem }
header b { color: #fff; font-size: 1.1rem; margin-right: auto } h1 { font-weight: 300; font-size: 2.2rem; color: #fff }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1.4rem }
figure { margin: 0; background: #191c26; border-radius: 10px; overflow: hidden; box-shadow: 0 6px 18px #0008 }
figure img { display: block; width: 100%; aspect-ratio: 4/3; object-fit: cover; background: #222635 }
figcaption { padding: .5rem .9rem .7rem; color: #9aa3b5; font-size: .85rem }
footer { margin-top: 2rem; display: flex; justify-content: space-between }
"""


@dataclass(frozen=True)
class Drawing:
    """Which picture lies at a path: `style` and `number` of the drawing, `kind` and `size` of the file."""

    style: str
    number: int
    kind: str
    size: tuple[int, int] = NORMAL


@dataclass
class Plan:
    """The whole site: page texts and drawings, by path. `private` are the drawings a polite crawler never sees."""

    pages: dict[str, str] = field(default_factory=dict)
    drawings: dict[str, Drawing] = field(default_factory=dict)
    private: dict[str, Drawing] = field(default_factory=dict)


def plan(styles: list[str], images: int) -> Plan:
    """Lay out a site with galleries of `styles` and exactly `images` pictures to be found (8 of them on about.html)."""
    site = Plan()
    awkward(site)
    shares = [(images - len(site.drawings) + turn) // len(styles) for turn in range(len(styles))]
    for style, share in zip(styles, shares, strict=True):
        gallery(site, style, share)
    covers = [figure(f"<a href='{address(style, 0)}'><img src='{style}/01.jpg' alt=''></a>", style) for style in styles]
    # a cover is the first picture of its gallery, shown again: one address, to be fetched once
    site.pages["/"] = page("The sandbox gallery", "".join(covers), "<a href='about.html'>About this site</a>")
    site.pages["/style.css"] = STYLE
    site.pages["/robots.txt"] = f"User-agent: *\nDisallow: {PRIVATE}\n"
    return site


# -- galleries ------------------------------------------------------------------------------------------------------


def address(style: str, number: int) -> str:
    """Return the path of page `number` of the gallery of `style`."""
    name = "index" if number == 0 else f"page{number + 1}"
    return f"/albums/{style}-{name}.html" if style == BASED else f"/{style}/{name}.html"


def gallery(site: Plan, style: str, share: int) -> None:
    """Add the linked pages and the `share` pictures of one gallery."""
    tags = list(figures(site, style, share))
    starts = range(0, len(tags), PER_PAGE)
    for number, start in enumerate(starts):
        back = (address(style, number - 1), "before") if number else ("/", "home")
        before = f"<a href='{back[0]}'>&larr; {back[1]}</a>"
        after = f"<a href='{address(style, number + 1)}#top'>after &rarr;</a>" if number + 1 < len(starts) else ""
        base = f"<base href='/{style}/'>" if style == BASED else ""
        title = f"{style.title()}, page {number + 1}"
        site.pages[address(style, number)] = page(title, "".join(tags[start : start + PER_PAGE]), before + after, base)


def figures(site: Plan, style: str, share: int) -> Iterator[str]:
    """Yield a gallery's figures and add their files: one file each on the first page, then two."""
    number = 0
    while share > 0:
        number += 1
        name, kind = f"{number:02}", KINDS[(number - 1) % len(KINDS)]
        two_files = number > PER_PAGE and share > 1
        if not two_files:
            files, tag = {f"{name}.{kind}": Drawing(style, number, kind)}, f"<img src='{name}.{kind}' alt=''>"
        elif number <= PER_PAGE * 3 // 2:
            files = {f"{name}-{size[0]}.jpg": Drawing(style, number, "jpg", size) for size in (SMALL, LARGE)}
            tag = f"<img src='{name}-160.jpg' srcset='{name}-160.jpg 160w, /{style}/{name}-480.jpg 480w' alt=''>"
        else:
            files = {f"{name}.{kind}": Drawing(style, number, kind) for kind in ("webp", "jpg")}
            tag = f"<picture><source type='image/webp' srcset='{name}.webp'><img src='./{name}.jpg' alt=''></picture>"
        site.drawings |= {f"/{style}/{file}": drawing for file, drawing in files.items()}
        share -= len(files)
        yield figure(tag, f"{style} {number}")


# -- the awkward rest -----------------------------------------------------------------------------------------------


def awkward(site: Plan) -> None:
    """Add about.html, the private directory, and their pictures."""
    shown = {
        "about/a%20walk%20in%20the%20hills.jpg": Drawing("dunes", 101, "jpg"),
        "about/caf%C3%A9.png": Drawing("tiles", 102, "png"),
        "about/Sun.webp": Drawing("petals", 103, "webp"),
        "about/sun.webp": Drawing("petals", 104, "webp"),  # the same file to Windows and macOS
        "about/aux.jpg": Drawing("threads", 105, "jpg"),  # a device, not a file, to Windows
        "picture?id=1": Drawing("aurora", 106, "webp"),  # no name, no suffix
        "picture?id=2": Drawing("aurora", 107, "jpg"),
        FLAKY.lstrip("/"): Drawing("contours", 108, "jpg"),
    }
    site.drawings |= {f"/{path}": drawing for path, drawing in shown.items()}
    site.private[f"{PRIVATE}secret.png"] = Drawing("fractal", 109, "png")
    broken = [MISSING, FALSE, f"{PRIVATE}secret.png", "data:image/gif;base64,R0lGODlhAQABAAAAACw="]
    tags = [figure(f"<img src='{escape(path)}' alt=''>", unquote(path)[:40]) for path in [*shown, *broken]]
    links = [
        "/", "about.html#top", f"{PRIVATE}index.html", "//elsewhere.invalid/", "http://elsewhere.invalid/gallery.html",
        "mailto:nobody@elsewhere.invalid", "javascript:void(0)", "http://[broken", "loop/?again=1",
    ]  # fmt: skip
    footer = " ".join(f"<a href='{escape(link)}'>{escape(link)}</a>" for link in links)
    site.pages["/about.html"] = page("About this site", "".join(tags), footer)
    site.pages["/loop/?again=1"] = page("Round and round", "", "<a href='../about.html'>back</a>")
    secret = figure("<img src='secret.png' alt=''>", "not for crawlers")
    site.pages[f"{PRIVATE}index.html"] = page("Private", secret, "")


# -- HTML -----------------------------------------------------------------------------------------------------------


def figure(tag: str, caption: str) -> str:
    return f"<figure>{tag}<figcaption>{escape(caption)}</figcaption></figure>\n"


def page(title: str, body: str, footer: str, base: str = "") -> str:
    """Return a page's HTML."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>{base}
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/style.css"></head>
<body id="top"><header><b>The sandbox gallery</b><a href="/">Home</a> <a href="/about.html">About</a></header>
<h1>{title}</h1><main>
{body}</main><footer>{footer}</footer></body></html>
"""
