"""See it live: what a master and its workers are doing, in a notebook.

    record.follow ──> history ──> picture (dashboard.js, dashboard.css) ┐
                                  controls ─────────────────────────────┴─> view: Dashboard

``history`` folds the event log, ``picture`` draws it, ``controls`` are the buttons, ``view`` puts them together.
``still`` draws a replay once, for pages that run nothing; ``perfetto`` writes a record for another viewer, ``page``
serves the whole as a web page. Widgets are loaded on demand.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Dashboard", "add_arguments", "run", "trace"]

_HOMES = {"Dashboard": "view", "trace": "perfetto", "add_arguments": "page", "run": "page"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as missing:
        if missing.name not in ("anywidget", "ipywidgets", "traitlets", "PIL"):
            raise
        raise ImportError(f"the dashboard needs {missing.name}: pip install 'dqlab[lab]'") from missing
