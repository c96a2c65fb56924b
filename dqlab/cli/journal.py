"""`dqlab journal`: what is in a journal, with or without a master that writes it."""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
from datetime import datetime
from pathlib import Path

from dqlab.cli.status_table import table
from dqlab.errors import BadInput
from dqlab.master.journal_export import export_events
from dqlab.master.journal_file import compact, read_journal
from dqlab.master.journal_tables import read_fact
from dqlab.wire.connection_file import write_private

__all__ = ["add_arguments", "run"]

#: failed tasks that are shown
SHOWN = 10
#: the columns of the table, which are states of tasks
STATES = ("ready", "delayed", "leased", "done", "failed", "cancelled")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `dqlab journal` takes."""
    parser.add_argument("journal", metavar="FILE", help="the journal of a master")
    parser.add_argument("--vacuum", action="store_true", help="give back the room of what was deleted; needs no master")
    parser.add_argument("--export", metavar="F", help="write what it tells as a record, which the dashboard replays")


def run(args: argparse.Namespace) -> int:
    """Show it, and return the exit code."""
    path = Path(args.journal)
    if args.vacuum:
        before, after = compact(path)
        print(f"{path}: {before:,} bytes before, {after:,} now")
        return 0
    with contextlib.closing(read_journal(path)) as db:
        if args.export:
            _export(db, path, Path(args.export))
        else:
            _show(db, path)
    return 0


def _export(db: sqlite3.Connection, path: Path, to: Path) -> None:
    lines = export_events(db)
    if len(lines) < 2:
        raise BadInput(f"journal {path} holds no task", "there is nothing to export")
    write_private(to, "".join(lines))
    print(f"{to}: {len(lines) - 1:,} events")


def _show(db: sqlite3.Connection, path: Path) -> None:
    lives = read_fact(db, "lives") or 0
    print(f"journal {path}, {path.stat().st_size:,} bytes; its master was started {lives} times")
    counts: dict[str, dict[str, int]] = {}
    question = "SELECT queue, state, sum(spans.count) FROM spans JOIN runs ON runs.first = run GROUP BY queue, state"
    for queue, state, count in db.execute(question):
        counts.setdefault(queue, {})[state] = count
    rows = [[queue, *(str(known.get(state, 0)) for state in STATES)] for queue, known in sorted(counts.items())]
    print("\n".join(["", *table(["queue", *STATES], rows)]) if rows else "no task is in it")
    question = """
        SELECT spans.first, queue, state, submitted FROM spans JOIN runs ON runs.first = run
        WHERE state IN ('ready', 'delayed', 'leased') ORDER BY submitted, spans.first LIMIT 1
    """
    for task, queue, state, submitted in db.execute(question):
        when = datetime.fromtimestamp(submitted).strftime("%Y-%m-%d %H:%M:%S")
        print(f"\noldest: task {task} in {queue}, {state}, submitted {when}")
    question = """
        SELECT spans.first, queue, reason FROM spans JOIN runs ON runs.first = run
        WHERE state = 'failed' ORDER BY since DESC LIMIT ?
    """
    for task, queue, reason in db.execute(question, (SHOWN,)):
        print(f"failed: task {task} in {queue}: {reason}")
