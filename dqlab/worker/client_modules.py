"""The modules beside a client's notebook, as the process of its tasks imports them: of one client, and as they are now.

What has been imported can't be forgotten, so a task of another client, or one after a module's file has changed, is
for a fresh process.
"""

from __future__ import annotations

import importlib
import os
import sys

from dqlab.wire import process_settings
from dqlab.wire.envelope import Envelope
from dqlab.wire.local_code import StandIn, hide_all, imported_behind, is_local

__all__ = ["ClientModules"]


class ClientModules:
    """Made once this process has loaded all that is its own; from then on, whose modules it holds."""

    def __init__(self) -> None:
        self._own_path, self._own_modules = list(sys.path), set(sys.modules)
        self._client: str | None = None
        self._path: tuple[str, ...] = ()
        self._settings = process_settings.settings()
        self._files: dict[str, tuple[int, int] | None] = {}  #: of the client's modules, as they were when first seen
        self._seen = len(sys.modules), len(imported_behind)

    def suits(self, envelope: Envelope) -> bool:
        """Whether a function may run here; else it is for a fresh process."""
        self._look()
        if not self._files:
            return True
        return envelope.client == self._client and all(_version(file) == v for file, v in self._files.items())

    def adopt(self, envelope: Envelope) -> None:
        """Look for modules where the function's client does, and only then where this process does, with the client's
        `sys.argv` and what its program has set for its whole process."""
        if envelope.client != self._client:
            hide_all()
        self._client = envelope.client
        sys.argv[:] = envelope.argv
        if envelope.settings is not None and envelope.settings != self._settings:
            process_settings.adopt(envelope.settings, self._settings)
            self._settings = envelope.settings
        if envelope.path != self._path:
            self._path = envelope.path
            sys.path[:] = [*envelope.path, *(entry for entry in self._own_path if entry not in envelope.path)]
            importlib.invalidate_caches()

    def _look(self) -> None:
        """Notice what has been imported since."""
        if self._seen == (len(sys.modules), len(imported_behind)):
            return
        self._seen = len(sys.modules), len(imported_behind)
        for name, module in {**sys.modules, **imported_behind}.items():
            if isinstance(module, StandIn):
                continue
            file = getattr(module, "__file__", None)
            if name not in self._own_modules and isinstance(file, str) and is_local(name, file):
                self._files.setdefault(file, _version(file))


def _version(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
