"""The learner's broker, one life after the other: called, cut short just after a write, made again from its records.

No life knows another's variables: what the class, or a global that it uses, held at first is put back each time.
"""

from __future__ import annotations

import copy
import pickle
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dqlab.wire.local_code import names_in
from dqlab.workbench.referee import Broken
from dqlab.workbench.watch import Endless, Watch

__all__ = ["Lives"]

#: frames of files in here are the workbench's, not the learner's
OURS = str(Path(__file__).parent)


class Died(BaseException):
    """The master was killed inside a call; only what was written is left."""


class Lives:
    """The broker of class `kind`; `watch` ends calls that don't end. `number` of lives so far, `records` written."""

    def __init__(self, kind: type, watch: Watch) -> None:
        self._kind, self._watch = kind, watch
        self._first = [(owner, name, _copied(value)) for owner, name, value in _shared(kind)]
        self.begin()

    def begin(self) -> None:
        """From the beginning: no broker yet, and no records."""
        self.number = 0
        self.records: list[bytes] = []
        self._writes_left = 0  #: until it dies; 0: it doesn't
        self._dead = False
        self._broker: Any = None

    def start(self) -> None:
        """Make a broker from all records."""
        for owner, name, value in self._first:
            _set(owner, name, _copied(value))
        self.number += 1
        self._dead, self._writes_left = False, 0
        journal = [pickle.loads(record) for record in self.records]

        def make() -> Any:
            kind = type(self._kind.__name__, (self._kind,), {"write": lambda _, record: self._write(record)})
            return kind(journal=journal) if journal or self.number > 1 else kind()

        self._broker = self._do("MyBroker(journal=...)" if self.number > 1 else "MyBroker()", make)

    def die_after(self, writes: int) -> None:
        """Let the broker die just after so many more writes."""
        self._writes_left = writes

    @property
    def dead(self) -> bool:
        """Whether the last call was its end."""
        return self._dead

    def knows(self, method: str) -> bool:
        """Whether the class has such a method."""
        return hasattr(self._kind, method)

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of the broker; raises `Broken` if it raises, or doesn't end."""
        said = f"{method}({', '.join(map(repr, args))})"
        return self._do(said, lambda: getattr(self._broker, method)(*args))

    def seen(self, attribute: str) -> Any:
        """A copy of one of its lists."""
        return self._do(f"reading {attribute}", lambda: copy.copy(getattr(self._broker, attribute)))

    def _write(self, record: Any) -> None:
        if self._dead:
            raise Died
        self.records.append(pickle.dumps(record))
        if self._writes_left:
            self._writes_left -= 1
            if not self._writes_left:
                self._dead = True
                raise Died

    def _do(self, said: str, action: Any) -> Any:
        try:
            with self._watch:
                return action()
        except Died:
            return None
        except Endless as endless:
            if not self._dead:
                raise Broken("", f"{said} {endless}.", _of_the_learner(endless)) from None
        except BaseException as error:  # sys.exit() too is an end that a broker should not take
            if not self._dead:
                line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
                raise Broken("", f"{said} raised {line}", _of_the_learner(error)) from None
        return None


def _shared(kind: type) -> Iterator[tuple[Any, str, Any]]:
    """What would outlive a life: values that belong to the class, or are globals that its methods name."""
    for owner in kind.__mro__[:-1]:
        for name, value in list(vars(owner).items()):
            if isinstance(value, types.FunctionType):
                found = value.__globals__
                for used in names_in(value.__code__) & found.keys():
                    if _holds(found[used]):
                        yield found, used, found[used]
            elif _holds(value) and not name.startswith("__"):
                yield owner, name, value


def _holds(value: Any) -> bool:
    return isinstance(value, list | dict | set | bytearray) or type(value).__module__ in ("collections", "queue")


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        return value  # a queue has locks, and can't be copied


def _set(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)


def _of_the_learner(error: BaseException) -> str:
    """The traceback without the workbench's own frames."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(OURS):
        frames = frames.tb_next
    last = [line for line in traceback.format_exception(type(error), error, frames) if f'File "{OURS}' not in line]
    return "".join(last).rstrip()
