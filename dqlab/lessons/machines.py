"""What lesson 04 needs: who worked when, machine by machine, and the checker of its exercise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as NoResult
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from dqlab.errors import TaskFailed, TaskTimeout
from dqlab.lessons.check.answer import Answer, readable
from dqlab.lessons.check.verdict import NotYet, a_function, checker
from dqlab.lessons.pictures import BLUE, GREY, INK, ORANGE, Picture, figure

__all__ = ["average_there", "lanes"]

#: seconds that an answer may take
PATIENCE = 20.0
#: seconds more until the news of that arrives
SPARE = 10.0
#: how often the site may say that it is busy
BUSY = 3
#: kB that rounding to one digit may change
ROUNDED = 0.051


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
    """Run `answer` here and on another machine (`far` submits there) and compare with what it should be.

    `images` are all pictures by path; each run may take `patience` seconds.
    """
    a_function(answer)
    listed = [name for name in Path("skip.txt").read_text().split() if name in images]
    for paths in (sorted(images)[:6], [*listed, *sorted(images)[7:9]]):
        sizes = [len(images[path]) for path in paths if path not in listed]
        expected = sum(sizes) / len(sizes) / 1000
        _same(_here(answer, paths, patience), expected, paths, "here")
        _same(_there(far, answer, paths, patience), expected, paths, "there")
    return "the same numbers here and there, without the package and without the file."


def _average(answer: Callable[[list[str]], Any], paths: list[str]) -> Any:
    """In another process: what the answer returns, as plain data."""
    for _ in range(BUSY):
        try:
            return _plain(answer(paths))
        except HTTPError as busy:  # the site says "come back later" now and then, whatever the answer is
            if busy.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
    return _plain(answer(paths))


def _plain(value: Any) -> Any:
    """A number of any type as a float; anything else in words."""
    try:
        return repr(value) if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError):
        return repr(value)


def _here(answer: Callable[[list[str]], Any], paths: list[str], patience: float) -> Any:
    try:
        with Answer(_average, answer, paths, seconds=patience, learner=answer, name="it") as run:
            return run.result()
    except NotYet as not_yet:
        raise NotYet(f"here, on this machine, {not_yet.why}", not_yet.details) from None


def _there(far: Any, answer: Callable[[list[str]], Any], paths: list[str], patience: float) -> Any:
    bounded = far.options(timeout=patience, max_attempts=1)
    with _hidden(Path("skip.txt")):
        try:
            return (future := bounded.submit(_average, answer, paths)).result(patience + SPARE)
        except (TaskTimeout, NoResult):
            future.cancel()
            raise NotYet(f"there, it had no result after {patience:g} s; here it is done at once.") from None
        except TaskFailed as failed:
            raise NotYet(f"there, the process in which it ran ended: {failed.reason}") from None
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
            raise NotYet(f"there, it raised {_last_line(error)}", _traceback(error)) from None


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


def _traceback(error: Exception) -> str:
    """The other machine's traceback, in the learner's own lines."""
    return "\n".join(readable(str(error.__cause__ or "").strip(' "\n')))


def _same(result: Any, expected: float, paths: list[str], where: str) -> None:
    if not isinstance(result, float) or abs(result - expected) > ROUNDED:
        raise NotYet(
            f"{where}, for {len(paths)} pictures, the average is {expected:.1f} kB without those on the skip list; "
            f"yours says {result}"
        )
