"""The tables of a journal: what a broker's changes are in them, and what they leave for the next broker.

    runs       what one message brought: a function, a payload, `count` consecutive tasks from `first` on
    spans      a stretch of a run whose tasks share a state, with what has become of them
    functions  pickled functions by digest, as long as a run needs one
    clients    number, token, last accepted task id; `plain` is the one that stands for all plain scripts
    queues     whether it is paused; how many tasks ended or were redelivered, also of those that are forgotten
    results    the plain result queue: what nobody has taken yet
    answers    to the last numbered calls of clients' threads on the plain queues, until they have confirmed them
    journal    facts by name: `id` of the master, how many `lives` it has had, when it `began` the last one
    tasks      a view: one row for each task, for people

So `SELECT state, count(*) FROM tasks GROUP BY state` tells where everything is. Times are seconds since 1970; a
payload or a result is opaque bytes (of plain tasks a pickle of plain values), and no key is in here. `user_version` is
the version of these tables.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable
from typing import Any, cast

from dqlab.broker.changes import Batch, ClientRow, QueueRow, RunRow, SpanRow
from dqlab.broker.numbered_calls import AnswerRow
from dqlab.broker.revival import Remains
from dqlab.broker.tasks import State
from dqlab.wire.messages import PLAIN, Failure, Header
from dqlab.wire.plain_data import load_plain, pickled

__all__ = ["APPLICATION", "SCHEMA", "UPGRADES", "VERSION", "apply_batch", "read_fact", "read_remains", "write_fact"]

#: the version of the tables; a newer one is refused
VERSION = 2
#: by which a file is known to be a journal: "dqlb"
APPLICATION = int.from_bytes(b"dqlb", "big")

ANSWERS = """
CREATE TABLE answers (
    client INTEGER, thread INTEGER, call TEXT, number INTEGER, answer BLOB, PRIMARY KEY (client, thread, call)
) WITHOUT ROWID;
"""

#: what makes the tables of the next version of those of an older one
UPGRADES = {1: f"ALTER TABLE spans ADD COLUMN thread TEXT; {ANSWERS}"}

SCHEMA = f"""
CREATE TABLE journal (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE clients (number INTEGER PRIMARY KEY, token BLOB, last INTEGER, plain INTEGER);
CREATE TABLE queues (
    queue TEXT PRIMARY KEY, paused INTEGER, done INTEGER, failed INTEGER, cancelled INTEGER, redelivered INTEGER
) WITHOUT ROWID;
CREATE TABLE functions (digest TEXT PRIMARY KEY, pickled BLOB);
CREATE TABLE runs (
    first INTEGER PRIMARY KEY, count INTEGER, client INTEGER, queue TEXT, kind TEXT, function TEXT, python TEXT,
    retries INTEGER, timeout REAL, max_attempts INTEGER, attempts INTEGER, submitted REAL, payload BLOB
);
CREATE TABLE spans (
    first INTEGER PRIMARY KEY, count INTEGER, run INTEGER, state TEXT, attempt INTEGER, errors INTEGER, deaths INTEGER,
    suspect INTEGER, due REAL, since REAL, worker TEXT, unread INTEGER, history TEXT, printed TEXT,
    failure TEXT, reason TEXT, traceback TEXT, result BLOB, thread TEXT
);
CREATE TABLE results (serial INTEGER PRIMARY KEY, value BLOB);
{ANSWERS}
CREATE VIEW tasks AS
    WITH RECURSIVE each(task, last, span) AS (
        SELECT first, first + count - 1, first FROM spans
        UNION ALL SELECT task + 1, last, span FROM each WHERE task < last
    )
    SELECT task, queue, state, attempt, worker, reason FROM each
    JOIN spans ON spans.first = span JOIN runs ON runs.first = spans.run;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


def _replace(table: str, columns: int) -> str:
    return f"REPLACE INTO {table} VALUES ({', '.join('?' * columns)})"


_FACT = _replace("journal", 2)


def apply_batch(db: sqlite3.Connection, batch: Batch) -> None:
    """Write what has changed, as a part of the transaction that is open."""
    for field, rows in cast(dict[str, list[Any]], batch).items():
        for statement, values in _STEPS[field]:
            if len(rows) == 1:  # as of a plain script: this is the quicker way
                db.execute(statement, values(rows[0]) if values else rows[0])
            elif rows:
                db.executemany(statement, map(values, rows) if values else rows)


def _dump(value: Any) -> bytes:
    return pickled(value, pickle.DEFAULT_PROTOCOL)[0]


def _run_values(row: RunRow) -> tuple[Any, ...]:
    header, payload = row.header, row.payload
    if header.kind == PLAIN and payload is not None:
        payload = _dump(payload)
    return (
        row.first, row.count, row.client, header.queue, header.kind, header.function, header.python,
        header.retries, header.timeout, header.max_attempts, row.max_attempts, row.submitted, payload,
    )  # fmt: skip


def _span_values(row: SpanRow) -> tuple[Any, ...]:
    failure: tuple[Any, ...] = (None, None, None, row.result)
    if isinstance(row.result, Failure):
        failure = (row.result.kind, _utf8(row.result.summary), _utf8(row.result.traceback), row.result.exception)
    texts = (json.dumps(told) if told else None for told in (row.history, row.printed))
    thread = row.thread and "{}.{}".format(*row.thread)
    return (*row[:3], row.state.value, *row[4:12], *texts, *failure, thread)


def _utf8(text: str) -> str:
    return text.encode("utf8", "backslashreplace").decode("utf8")


def _alone(value: Any) -> tuple[Any, ...]:
    return (value,)


#: what is done with what a batch has in a field, and how that is told to SQLite if not as it is
_STEPS: dict[str, list[tuple[str, Callable[[Any], tuple[Any, ...]] | None]]] = {
    "ended": [
        ("DELETE FROM runs WHERE first = ?", lambda ended: ended[:1]),
        ("DELETE FROM spans WHERE first BETWEEN ? AND ?", lambda ended: (ended[0], sum(ended) - 1)),
    ],
    "dropped": [("DELETE FROM spans WHERE first = ?", _alone)],
    "through": [("UPDATE runs SET payload = NULL WHERE first = ?", _alone)],
    "gone": [("DELETE FROM clients WHERE number = ?", _alone)],
    "clients": [(_replace("clients", 4), None)],
    "queues": [(_replace("queues", 6), None)],
    "runs": [(_replace("runs", 13), _run_values)],
    "functions": [(_replace("functions", 2), None)],
    "spans": [(_replace("spans", 19), _span_values)],
    "results": [(_replace("results", 2), lambda result: (result[0], _dump(result[1])))],
    "taken": [("DELETE FROM results WHERE serial < ?", _alone)],
    "confirmed": [("DELETE FROM answers WHERE (client, thread, call) = (?, ?, ?)", None)],
    "answers": [(_replace("answers", 5), lambda row: (*row[:4], _dump(row.answer)))],
}


def read_remains(db: sqlite3.Connection) -> Remains:
    """Everything that is there."""
    clients = [ClientRow(n, token, last, bool(plain)) for n, token, last, plain in db.execute("SELECT * FROM clients")]
    queues = [QueueRow(name, bool(paused), *ends) for name, paused, *ends in db.execute("SELECT * FROM queues")]
    results = list(db.execute("SELECT serial, value FROM results ORDER BY serial"))
    # Serials in between may be missing: what was told before it was ever written. Without any they begin anew.
    taken = results[-1][0] + 1 - len(results) if results else 0
    return Remains(
        life=read_fact(db, "lives") or 0,
        clients=clients,
        queues=queues,
        functions=dict(db.execute("SELECT digest, pickled FROM functions")),
        runs=[_run_row(row) for row in db.execute("SELECT * FROM runs ORDER BY first")],
        spans=[_span_row(row) for row in db.execute("SELECT * FROM spans ORDER BY first")],
        results=[load_plain(value) for _, value in results],
        answers=[AnswerRow._make([*key, load_plain(answer)]) for *key, answer in db.execute("SELECT * FROM answers")],
        taken=taken,
    )


def _run_row(row: tuple[Any, ...]) -> RunRow:
    first, count, client, queue, kind, function, python, retries, timeout, most, attempts, submitted, payload = row
    header = Header(
        queue=queue, kind=kind, function=function, python=python, retries=retries, timeout=timeout, max_attempts=most
    )
    if kind == PLAIN and payload is not None:
        payload = load_plain(payload)
    return RunRow(first, count, client, header, attempts, submitted, payload)


def _span_row(row: tuple[Any, ...]) -> SpanRow:
    *fields, history, printed, failure, reason, traceback, result, thread = row
    if failure is not None:
        result = Failure(kind=failure, summary=reason, traceback=traceback, exception=result)
    fields[3], fields[7], fields[11] = State(fields[3]), bool(fields[7]), bool(fields[11])
    return SpanRow._make([*fields, _told(history), _told(printed), result, thread and _thread(thread)])


def _told(text: str | None) -> tuple[Any, ...]:
    return tuple(map(tuple, json.loads(text))) if text else ()


def _thread(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def read_fact(db: sqlite3.Connection, name: str) -> Any:
    """A fact of the table `journal`; None if it is not there."""
    return next((value for (value,) in db.execute("SELECT value FROM journal WHERE name = ?", (name,))), None)


def write_fact(db: sqlite3.Connection, name: str, value: Any) -> None:
    """Write a fact of the table `journal`."""
    db.execute(_FACT, (name, value))
