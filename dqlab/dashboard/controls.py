"""The buttons below the picture: they act on the master and its launchers, each in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets

from dqlab.dashboard.demo import Feeder

__all__ = ["Controls"]

#: the choices that stand for no particular worker or queue
ANY, ALL = "any worker", "all queues"
#: seconds by which its launcher may hear later than the master that a worker has joined, and between two looks
NEWS, LOOK = 1.0, 0.02

_ROW = {"flex_flow": "row wrap", "align_items": "center", "margin": "2px 0 0 0"}


class Controls(ipywidgets.VBox):
    """Buttons for workers and queues, and sliders for demo tasks if `demo`. `say` shows what came of an action."""

    def __init__(self, master: Any, say: Callable[[str], None], demo: bool = False) -> None:
        self._master, self._say = master, say
        self.worker: Any = _menu("Worker", ANY, "Which worker")
        self.queue: Any = _menu("Queue", ALL, "Which queue")
        gap = ipywidgets.HTML("", layout={"width": "18px"})
        actions = (
            ("Add worker", "plus", "Start one more worker", self._add),
            ("Stop worker", "stop", "Ask it to end after the task in hand", self._stop),
            ("Kill worker", "times", "SIGKILL: it ends at once, in mid-task", self._kill),
            ("Pause", "pause", "Hand out no more tasks of this queue", self._pause),
            ("Resume", "play", "Hand out tasks of this queue again", self._resume),
            ("Requeue failed", "repeat", "Make failed tasks of this queue ready again", self._requeue),
        )
        self.buttons = {text: _button(text, icon, tooltip, self._act(act)) for text, icon, tooltip, act in actions}
        names = list(self.buttons)
        row = [self.worker, *(self.buttons[name] for name in names[:3])]
        row += [gap, self.queue, *(self.buttons[name] for name in names[3:])]
        rows: list[ipywidgets.Widget] = [ipywidgets.HBox(row, layout=_ROW)]
        self.demo = Feeder(master) if demo else None
        self.sliders = _sliders(self.demo) if self.demo else {}
        if self.sliders:
            rows.append(ipywidgets.HBox(list(self.sliders.values()), layout=_ROW))
        super().__init__(rows)

    def refresh(self, queues: dict[str, dict[str, Any]], workers: list[str]) -> None:
        """Offer the workers and queues that there are, and the buttons that make sense; touch only what changed."""
        _offer(self.worker, [ANY, *workers])
        _offer(self.queue, [ALL, *queues])
        paused = [queue["paused"] for queue in queues.values()]
        _enable(self.buttons["Stop worker"], bool(workers))
        _enable(self.buttons["Kill worker"], bool(workers))
        _enable(self.buttons["Pause"], not paused or not all(paused))
        _enable(self.buttons["Resume"], any(paused))
        _enable(self.buttons["Requeue failed"], any(queue["failed"] for queue in queues.values()))
        for name, slider in self.sliders.items():  # a cell may have set the feeder's rate
            if slider.value != getattr(self.demo, name):
                slider.value = getattr(self.demo, name)

    def end(self) -> None:
        """Nothing can be done any more: feed nothing, and grey the buttons out."""
        if self.demo is not None:
            self.demo.stop()
        for widget in (*self.buttons.values(), *self.sliders.values(), self.worker, self.queue):
            widget.disabled = True

    # ---------------------------------------------------------------- what the buttons do

    def _add(self) -> str:
        launcher = self._launcher_of(self.worker.value) or next(iter(reversed(self._master.launchers)), None)
        if launcher is None:
            from dqlab.launch.local_workers import LocalWorkers

            LocalWorkers(self._master, 1)
        else:
            launcher.add(1)
        return "one worker more was asked for"

    def _stop(self) -> str:
        name = self._chosen()
        self._master.stop_worker(name)
        return f"{name} stops after the task in hand"

    def _kill(self) -> str:
        name = self._chosen(at_work=True)
        deadline = time.monotonic() + NEWS
        while (launcher := self._launcher_of(name)) is None and time.monotonic() < deadline:
            time.sleep(LOOK)
        if launcher is None:
            return f"{name} was not started here: only its own launcher can kill it"
        launcher.kill(name)
        return f"{name} was killed (SIGKILL)"

    def _pause(self) -> str:
        for queue in self._queues():
            self._master.pause(queue)
        return f"paused: {self.queue.value}"

    def _resume(self) -> str:
        for queue in self._queues():
            self._master.resume(queue)
        return f"resumed: {self.queue.value}"

    def _requeue(self) -> str:
        n = self._master.requeue(None if self.queue.value == ALL else self.queue.value)
        return f"{n} failed task{'' if n == 1 else 's'} made ready again"

    # ---------------------------------------------------------------- small parts

    def _act(self, action: Callable[[], str]) -> Callable[[Any], None]:
        """A click's handler: do it in a thread, so that neither a slow ssh nor a busy kernel holds the others up."""

        def run() -> None:
            try:
                self._say(action())
            except Exception as error:  # a click has no caller; the reader must see why nothing happened
                self._say(f"{type(error).__name__}: {error}")

        return lambda _: threading.Thread(target=run, name="dqlab-click", daemon=True).start()

    def _chosen(self, at_work: bool = False) -> str:
        """The chosen worker; if any will do the newest of those started here, `at_work` if one of them is."""
        if self.worker.value != ANY:
            return self.worker.value
        workers = self._master.stats()["workers"]  # what the menu offers may be older than the click
        alive = [worker["name"] for worker in workers]
        if not alive:
            raise LookupError("there is no worker")
        mine = [name for name in alive if self._launcher_of(name)] or alive
        busy = [worker["name"] for worker in workers if worker["running"] is not None] if at_work else []
        return next((name for name in reversed(mine) if name in busy), mine[-1])

    def _launcher_of(self, name: str) -> Any:
        return next((launcher for launcher in self._master.launchers if name in launcher.names), None)

    def _queues(self) -> list[str]:
        """The chosen queue, or all that the master has: what the menu offers may be older than the click."""
        return list(self._master.stats()["queues"]) if self.queue.value == ALL else [self.queue.value]


