"""Lesson 05's exercise: three recorded runs of sick systems, and a checker that argues from the records themselves.

`python -m dqlab.lessons.illness FOLDER` makes the records anew, with a real master and real workers.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dqlab.client.recording import read
from dqlab.dashboard.bin import LEVELS
from dqlab.dashboard.demo import nap
from dqlab.dashboard.history import History
from dqlab.lessons.check.verdict import NotYet, checker

__all__ = ["ILLNESSES", "Symptoms", "diagnosis_of", "symptoms"]


@dataclass(frozen=True)
class Symptoms:
    """What a record shows, as numbers."""

    utilisation: float  #: share of the workers' time in which they had work
    most_ready: int  #: the longest the line of waiting tasks ever was
    ready_at_end: int
    raised: int  #: attempts that ended with an exception
    lost: int  #: attempts whose process died
    deaths: int  #: workers that died
    attempts: int


def symptoms(path: str | Path) -> Symptoms:
    """Read a record and count."""
    history = History(window=None, slice=1e-6)
    history.feed(read(path))
    bars = [bar for lane in history.lanes.values() for bar in lane.bars]
    life = sum((history.now if lane.left is None else lane.left) - lane.joined for lane in history.lanes.values())
    ready = [slot.levels[LEVELS.index("ready")] for slot in history.bins if slot.levels]
    return Symptoms(
        utilisation=sum(bar.end - bar.start for bar in bars) / max(life, 1e-6),
        most_ready=max(ready, default=0),
        ready_at_end=ready[-1] if ready else 0,
        raised=sum(bar.kind in ("retry", "failed") for bar in bars),
        lost=sum(bar.kind == "lost" for bar in bars),
        deaths=sum(lane.end == "died" for lane in history.lanes.values()),
        attempts=len(bars),
    )


#: illness -> what would be seen, whether it is there, and what is there instead
ILLNESSES: dict[str, tuple[str, Callable[[Symptoms], bool], Callable[[Symptoms], str]]] = {
    "starved": (
        "gaps in every lane and nobody waiting in line",
        lambda s: s.utilisation < 0.5 and s.most_ready <= 4 and s.raised + s.lost == 0,
        lambda s: f"the workers were busy {s.utilisation:.0%} of their time, and up to {s.most_ready} tasks waited",
    ),
    "flooded": (
        "a backlog that is longest at the end",
        lambda s: s.most_ready > 20 and s.ready_at_end > 0.8 * s.most_ready,
        lambda s: f"at most {s.most_ready} tasks waited, and {s.ready_at_end} at the end",
    ),
    "poison task": (
        "dashed bars with one number: the same task takes one process down after the other, then is failed",
        lambda s: s.lost >= 3 and s.deaths == 0,
        lambda s: f"{s.lost} attempts were lost with their process, and {s.deaths} workers died",
    ),
    "broken site": (
        "striped bars all over: attempt after attempt ends with an exception",
        lambda s: s.raised > 0.3 * s.attempts,
        lambda s: f"{s.raised} of {s.attempts} attempts raised",
    ),
    "dead machine": (
        "a cross: a worker is gone and doesn't come back",
        lambda s: s.deaths > 0,
        lambda s: f"{s.deaths} workers died",
    ),
}


#: who has to be diagnosed
PATIENTS = ("run_a", "run_b", "run_c")


@checker
def diagnosis_of(runs: Mapping[str, str | Path], diagnosis: Any) -> str:
    """Check `diagnosis`, an illness for each of `PATIENTS`, against what their records (`runs`, by name) show."""
    known = ", ".join(repr(name) for name in ILLNESSES)
    if not isinstance(diagnosis, Mapping):
        raise NotYet(f"diagnosis is {diagnosis!r}; it should be a dictionary with {', '.join(PATIENTS)}")
    for name in diagnosis:
        if name not in PATIENTS:
            raise NotYet(f"there is no patient {name!r}; the three are {', '.join(PATIENTS)}.")
    for name in PATIENTS:
        answer = diagnosis.get(name, ...)
        if answer is ... or answer is None:
            raise NotYet(f"{name} has no diagnosis yet. Play it, then choose one of {known}.")
        if not isinstance(answer, str) or (illness := _as_written(answer)) not in ILLNESSES:
            raise NotYet(f"{name}: {answer!r} is none of {known}.")
        if name not in runs:
            raise NotYet(f"the record of {name} is missing; run the cell above as it was.")
        seen = symptoms(runs[name])
        sign, is_there, instead = ILLNESSES[illness]
        if not is_there(seen):
            raise NotYet(f"{name}: {answer!r} would show as {sign}. But here {instead(seen)}. Look once more.")
    return f"{', '.join(f'{name} is a case of {_as_written(diagnosis[name])!r}' for name in PATIENTS)}."


def _as_written(answer: str) -> str:
    """An answer as `ILLNESSES` writes it: "Poison_task " is "poison task"."""
    return " ".join(answer.lower().replace("_", " ").replace("-", " ").split())


# -- how the records were made ----------------------------------------------------------------------------------------


def deadly(seconds: float) -> None:
    """A task that takes its process down."""
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def fetch(number: int) -> int:
    """A download from a site that is broken in three cases of four."""
    time.sleep(0.2 + number % 3 / 10)
    if number % 4:
        raise TimeoutError(f"pictures.example does not answer (picture {number})")
    return number


def _starved(master: Any) -> list[Any]:
    futures = []
    for _ in range(24):
        futures += [master.submit(nap, 0.3), master.submit(nap, 0.25)]
        time.sleep(0.6)
    return futures


def _poisoned(master: Any) -> list[Any]:
    return [master.submit(deadly, 0.5) if i in (17, 43) else master.submit(nap, 0.3 + i % 4 / 10) for i in range(90)]


def _broken(master: Any) -> list[Any]:
    return [master.options(retries=2).submit(fetch, i) for i in range(48)]


def make(folder: Path) -> None:
    """Write the three records into `folder`, without anything of this machine in them."""
    from dqlab import LocalWorkers, Master, wait

    root = Path(__file__).resolve().parent.parent.parent
    for name, sicken in {"run_a": _poisoned, "run_b": _starved, "run_c": _broken}.items():
        with Master() as master:
            LocalWorkers(master, 4).wait(30)
            recorder = master.record(folder / f"{name}.jsonl")
            wait(sicken(master), timeout=60)
            path = recorder.stop()
        text = path.read_text(encoding="utf-8")
        for mine, neutral in (
            (f"{root}{os.sep}", ""),
            (sys.base_prefix, "python"),
            (f'"{os.uname().nodename}"', '"lab1"'),
        ):
            text = text.replace(mine, neutral)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
