"""What lesson 04 needs: who worked when, machine by machine, and the checker of its exercise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as NoResult
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dqlab.lessons.check import NotYet, checker
from dqlab.lessons.pictures import BLUE, GREY, INK, ORANGE, Picture, figure

__all__ = ["average_there", "lanes"]

#: seconds that an answer may take
PATIENCE = 20.0


def lanes(events: Sequence[dict[str, Any]], machines: Mapping[str, str], **marks: float) -> Picture:
    """
    One lane for each machine, a bar for each task that it did, over the seconds since the first task was submitted.

    `machines` maps a host's name, as events have it, to what the lane is to be called. `marks` are instants (seconds
    since the epoch) by name, drawn as lines.
    """
    host = {event["worker"]: event["host"] for event in events if event["kind"] == "worker_joined"}
    start = min(event["time"] for event in events if event["kind"] == "submitted")
    names = list(machines.values())
    drawing = figure(9, 0.7 + 0.55 * len(names))
    axes = drawing.add_subplot(xlabel="seconds since the first task", ylim=(len(names) - 0.4, -0.6))
    axes.set_yticks(range(len(names)), names)
    done: Counter[str] = Counter()
    for event in events:
        if event["kind"] == "done" and (name := machines.get(host.get(event["worker"], ""))):
            done[name] += 1
            span = (event["time"] - event["seconds"] - start, event["seconds"])
            axes.broken_barh([span], (names.index(name) - 0.32, 0.64), facecolor=BLUE, edgecolor="white", linewidth=0.6)
    for text, instant in marks.items():
        axes.axvline(instant - start, color=ORANGE, linestyle="--", linewidth=1.6)
        axes.text(instant - start, -0.65, text.replace("_", " "), color=ORANGE, ha="center", va="bottom", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="x", color=GREY, linewidth=0.5)
    axes.set_axisbelow(True)
    return Picture(drawing, "a bar for each task, in a lane for each machine: " + ", ".join(sorted(done)))


@checker
def average_there(far: Any, answer: Any, images: Mapping[str, bytes], *, patience: float = PATIENCE) -> str:
    """Run `answer` here and on another machine (`far` submits there) and compare with what it should be."""
    if not callable(answer):
        raise NotYet(f"average_size is {answer!r}, not a function; run the cell above")
    listed = [name for name in Path("skip.txt").read_text().split() if name in images]
    for paths in (sorted(images)[:6], [*listed, *sorted(images)[7:9]]):
        sizes = [len(images[path]) for path in paths if path not in listed]
        expected = round(sum(sizes) / len(sizes) / 1000, 1)
        _same(_here(answer, paths), expected, paths, "here")
        _same(_there(far, answer, paths, patience), expected, paths, "there")
    return "the same numbers here and there, without the package and without the file."


def _here(answer: Callable[[list[str]], float], paths: list[str]) -> Any:
    try:
        return answer(paths)
    except Exception as error:
        raise NotYet(f"here, on this machine, it raised {type(error).__name__}: {error}") from None


def _there(far: Any, answer: Callable[[list[str]], float], paths: list[str], patience: float) -> Any:
    with _hidden(Path("skip.txt")):
        try:
            return (future := far.submit(answer, paths)).result(patience)
        except NoResult:
            future.cancel()
            raise NotYet(f"there, it had no result after {patience:g} s; here it is done at once") from None
        except ModuleNotFoundError as error:
            raise NotYet(
                f"there, it raised {type(error).__name__}: {error}. That package is installed on this machine only. "
                "Does Python's standard library have what you need?"
            ) from None
        except FileNotFoundError as error:
            raise NotYet(
                f"there, it raised {_last_line(error)}. The file is on this machine only. A variable travels along "
                "with a function: who could read the file, and where?"
            ) from None
        except Exception as error:
            raise NotYet(f"there, it raised {_last_line(error)}") from None


@contextmanager
def _hidden(path: Path) -> Iterator[None]:
    """Take a file away for a while: the throwaway hosts share this machine's disk, and real ones don't."""
    aside = path.rename(path.with_name("." + path.name))
    try:
        yield
    finally:
        aside.rename(path)


def _last_line(error: Exception) -> str:
    """An error's own line, from the worker's traceback where there is one."""
    lines = [line for line in str(error.__cause__ or "").splitlines() if line.strip(' "')]
    return lines[-1] if lines else f"{type(error).__name__}: {error}"


def _same(result: Any, expected: float, paths: list[str], where: str) -> None:
    if result != expected:
        raise NotYet(
            f"{where}, for {len(paths)} pictures, the average is {expected} kB without those on the skip list; yours "
            f"says {result!r}"
        )