def _sliders(feeder: Feeder) -> dict[str, Any]:
    """A slider for each thing that can be changed of a feeder, by the thing's name."""
    # Continuous sliders send back what a cell has set, late, when the kernel has moved on.
    wide: dict[str, Any] = {"continuous_update": False, "style": {"description_width": "initial"}}
    wide["layout"] = {"width": "46%", "min_width": "360px"}
    rate = ipywidgets.FloatSlider(
        value=feeder.rate, max=60.0, step=1.0, description="Demo tasks per second", readout_format=".0f", **wide
    )
    seconds = ipywidgets.FloatSlider(
        value=feeder.seconds, min=0.02, max=2.0, step=0.01, description="seconds per task", **wide
    )
    rate.observe(lambda change: setattr(feeder, "rate", change["new"]), "value")
    seconds.observe(lambda change: setattr(feeder, "seconds", change["new"]), "value")
    return {"rate": rate, "seconds": seconds}


def _menu(name: str, choice: str, tooltip: str) -> ipywidgets.Dropdown:
    style, layout = {"description_width": "initial"}, {"width": "175px"}
    return ipywidgets.Dropdown(description=name, options=[choice], tooltip=tooltip, style=style, layout=layout)


def _button(text: str, icon: str, tooltip: str, click: Callable[[Any], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip, layout={"width": "auto"})
    button.on_click(click)
    return button


def _offer(menu: ipywidgets.Dropdown, options: list[str]) -> None:
    if list(menu.options) != options:
        chosen = menu.value
        with menu.hold_sync():
            menu.options = options
            menu.value = chosen if chosen in options else options[0]


def _enable(widget: Any, enabled: bool) -> None:
    if widget.disabled == enabled:
        widget.disabled = not enabled
