"""What a task returned or raised, as it travels: as it was when the task ended, whatever later tasks do to it."""

from __future__ import annotations

import os
import pickle
import traceback
from typing import Any

from dqlab.wire.messages import CALLS, Failure
from dqlab.wire.plain_data import dump_plain, load_plain
from dqlab.wire.value_pickler import Dumper

__all__ = ["Pickled", "ResultPickler"]

#: characters of a traceback, and of a summary, that travel
TEXT_CHARS = 12_000
#: where the code lies that calls a task
_OURS = os.path.dirname(__file__)


class Pickled(bytes):
    """The pickle of one result, which could have changed by the time that others join it."""


class ResultPickler:
    """Pickles the results of one task after another, and packs them.

    `plain`: whether only plain data may travel, since the client trusts no worker; all else fails its task then.
    """

    def __init__(self) -> None:
        self._dumper = Dumper()
        self._frozen = False  #: whether any result so far was no atom
        self.plain = False

    def dump(self, value: Any) -> bytes:
        """One result as it is now."""
        return dump_plain(value) if self.plain else self._dumper.dump(value)

    def freeze(self, value: Any, kind: str) -> Any:
        """A result that is no atom, as it is now, for `pack`."""
        if kind == "plain":
            return load_plain(dump_plain(value))
        if kind in CALLS:
            return value
        self._frozen = True
        return Pickled(self.dump(value))

    def pack(self, results: list[Any], kind: str) -> bytes:
        """The results of several tasks of one run: a pickled list of atoms, or a pickled tuple of pickles."""
        if kind == "plain":
            return dump_plain(results)
        if kind in CALLS:
            return results[0] if len(results) == 1 else pickle.dumps(results, 5)
        if self._frozen and Pickled in set(map(type, results)):
            return pickle.dumps(tuple(bytes(r) if type(r) is Pickled else pickle.dumps(r, 5) for r in results), 5)
        return pickle.dumps(results, 5)

    def describe(self, exc: BaseException) -> Failure:
        """An exception as it travels: pickled, its traceback as text (without our own frames), one line."""
        tb = exc.__traceback__
        while tb is not None and os.path.dirname(tb.tb_frame.f_code.co_filename) == _OURS:
            tb = tb.tb_next
        text = "".join(traceback.format_exception(type(exc), exc, tb))
        if tb is None:  # raised by a builtin function that was called for the task
            text = f"Traceback (most recent call last):\n{text}"
        summary = "".join(traceback.format_exception_only(type(exc), exc)).strip().splitlines()[-1]
        data, why = self._dump_exception(exc.with_traceback(None))
        if data is None:
            summary += f" (`except {type(exc).__name__}` can't catch it, as its pickle can't be made or read: {why})"
        return Failure(kind="error", exception=data, traceback=_cut(text), summary=_cut(summary))

    def _dump_exception(self, exc: BaseException) -> tuple[bytes | None, str]:
        """The pickle of an exception, if it can be loaded again; else why not."""
        why = ""
        for form in (exc, _WithoutInit(exc)):
            try:
                data = self._dumper.dump(form)
                if type(pickle.loads(data)) is type(exc):
                    return data, ""
            except BaseException as broken:
                why = why or f"{type(broken).__name__}: {broken}"
        return None, why


def _cut(text: str) -> str:
    """A text that a message takes: what is too long lacks its middle, what is no Unicode is replaced."""
    if len(text) > TEXT_CHARS:
        text = f"{text[: TEXT_CHARS // 2]}\n...\n{text[-TEXT_CHARS // 2 :]}"
    return text.encode("utf8", "replace").decode("utf8")


class _WithoutInit:
    """An exception that is put together from its arguments and attributes: its class can't be called with these."""

    def __init__(self, exc: BaseException) -> None:
        self.exc = exc

    def __reduce__(self) -> Any:
        cls, args = type(self.exc), self.exc.args
        return cls.__new__, (cls, *args), {**vars(self.exc), "args": args}
