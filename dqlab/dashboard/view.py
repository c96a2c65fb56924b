"""`Dashboard`: the picture and its controls, fed by one thread."""

from __future__ import annotations

import threading
import time
import weakref
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from dqlab.client.recording import follow, read
from dqlab.dashboard.controls import Controls
from dqlab.dashboard.demo import Feeder
from dqlab.dashboard.history import History
from dqlab.dashboard.picture import PARTS, Picture
from dqlab.dashboard.still import still
from dqlab.errors import BadInput

__all__ = ["Dashboard"]

#: seconds of a replayed run that are seen at once
REPLAY_WINDOW = 60.0
#: slices of time into which a replayed run is cut, and the shortest slice in seconds
REPLAY_SLICES, SHORTEST_SLICE = 600, 0.1

#: seconds between two looks whether the master is away
WATCH = 0.2
#: lines folded at a stretch: about a millisecond
PORTION = 200

_open: weakref.WeakKeyDictionary[Any, Dashboard] = weakref.WeakKeyDictionary()


class Dashboard(ipywidgets.VBox):
    """What a master and its workers are doing, live, at most five times a second.

    `master` is a `Master` or what `connect` returned, `window` the visible time in seconds, `parts` what is shown
    (of "numbers", "charts", "lanes", "output", "failures"), `controls` whether there are buttons, `demo` whether there
    is a slider that feeds demo tasks.

    JupyterLab runs a button's action only when no cell is running: keep long work in the master and its workers, and
    let cells return at once. The picture itself moves while a cell runs.

    A master has one dashboard in a notebook: a new one ends the older. It also ends with `close`, with the kernel,
    and with the master; then it says so and the last picture stays. A master with a journal may die and come back
    within the client's patience: meanwhile it is "away", then the picture goes on, with a gap.
    """

    controls: Controls | None

    def __init__(
        self,
        master: Any,
        *,
        window: float = 30.0,
        parts: Sequence[str] = PARTS,
        controls: bool = True,
        demo: bool = False,
    ) -> None:
        if not hasattr(master, "events"):
            raise BadInput(f"Dashboard({master!r})", "give it a Master, or what connect(...) returned")
        self._set_up(History(_seconds(window)), parts, window=window)
        self._about = "live"
        if controls:
            self.controls = Controls(master, self.say, demo=demo)
            self.children = [self.controls, self.picture]
        if master in _open:
            _open[master].end("this dashboard continues in a newer one")
        _open[master] = self
        self._thread = threading.Thread(target=self._run, args=(master,), name="dqlab-dashboard", daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch, args=(master,), name="dqlab-dashboard-watch", daemon=True).start()

    @classmethod
    def replay(cls, path: str | Path, *, speed: float = 1.0, parts: Sequence[str] = PARTS) -> Dashboard:
        """Show a recorded run, with a scrubber and a speed and without any master. It begins with the whole run.

        `speed` 2 is twice as fast as it happened. `at` is the instant shown, in seconds since the record's begin.
        """
        if not (isinstance(speed, int | float) and speed > 0):
            raise BadInput(f"speed={speed!r}", "how many times as fast as it happened, above 0")
        events = read(path)
        length = events[-1]["time"] - events[0]["time"]
        history = History(window=None, slice=max(length / REPLAY_SLICES, SHORTEST_SLICE))
        history.feed(events)
        self = cls.__new__(cls)
        at = history.now
        self._set_up(history, parts, window=_seconds(min(max(at, 1.0), REPLAY_WINDOW)), replay=True, at=at, speed=speed)
        self._about = f"replay of {Path(path).name}, {at:.1f} s"
        self.picture.note = f"replay of {Path(path).name}"
        return self

    def _set_up(self, history: History, parts: Sequence[str], **traits: Any) -> None:
        unknown = sorted(set(parts) - set(PARTS))
        if unknown:
            raise BadInput(f"parts={list(parts)!r}: there is no {unknown[0]!r}", f"choose of {', '.join(PARTS)}")
        self.history = history
        self.picture = Picture(history, parts=list(parts), **traits)
        self.controls = None
        self._stop = threading.Event()
        super().__init__([self.picture])
        self.add_class("dqlab-dashboard")

    # ---------------------------------------------------------------- what a reader may ask

    @property
    def state(self) -> str:
        """One word: "empty", "busy", "paused", "waiting" (work but no worker), "finished", "away" or "ended"."""
        return "ended" if self.picture.ended else "away" if self.picture.away else self.history.state

    @property
    def at(self) -> float:
        """The instant shown, in seconds since the beginning; set it to move a replay."""
        return self.picture.at if self.picture.replay else self.history.now

    @at.setter
    def at(self, seconds: float) -> None:
        if not self.picture.replay:
            raise BadInput("a live dashboard shows the present", "record the run, then use Dashboard.replay")
        self.picture.at = min(max(0.0, float(seconds)), self.history.now)

    @property
    def demo(self) -> Feeder | None:
        """The feeder of demo tasks, if the dashboard was made with `demo=True`; its `rate` is tasks/s."""
        return self.controls.demo if self.controls is not None else None

    def say(self, text: str) -> None:
        """Show a short remark beside the state."""
        self.picture.note = text

    def end(self, reason: str, *, lost: bool = False) -> None:
        """Stop following; the last picture stays and says why. `lost` says that nobody wanted it to end."""
        self._stop.set()
        self.picture.lost = self.picture.lost or (lost and not self.picture.ended)
        self.picture.ended = self.picture.ended or reason
        if self.controls is not None:
            self.controls.end()

    def close(self) -> None:
        """Stop following and take the widget away."""
        if hasattr(self, "picture"):  # not if bad input was refused before there was one
            self.end("closed")
            self.picture.close()
        super().close()

    def __repr__(self) -> str:
        return f"<Dashboard: {self._about}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """What a notebook keeps: the widget, and of a replay also a still, for pages that run nothing."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs) or {}
        if self.picture.replay:
            bundle["image/png"] = b64encode(still(self.history)).decode()
        return bundle

    # ---------------------------------------------------------------- its threads

    def _watch(self, master: Any) -> None:
        """Say when the master is away: who follows it waits until it is back."""
        while not self._stop.wait(WATCH):
            self.picture.away = master.away

    def _run(self, master: Any) -> None:
        try:
            for lines in follow(master, self._stop):
                for first in range(0, len(lines), PORTION):
                    self.history.feed(lines[first : first + PORTION])
                    time.sleep(0)  # whoever waits for the interpreter goes first
                self.picture.refresh()
                if self.controls is not None:
                    self.controls.refresh(self.history.queues, self.history.workers)
        except Exception as error:  # whatever ends the following ends the dashboard, and the reader must see it
            if self._stop.is_set():
                return
            if getattr(master, "closed", False):
                self.end("the master was shut down: this is the whole run")
            else:
                self.end(
                    f"the master is gone: this is the last that was seen of it ({type(error).__name__})", lost=True
                )
        finally:
            self.picture.refresh_all()  # nothing follows: a page that is opened later must find it


def _seconds(window: float) -> float:
    if not 1.0 <= window <= 3600.0:
        raise BadInput(f"window={window!r}", "seconds, from 1 to 3600")
    return float(window)
