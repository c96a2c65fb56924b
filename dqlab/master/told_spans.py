"""What a peer is told of a span: what became of its tasks, or what is becoming of them."""

from __future__ import annotations

from typing import Any

from dqlab.broker.tasks import Span
from dqlab.wire.messages import Failure, Finished, Outcome

__all__ = ["as_failed", "as_finished", "as_open", "as_outcome"]


def as_outcome(span: Span) -> Outcome:
    """What has become of its tasks, or is becoming of them."""
    result = span.result.encode() if isinstance(span.result, Failure) else span.result
    history, printed = list(span.history), list(span.printed)
    return Outcome(state=span.state.value, result=result, attempts=span.attempt, history=history, printed=printed)


def as_finished(serial: int, span: Span) -> Finished:
    """A final span as `collect` tells it."""
    return Finished(serial=serial, first=span.run.first, lo=span.lo, hi=span.hi, outcome=as_outcome(span))


def as_failed(span: Span) -> dict[str, Any]:
    """A failed span as `failures` tells it."""
    return {
        "task": span.first,
        "queue": span.run.queue,
        "attempts": span.attempt,
        "reason": span.result.summary,
        "traceback": span.result.traceback,
        "history": [{"worker": worker, "reason": reason} for worker, reason in span.history],
    }


def as_open(span: Span, task: int, now: float) -> dict[str, Any]:
    """A task as `open_tasks` tells it; its function's digest is followed by what people call it."""
    name = span.run.header.function.partition(" ")[2]
    age = now - span.run.submitted
    return {"task": task, "queue": span.run.queue, "function": name, "state": span.state.value, "age": age}
