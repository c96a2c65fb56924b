"""Lists of addresses: text, CSV, TSV or JSON lines, one address a line, read as it is needed and never held.

What a line's address leads to, a picture or a page, shows when it is fetched.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from dqlab.crawl.addresses import absolute
from dqlab.errors import BadInput

__all__ = ["STANDARD_INPUT", "addresses", "open_list"]

#: the name that stands for standard input
STANDARD_INPUT = "-"
#: columns that are taken for the addresses when none is named, in this order
COLUMNS = ("url", "image_url", "image", "src", "href", "link", "address")
#: characters of a line; a longer one is no address
LONGEST = 1_000_000
#: what may stand between the columns of a table: that which its first line has most of
SEPARATORS = (",", "\t", ";")
#: what may stand around an address in a text
AROUND = "\"'<>"
#: what the endings of files say
TABLES = (".csv", ".tsv", ".tab")
JSON_LINES = (".jsonl", ".ndjson", ".json")


def open_list(source: str) -> Any:
    """Open the list `source` (a path, perhaps ending in .gz, or "-") as text; a context manager. Raises BadInput."""
    if source == STANDARD_INPUT:
        return nullcontext(sys.stdin)
    try:
        if source.endswith(".gz"):
            return gzip.open(source, "rt", encoding="utf-8-sig", errors="replace", newline="")
        with open(source, "rb") as file:
            wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as Windows' shell and Excel write
        return open(source, encoding="utf-16" if wide else "utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise BadInput(f"{source} can't be read: {error.strerror or error}", "--from takes a file, or - ") from error


def addresses(lines: IO[str], source: str, column: str | None, skipped: Callable[[str], None]) -> Iterator[str]:
    """
    Yield the addresses in `lines` of the list `source`, whose ending says what it is.

    `column` names the one that holds them in CSV, TSV and JSON lines. `skipped` is told each value that is no address,
    or one with a name and password, which no list sends.
    Raises BadInput if there is no such column.
    """
    suffix = Path(source.removesuffix(".gz")).suffix.lower()
    whole = (line for line in bounded(lines))
    first = next(whole, "").removeprefix("\ufeff")
    rest = itertools.chain([first], whole)
    if suffix in JSON_LINES and first.startswith("["):
        raise BadInput("the list is one JSON array", "--from takes JSON lines: jq -c '.[]' makes them")
    if suffix in JSON_LINES or first.lstrip().startswith("{"):
        values = of_json(rest, column)
    elif suffix in TABLES or column:
        values = of_table(rest, max(SEPARATORS, key=first.count), column)
    else:
        values = (line.strip().strip(AROUND) for line in rest)
    for value in values:
        if not value or value.startswith("#"):
            continue
        if (address := absolute(value, "")) and not urlsplit(value).username:
            yield address
        else:
            skipped(value)


def bounded(lines: IO[str]) -> Iterator[str]:
    """Yield the lines, none longer than LONGEST: what comes on without a line's end must not fill the memory."""
    while line := lines.readline(LONGEST):
        yield line


def of_json(lines: Iterable[str], column: str | None) -> Iterator[str]:
    """Yield the addresses of JSON lines: objects with a `column`, or strings."""
    wanted = [column.lower()] if column else COLUMNS
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            yield line.strip()  # no address, to be told of
            continue
        if isinstance(value, dict):
            value = {name.lower(): address for name, address in value.items()}
            value = next((value[name] for name in wanted if name in value), None)
        yield value.strip() if isinstance(value, str) else line.strip()


def of_table(lines: Iterable[str], separator: str, column: str | None) -> Iterator[str]:
    """Yield the addresses of a table with a head; one without has them in its first column that holds one."""
    rows = rows_of(csv.reader(lines, delimiter=separator))
    head = [name.strip() for name in next(rows, [])]
    where = {name.lower(): place for place, name in reversed(list(enumerate(head)))}
    wanted = [column.lower()] if column else list(COLUMNS)
    place = next((where[name] for name in wanted if name in where), None)
    if place is None:
        place = next((place for place, value in enumerate(head) if absolute(value, "")), None)
        if column or place is None:
            hint = f"--column takes one of: {', '.join(head)[:200]}"
            raise BadInput(f"the list has no column {column or COLUMNS[0]!r}", hint)
        yield head[place]
    for row in rows:
        if row:
            yield row[place].strip() if len(row) > place else "(a short line)"


def rows_of(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the rows; one that is none (a field like a book) as one with a field that is no address."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield [str(error)]
