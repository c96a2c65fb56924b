"""What a worker may say of the tasks that it has."""

from __future__ import annotations

from dqlab.broker.tasks import Span
from dqlab.errors import BadInput
from dqlab.wire.messages import PLAIN, REPORTS, Report

__all__ = ["check_report"]


def check_report(span: Span, report: Report) -> None:
    """Raise `BadInput` unless a report brings results of the span's kind, and output of its own tasks only."""
    plain, first = isinstance(report.value, list), span.run.first
    counts = plain and len(report.value) == report.hi - report.lo
    if report.kind == "done" and (plain is not (span.run.queue == PLAIN) or plain is not counts):
        raise BadInput(f"results of type {type(report.value).__name__} for {span!r}", REPORTS["done"])
    if not all(first + report.lo <= task < first + report.hi for task, *_ in report.printed):
        raise BadInput(f"output of tasks that are not in [{report.lo}, {report.hi}) of {span!r}", "of these only")
