"""Pictures in the attributes of an HTML element, whatever way of lazy loading wrote them there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dqlab.crawl.find import css
from dqlab.crawl.find.json_text import strings
from dqlab.crawl.find.srcset import Candidate, candidates
from dqlab.crawl.names import has_picture_name

__all__ = ["alternatives", "attached", "embedded"]

#: elements that show a picture, and which attributes hold its address
SHOW = {
    "img": ("src",),
    "amp-img": ("src",),
    "amp-anim": ("src",),
    "input": ("src",),
    "image": ("href", "xlink:href", "src"),
    "feimage": ("href", "xlink:href"),
    "source": (),  # its src is a film or a sound
}
#: attributes from which a script loads the picture later; what stands in `src` meanwhile is a placeholder
LAZY = re.compile(
    r"data-(?:(?:lazy|ll|defer|delayed|img|image|actual|real|origin|original|async|pagespeed-lazy|cf|ez|ks|flickity)-?)?"
    r"(?:src|original|lazy|lazy-?load(?:-src)?|echo)|data-(?:lazy|delayed)-url|ng-src|lazy-?src|_src|original|file|loadlate"
)
#: the same for a srcset
LAZY_SET = re.compile(r"data-[\w-]*srcset|data-original-set|(?:ng|lazy)-?srcset")
#: the same for the background of any element: a set, or one address
BACKGROUND_SET = re.compile(r"data-(?:bg|background)-?(?:src)?set")
BACKGROUND = re.compile(r"data-(?:bg|background)(?:-?(?:image|img|src|url))?")
#: attributes with another version of a picture that is shown, whatever its name
VERSION = re.compile(r"data-[\w-]*src|lowsrc|zoomfile")
#: attributes of any element that hold a picture's address
ANYWHERE = ("background", "poster")
#: what `rel` says of a link to a picture
PICTURE_LINKS = {
    "icon",
    "apple-touch-icon",
    "apple-touch-icon-precomposed",
    "apple-touch-startup-image",
    "mask-icon",
    "fluid-icon",
    "image_src",
}
#: what `property`, `name` or `itemprop` of a meta element say of a picture, and `itemprop` of a link
PICTURE_META = re.compile(
    r"og:image(?::url|:secure_url)?|og:logo|article:image|twitter:image(?::src|\d)?|thumbnail(?:url)?|image|logo"
    r"|msapplication-\w*(?:image|logo)|sailthru\.image\.(?:full|thumb)|parsely-image-url",
    re.IGNORECASE,
)


def alternatives(tag: str, given: dict[str, str]) -> list[Candidate]:
    """Return the versions of the one picture that the element shows, a srcset's among them; [] if it shows none."""
    if tag not in SHOW:
        return []
    lazy_sets = [value for name, value in given.items() if LAZY_SET.fullmatch(name)]
    lazy = [value for name, value in given.items() if tag != "source" and LAZY.fullmatch(name) and is_path(value)]
    sets = lazy_sets or ([] if lazy else [given.get("srcset", "")])
    singles = lazy or ([] if lazy_sets else [given[name] for name in SHOW[tag] if name in given])
    return [Candidate(single) for single in singles] + [one for each in sets for one in candidates(each)]


def is_path(value: str) -> bool:
    """Say whether a script's attribute holds an address and not, say, a number."""
    return "/" in value or "." in value or "?" in value


def is_rooted(value: str) -> bool:
    """Say whether what may be a colour or a number is without doubt an address."""
    return value.lstrip().startswith(("/", "./", "../", "http://", "https://"))


def attached(tag: str, given: dict[str, str]) -> Iterator[list[Candidate]]:
    """
    Yield the pictures in attributes that many elements may have, each in its versions: backgrounds, posters, styles,
    data-*, and any attribute of an element that isn't HTML's own.
    """
    shows = tag in SHOW and tag != "source"
    for name, value in given.items():
        if name == "style" or (name.startswith("data-") and "url(" in value):
            if "(" in value:
                yield from ([Candidate(reference)] for reference in css.read(value).images)
        elif BACKGROUND_SET.fullmatch(name):
            yield candidates(value)
        elif shows and LAZY.fullmatch(name):  # one of the alternatives
            continue
        elif name in ANYWHERE or ((name.startswith("data-") or "-" in tag) and has_picture_name(value)):
            yield [Candidate(value)]
        elif (BACKGROUND.fullmatch(name) or (shows and VERSION.fullmatch(name))) and is_rooted(value):
            yield [Candidate(value)]
        elif name.startswith("data-") and value.lstrip().startswith(("[", "{")):  # the versions of a shop's article
            yield from ([Candidate(text)] for text in strings(value) if has_picture_name(text))


def embedded(tag: str, given: dict[str, str]) -> Iterator[list[Candidate]]:
    """Yield the pictures, each in its versions, of elements that may hold other things: meta, link, object, embed."""
    if tag == "meta":
        names = (given.get(key, "") for key in ("property", "name", "itemprop"))
        if any(PICTURE_META.fullmatch(name) for name in names):
            yield [Candidate(given.get("content", ""))]
    elif tag == "link":
        rels = set(given.get("rel", "").lower().split())
        said = PICTURE_META.fullmatch(given.get("itemprop", ""))
        if PICTURE_LINKS & rels or said or given.get("as", "").lower() == "image":
            yield [Candidate(given.get("href", "")), *candidates(given.get("imagesrcset", ""))]
    elif tag in ("object", "embed"):
        reference = given.get("data" if tag == "object" else "src", "")
        if given.get("type", "").lower().startswith("image/") or has_picture_name(reference):
            yield [Candidate(reference)]
