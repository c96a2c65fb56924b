"""Pictures in style sheets: `url(...)`, `image-set(...)`, and the sheets that `@import` names.

A tokenizer of what matters here (CSS Syntax Level 3): comments, strings, url tokens with their escapes. What stands in
`@font-face` and `@namespace` is no picture.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Sheet", "read"]

#: one token of interest; the search passes over everything else. Nothing in it goes back, so that no text takes long
TOKEN = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|\Z))
    |(?<![\w-])url\(\s*+(?:"(?P<double>(?:[^"\\\n]|\\.)*+)"|'(?P<single>(?:[^'\\\n]|\\.)*+)'
        |(?P<bare>(?:[^\s"'()\\]|\\(?:[0-9a-f]{1,6}+\s?|.))*+))\s*+\)
    |(?P<string>"(?P<two>(?:[^"\\\n]|\\.|\\\Z)*+)(?:"|\Z|(?=\n))|'(?P<one>(?:[^'\\\n]|\\.|\\\Z)*+)(?:'|\Z|(?=\n)))
    |(?<![\w-])(?P<function>[\w-]*+)\(
    |@(?P<rule>[\w-]++)
    |(?P<mark>[){};])""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
#: a character by its number, or any one that has lost its meaning
ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|\n|(.))", re.DOTALL)
#: functions in which a bare string is an address
OF_STRINGS = {"image-set", "-webkit-image-set", "image", "cross-fade"}
#: rules whose addresses are fonts, names, pages
NO_PICTURES = {"font-face", "namespace", "document", "-moz-document"}


class Sheet(NamedTuple):
    """References of a style sheet as they are written: pictures, and further sheets."""

    images: list[str]
    imports: list[str]


def read(text: str) -> Sheet:
    """Return what the style sheet, or `style` attribute, `text` refers to."""
    sheet = Sheet([], [])
    rule, functions = "", list[str]()  # the at-rule that a token stands in, and the functions that are open
    for token in TOKEN.finditer(text):
        kind, value = token.lastgroup, token[0]
        if kind == "rule":
            rule = token["rule"].lower()
        elif kind == "function":
            functions.append(token["function"].lower())
        elif value == ")":
            del functions[-1:]
        elif kind == "mark":
            functions.clear()
            if value != "{" or rule not in NO_PICTURES:
                rule = ""
        elif kind == "string":
            written = token["two"] or token["one"] or ""
            if rule == "import" and not functions:
                note(sheet.imports, written)
            elif functions and functions[-1] in OF_STRINGS:
                note(sheet.images, written)
        elif kind != "comment" and rule not in NO_PICTURES:
            target = sheet.imports if rule == "import" else sheet.images
            note(target, token["double"] or token["single"] or token["bare"] or "")
    return sheet


def note(references: list[str], written: str) -> None:
    """Note a reference without its escapes, unless it is empty or means a part of the document itself."""
    reference = ESCAPE.sub(unescaped, written).strip()
    if reference and not reference.startswith("#"):
        references.append(reference)


def unescaped(escape: re.Match[str]) -> str:
    """Return the character that an escape stands for."""
    if not escape[1]:
        return escape[2] or ""
    number = int(escape[1], 16)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
