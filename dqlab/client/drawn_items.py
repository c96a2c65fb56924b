"""The items that `map` has drawn and not sent yet: few enough at a time to be bounded in bytes, whatever they are."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from inspect import CO_GENERATOR
from itertools import chain, islice
from sys import getsizeof
from traceback import walk_tb
from typing import Any

from dqlab.client.code_pickler import CodePickler
from dqlab.client.pickling import dump_values
from dqlab.wire.envelope import PYTHON
from dqlab.wire.messages import ATOMS
from dqlab.wire.value_pickler import Dumper

__all__ = ["DrawnItems"]

#: items that are drawn at most before anybody looks how large they are: first one, then as many as were small
TOGETHER = 128
#: bytes after which no more are drawn for one run
MOST_BYTES = 1 << 20


class DrawnItems:
    """Items for one run. Atoms travel as one pickle; as soon as there is another kind of value, each has its own, so
    that a task gets its item as it was, whatever became of an equal one, and of itself in an earlier attempt."""

    def __init__(self, star: bool, broken: BaseException | None = None) -> None:
        self.broken = broken  #: what the source has raised: no more is to be drawn from it
        self.items: list[Any] = []
        self.bytes = 0  #: their size, about
        self._star = star
        self._measured = 0  #: items whose size is in `bytes`
        self._pickles: list[bytes] | None = None  #: of the first items, if each has its own
        self._dumper = Dumper(CodePickler)
        self._python = ""

    def draw(self, source: Iterator[Any], n: int) -> None:
        """Draw until there are `n` items, or enough bytes, or no more; it may be called again after an exception,
        which may come at any instant."""
        self._measure()
        while len(self.items) < n and self.bytes < MOST_BYTES:
            had = len(self.items)
            more = 1 if self._pickles is not None else max(1, min(had, TOGETHER, n - had))
            try:
                self.items.extend(islice(source, more))
            except BaseException as exc:
                # A generator that something was raised in is at its end: not to be taken for a good end later on.
                if any(frame.f_code.co_flags & CO_GENERATOR for frame, _ in walk_tb(exc.__traceback__)):
                    self.broken = exc
                raise
            if len(self.items) == had:
                break
            self._measure()
        if not self.items and self.broken is not None:
            raise self.broken

    def _measure(self) -> None:
        new = self.items[self._measured :]
        if self._pickles is None:
            parts = list(chain.from_iterable(new)) if self._star else new
            types = set(map(type, parts))
            if types <= ATOMS:
                size = sum(map(len if types == {str} else getsizeof, parts))
                self.bytes, self._measured = self.bytes + size, len(self.items)
                return
            self._pickles = []
        while len(self._pickles) < len(self.items):
            self._pickles.append(self._dump(self.items[len(self._pickles)]))
            self.bytes += len(self._pickles[-1])
        self._measured = len(self.items)

    def _dump(self, item: Any) -> bytes:
        try:
            return self._dumper.dump(item)
        except Exception:
            data, python = dump_values(item)
            self._python = python or self._python
            return data

    def pack(self) -> tuple[str, bytes, str]:
        """`(kind, payload, python)` of the run, see `messages.KINDS`."""
        if self._pickles is None:
            return ("star" if self._star else "map"), pickle.dumps(self.items, 5), ""
        python = PYTHON if self._dumper.by_value else self._python
        return ("stars" if self._star else "maps"), pickle.dumps(self._pickles, 5), python
