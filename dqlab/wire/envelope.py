"""A function on its way: what any process can read of it, around the pickles that only its tasks' process loads."""

from __future__ import annotations

import pickle
import sys
from typing import Any, NamedTuple

from dqlab.wire.plain_data import load_plain

__all__ = ["PYTHON", "Envelope"]

#: the version of this Python, to which pickles are bound that hold code by value
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Envelope(NamedTuple):
    """A pickled callable, and where its client would look for what it imports."""

    client: str  #: by which the modules of one client are told from those of another
    path: tuple[str, ...]  #: folders of modules beside the notebook
    argv: tuple[str, ...]  #: what its program was started with
    shared: bytes  #: a pickled list of what all copies of the callable share: functions, classes, modules; b"" if none
    pickled: bytes  #: the callable, with `local_code.Namespace` for that list
    stateful: bool  #: whether each task needs a copy of its own
    settings: dict[str, Any] | None = None  #: what its program has set for its whole process; None: nobody's

    def dump(self) -> bytes:
        """The envelope as bytes."""
        return pickle.dumps(tuple(self), 5)

    @classmethod
    def load(cls, data: bytes) -> Envelope:
        """The envelope that was dumped; raises where `data` is none, and runs nothing."""
        return cls(*load_plain(data))
