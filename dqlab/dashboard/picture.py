"""The picture: one widget whose drawing is `dashboard.js`, and which is told only what changed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anywidget
import traitlets

__all__ = ["PARTS", "Picture"]

#: what a picture may show, from top to bottom
PARTS = ("numbers", "charts", "lanes", "output", "failures")
#: seconds between two key frames, so that a view which opens late, or in a second browser, catches up
KEY_PERIOD = 5.0
#: seconds of a picture's life in which each frame is a key frame: its views are still loading
SETTLING = 3.0

_HERE = Path(__file__).parent


class Picture(anywidget.AnyWidget):
    """Draws a `History`. Key frames travel as a trait, differences between them as messages."""

    _esm = (_HERE / "dashboard.js").read_text(encoding="utf-8")
    _css = (_HERE / "dashboard.css").read_text(encoding="utf-8")

    picture = traitlets.Dict().tag(sync=True)
    parts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    window = traitlets.Float(30.0).tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    ended = traitlets.Unicode().tag(sync=True)
    lost = traitlets.Bool(False).tag(sync=True)
    away = traitlets.Bool(False).tag(sync=True)
    replay = traitlets.Bool(False).tag(sync=True)
    at = traitlets.Float(0.0).tag(sync=True)
    speed = traitlets.Float(1.0).tag(sync=True)

    def __init__(self, history: Any, **traits: Any) -> None:
        super().__init__(picture=history.frame(), **traits)
        self._history = history
        self._told = history.version
        self._born = self._key_sent = time.monotonic()

    def refresh(self) -> None:
        """Tell the views what is new in the history."""
        now = time.monotonic()
        if now - self._key_sent > KEY_PERIOD or now - self._born < SETTLING:
            self.refresh_all()
        else:
            self.send(self._history.frame(self._told))
            self._told = self._history.version

    def refresh_all(self) -> None:
        """Tell the views everything, also those that open later."""
        self.picture, self._key_sent = self._history.frame(), time.monotonic()
        self._told = self._history.version

    def __repr__(self) -> str:
        return "<Picture>"
