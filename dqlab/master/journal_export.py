"""A journal as a record: what is known of its tasks, as lines of events that the dashboard replays and a trace shows.

A journal knows where each task is, not all of its way: when it was submitted, and when it came where it is.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from dqlab.broker.tasks import State

__all__ = ["export_events"]

#: the first line of a record
HEADER = {"dqlab_record": 1}
#: what an event is called that brings a task into a state; a ready one needs none
KINDS = {State.DELAYED: "delayed", State.LEASED: "leased", State.DONE: "done", State.FAILED: "failed"}


def export_events(db: sqlite3.Connection) -> list[str]:
    """The lines of a record, its header first."""
    question = """
        SELECT spans.first, spans.count, queue, state, attempt, worker, reason, since, submitted
        FROM spans JOIN runs ON runs.first = run
    """
    events: list[dict[str, Any]] = []
    joined: dict[str, float] = {}
    for first, count, queue, state, attempt, worker, reason, since, submitted in db.execute(question):
        about = {"queue": queue, "task": first, "count": count}
        events.append({"time": submitted, "kind": "submitted", **about})
        kind = KINDS.get(State(state))
        if kind is None:
            continue
        more = {"worker": worker, "attempt": attempt, "reason": reason}
        events.append({"time": since, "kind": kind, **about, **{k: v for k, v in more.items() if v is not None}})
        if worker:
            joined[worker] = min(since, joined.get(worker, since))
    events += [{"time": since, "kind": "worker_joined", "worker": worker} for worker, since in joined.items()]
    events.sort(key=lambda event: event["time"])
    started = {"started": events[0]["time"]} if events else {}
    numbered = [{"seq": number, **event} for number, event in enumerate(events, 1)]
    return [json.dumps(line) + "\n" for line in [{**HEADER, **started}, *numbered]]
