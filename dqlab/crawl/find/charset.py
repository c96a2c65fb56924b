"""The text of a document: the charset that holds, as browsers decide it (WHATWG Encoding)."""

from __future__ import annotations

import codecs
import re

__all__ = ["read", "text_of"]

#: what a document begins with that says its charset by itself
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
#: bytes at the beginning in which a page may name its charset
BEGINNING = 4096
DECLARED = re.compile(rb"<(?:meta|\?xml)[^>]{1,500}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
#: names of charsets that browsers know and Python doesn't
LABELS = {
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
    "x-x-big5": "big5hkscs",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "windows-949": "cp949",
    "iso-8859-8-i": "iso8859-8",
    "x-mac-roman": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "unicode-1-1-utf-8": "utf-8",
    "x-unicode20utf8": "utf-8",
} | {f"x-cp{number}": f"cp{number}" for number in range(1250, 1259)}
#: charsets that are read as a larger one, as everybody means it
MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
#: codecs that are no charset of a page, though Python knows them
UNFIT = {"utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape"}


def text_of(body: bytes, charset: str | None = None) -> str:
    """Return the text of `body`; `charset` is what the server said. What can't be read is replaced."""
    return read(body, charset)[0]


def read(body: bytes, charset: str | None = None) -> tuple[str, str]:
    """Return the text of `body`, and the charset in which addresses in it are meant: UTF-8 for all of Unicode's."""
    for mark, name in MARKS.items():
        if body.startswith(mark):
            return body.decode(name, "replace"), "utf-8"
    declared = DECLARED.search(COMMENT.sub(b"", body[:BEGINNING]))
    within = declared[1].decode() if declared else None
    if within and within.lower().startswith("utf-16"):  # it isn't, as the name could be read
        within = "utf-8"
    for named in (charset, within):
        if named and (found := decoded(body, named)) is not None:
            return found
    try:
        return body.decode(), "utf-8"
    except ValueError:
        return body.decode("cp1252", "replace"), "cp1252"


def decoded(body: bytes, charset: str) -> tuple[str, str] | None:
    """Return what `read` does of a `body` in `charset`; None if there is no such charset."""
    try:
        name = codecs.lookup(LABELS.get(charset.lower(), charset)).name
        if name in UNFIT:
            return None
        name = MEANT.get(name, name)
        return body.decode(name, "replace"), "utf-8" if name.startswith("utf") else name
    except (LookupError, ValueError):
        return None
