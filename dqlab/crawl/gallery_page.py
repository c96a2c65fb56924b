"""What a crawl brought, as one page that needs no network: `dqlab gallery DIR`, and `gallery("DIR")` in a notebook.

Nothing in it is believed: addresses, names and reasons come from strangers, so all of it is escaped, and the page's own
policy lets it load nothing.
"""

from __future__ import annotations

import argparse
import html
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from dqlab.crawl.manifest import PART, Entry, read_manifest
from dqlab.crawl.store import writing
from dqlab.crawl.thumbnails import Unshowable, embedded, require_pillow
from dqlab.errors import BadInput, DqlabError

__all__ = ["Gallery", "add_arguments", "gallery", "run"]

NAME = "gallery.html"
#: pixels of a picture in the gallery, which shows two thirds of them
THUMB = (272, 204)
#: pictures, and addresses of one reason, that are shown; a page of a hundred thousand opens in no browser
MOST_PICTURES, MOST_FAILURES = 5_000, 500


@dataclass(frozen=True)
class Gallery:
    """The page at `path`; a notebook shows it in place."""

    path: Path

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="width:100%;height:640px;border:0"></iframe>'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `dqlab gallery` takes to `parser`."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of a crawl")


def run(args: argparse.Namespace) -> int:
    """Write the page, say where it is, and return the exit code."""
    print(gallery(args.folder).path)
    return 0


def gallery(folder: str | os.PathLike[str]) -> Gallery:
    """
    Write `gallery.html` into the `folder` of a crawl: small pictures, sizes, sources, and failures by reason.

    Raises BadInput if no crawl was there.
    """
    folder = Path(folder)
    entries = read_manifest(folder)
    if not entries:
        raise BadInput(f"no crawl in {folder}", "it has no manifest.jsonl, or an empty one")
    with writing(folder):
        part = folder / f"{PART}{NAME}"
        part.write_text(page(folder, entries), encoding="utf-8")
        os.replace(part, folder / NAME)
    return Gallery(folder / NAME)


def page(folder: Path, entries: list[Entry]) -> str:
    """Return the page for the lines of the manifest in `folder`."""
    pictures, failures = defaultdict[str, list[Entry]](list), defaultdict[str, list[Entry]](list)
    for entry in entries:
        if entry.path:
            pictures[entry.path].append(entry)
        else:
            failures[entry.error or "?"].append(entry)
    size = sum(same[0].bytes for same in pictures.values())
    lost = sum(map(len, failures.values()))
    summary = (
        f"{len(pictures)} pictures, {size / 1e6:.1f} MB; {len(entries)} addresses, {lost} of them without a picture"
    )
    if len(pictures) > MOST_PICTURES:
        summary += f"; the first {MOST_PICTURES} are shown"
    kinds = sorted({same[0].content_type or "" for same in pictures.values()})
    filled = {
        "title": html.escape(f"Pictures in {folder.resolve().name}"),
        "summary": html.escape(summary),
        "kinds": "".join(f"<option>{html.escape(kind)}</option>" for kind in kinds),
        "pictures": "\n".join(figure(folder, pictures[path]) for path in sorted(pictures)[:MOST_PICTURES]),
        "failures": "\n".join(loss(*each) for each in sorted(failures.items(), key=lambda each: -len(each[1]))),
    }
    text = Path(__file__).with_name(NAME).read_text(encoding="utf-8")
    head, *others = text.split("{")
    return head + "".join(piece(other, filled) for other in others)


def piece(text: str, filled: dict[str, str]) -> str:
    """Return what follows a brace in the page: one of the values if their name does, else the brace as it was."""
    name, brace, rest = text.partition("}")
    return filled[name] + rest if brace and name in filled else "{" + text


def figure(folder: Path, same: list[Entry]) -> str:
    """Return one picture with all addresses that have it."""
    first, path = same[0], str(same[0].path)
    pixels = f"{first.width} x {first.height}, " if first.width and first.height else ""
    sources = "<br>".join(link(entry.url) for entry in same[:5])
    more = f"<br>and {len(same) - 5} more addresses" if len(same) > 5 else ""
    shown_on = f"<br>on {link(first.referer)}" if first.referer else ""
    return (
        f'<figure data-kind="{html.escape(first.content_type or "")}" data-width="{first.width or 0}">'
        f'<a href="{html.escape(quote(path))}">{picture(folder / path)}</a>'
        f"<figcaption><b>{html.escape(path)}</b><br>{pixels}{first.bytes / 1000:,.1f} kB, "
        f"{html.escape(first.content_type or '?')}<br>{sources}{more}{shown_on}</figcaption></figure>"
    )


def picture(file: Path) -> str:
    """Return the small picture within the page; without Pillow the file itself; what can't be shown says why."""
    try:
        require_pillow()
        source = embedded(file, THUMB)
    except DqlabError:
        source = quote(file.name)
    except Unshowable as unshowable:
        return f"<span>{html.escape(str(unshowable))}</span>"
    return f'<img loading="lazy" alt="" src="{html.escape(source)}">'


def loss(reason: str, entries: list[Entry]) -> str:
    """Return the addresses that have no picture for one `reason`."""
    more = f"<p>and {len(entries) - MOST_FAILURES} more, in manifest.jsonl</p>" if len(entries) > MOST_FAILURES else ""
    return (
        f"<details open><summary>{html.escape(reason)} ({len(entries)})</summary><ul>"
        f"{items(entry.url for entry in entries[:MOST_FAILURES])}</ul>{more}</details>"
    )


def items(addresses: Iterable[str]) -> str:
    return "".join(f"<li>{link(address)}</li>" for address in addresses)


def link(address: str) -> str:
    """Return `address` as a link if it is one of the web, and as text if not."""
    text = html.escape(address)
    if urlsplit(address).scheme not in ("http", "https"):
        return f"<small>{text}</small>"
    return f'<small><a href="{text}" rel="noreferrer noopener">{text}</a></small>'
