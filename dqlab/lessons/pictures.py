"""The lessons' pictures: which results came, who did what when, and curves.

Each is a `Picture`, shown by a notebook as a sharp PNG, with the same in words for who can't see it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "arrivals", "bars", "curves", "knee", "lanes", "tiles"]

#: colours that people who see no red or no green can tell apart (Okabe and Ito)
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#BBBBBB", "#333333"
#: pixels a point of the screen: 2 is what sharp screens have
SHARPNESS = 2
#: points an inch
DPI = 96
#: what JupyterLab shows of a picture that is folded away: nothing of the answer that is in it
FIRST_LINE = "a picture; in words:"


class Picture:
    """A figure, and the same in `words`."""

    def __init__(self, figure: Figure, words: str) -> None:
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=DPI * SHARPNESS)
        width, height = figure.get_size_inches()
        self.png, self.words = data.getvalue(), words
        self.size = {"width": round(width * DPI), "height": round(height * DPI)}

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
        words = f"{FIRST_LINE}\n{self.words}"
        return {"image/png": base64.b64encode(self.png).decode(), "text/plain": words}, {"image/png": self.size}


def figure(width: float, height: float) -> Figure:
    """An empty figure, `width` by `height` inches, that belongs to nobody but its caller."""
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def tiles(expected: Sequence[str], results: Sequence[str]) -> Picture:
    """One box for each name: full when one of `results` begins with it, empty when none does."""
    came = [any(result.split(" ")[0] == name for result in results) for name in expected]
    drawing = figure(0.85 * len(expected), 0.95)
    axes = drawing.add_subplot(xlim=(-0.02, len(expected)), ylim=(-0.02, 1.02))
    axes.set_axis_off()
    for i, (name, is_here) in enumerate(zip(expected, came, strict=True)):
        face, edge, style = (BLUE, BLUE, "-") if is_here else ("white", ORANGE, "--")
        axes.add_patch(_box(i, face, edge, style))
        axes.text(i + 0.46, 0.62, name, ha="center", va="center", color="white" if is_here else ORANGE, fontsize=10)
        word = "here" if is_here else "nowhere"
        axes.text(i + 0.46, 0.32, word, ha="center", va="center", color="white" if is_here else ORANGE, fontsize=9)
    missing = [name for name, is_here in zip(expected, came, strict=True) if not is_here]
    return Picture(drawing, f"{sum(came)} of {len(expected)} are here; missing: {', '.join(missing) or 'none'}")


def _box(x: float, face: str, edge: str, style: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, 0.0), 0.92, 1.0, facecolor=face, edgecolor=edge, linestyle=style, linewidth=1.6)


def curves(
    workers: Sequence[int], measured: dict[str, Sequence[float]], guesses: dict[str, Any], cores: float
) -> Picture:
    """Speedup over the number of workers: what was measured (lines) and what was guessed (dashes), by kind of work."""
    drawing = figure(7.6, 4.2)
    axes = drawing.add_subplot(xlabel="workers", ylabel="speedup (times as fast as one worker)")
    for (kind, speedups), colour, mark in zip(measured.items(), (BLUE, ORANGE), "os", strict=False):
        axes.plot(workers, speedups, color=colour, marker=mark, label=f"{kind}, measured")
        guess = guesses.get(kind)
        if isinstance(guess, list | tuple) and len(guess) == len(workers) and ... not in guess:
            axes.plot(workers, guess, color=colour, linestyle="--", marker=mark, fillstyle="none", label=f"{kind}, you")
    axes.axhline(cores, color=GREY, linewidth=1, linestyle=":")
    axes.text(workers[-1], cores, f"{cores:g} cores" if cores > 1 else "1 core", color=INK, ha="right", va="bottom")
    axes.set_xticks(list(workers))
    axes.set_ylim(0, max(1.1 * max(map(max, measured.values())), 1.2 * cores))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    return Picture(drawing, f"speedup of {', '.join(measured)} with {', '.join(map(str, workers))} workers")


def knee(workers: Sequence[int], throughput: Sequence[float], seconds: float) -> Picture:
    """Tasks a second over the number of workers, and the line on which a master that takes no time would lie."""
    drawing = figure(7.6, 4.2)
    axes = drawing.add_subplot(xlabel="workers", ylabel="tasks/s", xscale="log", yscale="log")
    ideal = [count / seconds for count in workers]
    axes.plot(workers, ideal, color=GREY, linestyle=":", label=f"workers / {seconds:g} s")
    axes.plot(workers, throughput, color=BLUE, marker="o", label="simulated")
    axes.set_xticks(list(workers), [f"{count:,}" for count in workers])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    return Picture(drawing, f"tasks a second of {', '.join(map(str, workers))} workers")


def lanes(
    jobs: Sequence[tuple[str, float, float]], title: str, until: float | None = None,
    waiting: Sequence[tuple[str, float, float]] = (),
) -> Picture:  # fmt: skip
    """Who worked when: `(worker, begin, end)` in seconds, a lane for each worker; `until` ends the axis.

    `waiting` are those who held a worker and did nothing, in another colour.
    """
    both = [*jobs, *waiting]
    names = sorted({worker for worker, _, _ in both}, key=lambda name: (len(name), name))
    start = min(begin for _, begin, _ in both)
    drawing = figure(7.6, 0.7 + 0.32 * len(names))
    axes = drawing.add_subplot(xlabel="seconds since the start", title=title)
    for worker, begin, end in jobs:
        axes.barh(names.index(worker), end - begin, left=begin - start, height=0.7, color=BLUE, edgecolor="white")
    for worker, begin, end in waiting:
        axes.barh(
            names.index(worker), end - begin, left=begin - start, height=0.7, facecolor="white", edgecolor=ORANGE,
            hatch="////",
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, until)
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    free = sorted(max(end for worker, _, end in both if worker == name) - start for name in names)
    words = f"{title}: {len(names)} lanes; the first is free after {free[0]:.1f} s, the last after {free[-1]:.1f} s"
    return Picture(drawing, words)


def bars(events: Iterable[dict[str, Any]]) -> dict[str, list[tuple[str, float, float]]]:
    """What `lanes` draws, from a master's events: `"jobs"` that were done, and those `"waiting"` that were not.

    A task that is still out when the last event came ends there.
    """
    found: dict[str, list[tuple[str, float, float]]] = {"jobs": [], "waiting": []}
    out: dict[Any, tuple[str, float]] = {}
    last = 0.0
    for event in events:
        last, task = event["time"], event.get("task")
        if event["kind"] == "leased":
            out[task] = event["worker"], last
        elif event["kind"] in ("done", "failed", "delayed", "redelivered") and task in out:
            worker, begin = out.pop(task)
            if event["kind"] == "done":
                found["jobs"].append((worker, last - event["seconds"], last))
            else:
                found["waiting"].append((worker, begin, last))
    found["waiting"] += [(worker, begin, last) for worker, begin in out.values()]
    return found


def arrivals(requests: dict[str, Sequence[float]], bears: float, step: float = 0.25) -> Picture:
    """Requests a second over time, in seconds, a line for each way of asking; `bears` is what the site can take."""
    drawing = figure(7.6, 3.4)
    axes = drawing.add_subplot(xlabel="seconds since the first request", ylabel="requests a second", yscale="log")
    for (name, times), colour in zip(requests.items(), (ORANGE, BLUE), strict=False):
        first, last = min(times), max(times)
        counts = [0] * (int((last - first) / step) + 1)
        for when in times:
            counts[int((when - first) / step)] += 1
        rates = [max(count / step, 1) for count in counts]
        axes.step([step * number for number in range(len(rates))], rates, where="post", color=colour, label=name)
    axes.axhline(bears, color=GREY, linewidth=1, linestyle=":")
    words = f"{bears:g} a second is what it bears"
    axes.text(1, bears, words, color=INK, ha="right", va="bottom", transform=axes.get_yaxis_transform())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return Picture(drawing, f"requests a second over time: {', '.join(requests)}")
