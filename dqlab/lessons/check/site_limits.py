"""Lesson 07: limits for a site that was recorded, tried with the crawl's own rules, on a clock that takes no time."""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dqlab.crawl.errand import Errand, Pressure
from dqlab.crawl.frontier import Frontier
from dqlab.crawl.images import Image
from dqlab.crawl.outcome import Outcome
from dqlab.crawl.settings import Settings
from dqlab.errors import BadInput
from dqlab.lessons.check.verdict import NotYet, a_number, checker
from dqlab.lessons.scripts import notebook_folder

__all__ = ["RecordedSite", "Run", "limits_for_a_site", "replay"]

#: pictures to be brought, seconds in which they should be here, and requests that may be refused
PICTURES, SECONDS, REFUSALS = 300, 40.0, 3
#: what an answer must say
NAMES = ("per_host", "delay")
#: requests in a second that the site of the record bears, and those with which it falls over
BEARS, FALLS = 12, 20
#: seconds for which it wants to be left alone, by what it says
RETRY_AFTER = {429: 5.0, 503: 600.0}


class RecordedSite:
    """Answers as it did when it was recorded with so many requests in the second before."""

    def __init__(self, record: Iterable[Mapping[str, Any]]) -> None:
        samples: dict[int, list[Mapping[str, Any]]] = {}
        for one in record:
            samples.setdefault(one["before"], []).append(one)
        self._samples = {before: itertools.cycle(some) for before, some in samples.items()}
        self._recent = deque[float]()

    def answer(self, now: float) -> Mapping[str, Any]:
        """What it says to a request at `now` (seconds, never less than the last time)."""
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        before = len(self._recent)
        self._recent.append(now)
        return next(self._samples[min(self._samples, key=lambda recorded: abs(recorded - before))])


@dataclass(frozen=True)
class Run:
    """What came of some limits: requests, those refused, pictures lost, seconds."""

    requests: int
    refused: int
    lost: int
    seconds: float


def replay(site: RecordedSite, per_host: int | None, delay: float) -> Run:
    """Bring the pictures from `site` as a crawl with these limits does."""
    frontier = Frontier(workers=1, room=1, most_room=1, per_host=per_host, delay=delay)
    for number in range(PICTURES):
        frontier.add(Errand(url=f"http://site/{number}.png"))
    now, statuses, lost = 0.0, list[int](), 0
    while frontier.waiting:
        handful = frontier.handful(now, budget=1)
        lost += len(frontier.given_up())
        if handful is None and frontier.waiting:
            now += frontier.next_turn(now) + 1e-6
        if handful is None:
            continue
        lanes = [now] * sum(handful.slots.values())
        outcomes = []
        for errand in handful.errands:
            at = heapq.heappop(lanes)
            said = site.answer(at)
            statuses.append(said["status"])
            outcomes.append(outcome(errand, said))
            heapq.heappush(lanes, at + said["seconds"])
        now = max(lanes)
        lost += sum(one.again is not None for one in frontier.back(handful, outcomes, now))
    return Run(len(statuses), sum(status != 200 for status in statuses), lost, now)


def outcome(errand: Errand, said: Mapping[str, Any]) -> Outcome:
    """What a worker would report of such an answer."""
    if said["status"] == 200:
        return Outcome(errand=errand, image=Image(errand.url), latency=said["seconds"], seconds=said["seconds"])
    return Outcome(errand=errand, again=str(said["status"]), pressure=Pressure.BUSY, wait=said["retry_after"])


@checker
def limits_for_a_site(answer: Any, record: Path | None = None) -> str:
    """Try the limits in `answer` on the `record` of a site (a file; None: the lesson's)."""
    per_host, delay = limits_in(answer)
    file = record or notebook_folder() / "data" / "site.jsonl"
    try:
        lines = [json.loads(line) for line in file.read_text("utf8").splitlines()]
    except OSError:
        raise NotYet(f"the record {file.name} is missing in {file.parent.name}; it belongs to the lesson.") from None
    run = replay(RecordedSite(lines), per_host, delay)
    tried = f"with per_host={per_host} and delay={delay:g}"
    if run.lost:
        raise NotYet(
            f"{tried}, {run.lost} of {PICTURES} pictures are lost: the site fell over, wants to be left alone for "
            f"{RETRY_AFTER[503]:g} s, and was given up. With how many requests in a second does that begin?"
        )
    if run.refused > REFUSALS:
        raise NotYet(
            f"{tried}, {run.refused} of {run.requests} requests were refused, and {REFUSALS} may be. From how many "
            "requests in a second on does the record refuse? How far apart must they be?"
        )
    if run.seconds > SECONDS:
        raise NotYet(
            f"{tried}, hardly anybody was refused, but it took {run.seconds:.1f} s, and {SECONDS:g} may pass. How far "
            f"apart may {PICTURES} requests be?"
        )
    return f"{tried}, {PICTURES} pictures in {run.seconds:.0f} s: {run.refused} requests refused, none lost."


def limits_in(answer: Any) -> tuple[int | None, float]:
    """The two limits that `answer` names; raises `NotYet` if there is something else."""
    if not isinstance(answer, Mapping) or set(answer) != set(NAMES):
        raise NotYet(f"your answer is {answer!r}; it should be a dictionary with {' and '.join(NAMES)}.")
    if any(answer[name] is ... for name in NAMES):
        raise NotYet("write your limits instead of the dots.")
    per_host = None if answer["per_host"] is None else a_number(answer["per_host"])
    delay = a_number(answer["delay"])
    if per_host is not None and per_host != round(per_host):
        raise NotYet(f"per_host={answer['per_host']!r}: requests at a time are a whole number, or None.")
    if delay < 0:
        raise NotYet(f"delay={answer['delay']!r}: seconds from one request to the next are 0 or more.")
    try:
        settings = Settings(url="http://site/", per_host=None if per_host is None else round(per_host), delay=delay)
    except BadInput as error:
        raise NotYet(f"{error.message}: {error.hint}.") from None
    return settings.per_host, settings.delay


# -- how the record was made ------------------------------------------------------------------------------------------


def make(file: Path) -> None:
    """Write the record: at each number of requests in the second before, what came, a few times."""
    draw = random.Random(7)
    lines = []
    for before in range(28):
        for _ in range(4):
            status = 200 if before < BEARS else 429 if before < FALLS else 503
            seconds = round(draw.uniform(0.02, 0.04) if status == 200 else draw.uniform(0.003, 0.006), 4)
            lines.append(
                {"before": before, "status": status, "seconds": seconds, "retry_after": RETRY_AFTER.get(status)}
            )
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
