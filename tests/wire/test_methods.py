"""The table of what a peer may call: it is what the objects have, and no call of whatever arguments does harm."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dqlab.broker.broker import Broker
from dqlab.broker.clients import CLIENT_IDS
from dqlab.broker.tasks import State
from dqlab.errors import BadInput, Refused
from dqlab.master.broker_calls import BrokerCalls
from dqlab.master.named_calls import NamedEvent, NamedQueue
from dqlab.master.process import MasterSettings, RunningMaster
from dqlab.master.queue_calls import ResultQueue, TaskQueue
from dqlab.wire import checks
from dqlab.wire.messages import PLAIN, Header, NewTasks, Report
from dqlab.wire.methods import METHODS, Method, bind, find_method
from tests.plain import KEY, Hand, OwnHand, get

OBJECTS = {
    "tasks": TaskQueue, "results": ResultQueue, "queue": NamedQueue, "event": NamedEvent, "broker": BrokerCalls,
}  # fmt: skip
EVERY = [(name, method) for name, methods in METHODS.items() for method in methods]


# -- the table, and the objects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "method"), EVERY)
def test_each_method_exists_and_takes_what_the_table_says(name: str, method: str) -> None:
    arguments, optional, *_ = METHODS[name][method]
    found = list(inspect.signature(getattr(OBJECTS[name], method)).parameters.values())[1:]
    assert [parameter.name for parameter in found] == list(arguments)
    spare = [parameter.name for parameter in found if parameter.default is not parameter.empty]
    assert spare == list(arguments)[len(arguments) - optional :]
    assert {parameter.kind for parameter in found} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}


@pytest.mark.parametrize("name", METHODS)
def test_every_public_method_is_in_the_table(name: str) -> None:
    public = {method for method, _ in inspect.getmembers(OBJECTS[name], callable) if not method.startswith("_")}
    assert public == {method for method in METHODS[name] if not method.startswith("_")}


def test_the_table_can_be_read_as_a_page() -> None:
    command = [sys.executable, "-m", "dqlab.wire.methods"]
    page = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert len(page.splitlines()) == len(EVERY)
    assert f"broker.pause(queue: {checks.QUEUE.means}, paused: {checks.FLAG.means})" in page.splitlines()


# -- a call is bound to its arguments ----------------------------------------------------------------------------------


def bound(object: Any, method: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    return bind(find_method(object, method), method, args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"), [(("q", True), {}), (("q",), {"paused": True}), ((), {"paused": True, "queue": "q"})]
)
def test_arguments_by_place_and_by_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert bound("broker", "pause", args, kwargs) == {"queue": "q", "paused": True}


def test_what_may_be_left_out_is_left_out() -> None:
    assert bound("broker", "events", (5,), {}) == {"since": 5}
    assert bound("tasks", "get", [], {"timeout": None}) == {"timeout": None}


@pytest.mark.parametrize(
    ("name", "method", "args", "kwargs", "said"),
    [
        ("nothing", "put", (1,), {}, "no object 'nothing'"),
        (["tasks"], "put", (1,), {}, "no object"),
        (None, "put", (1,), {}, "no object None"),
        ("tasks", "_take", (), {}, "'_take' may not be called on 'tasks'"),
        ("tasks", ["put"], (), {}, "may not be called"),
        ("results", "submit", (), {}, "'submit' may not be called on 'results'"),
        ("tasks", "put", 5, {}, "put with int and dict"),
        ("tasks", "put", (), 6, "put with tuple and int"),
        ("tasks", "put", (), {}, "put takes item, block, timeout, not 0 arguments"),
        ("tasks", "put", (1, 2, 3, 4), {}, "put takes item, block, timeout, not 4 arguments"),
        ("tasks", "put", (1,), {"item": 2}, "put takes no argument 'item'"),
        ("tasks", "put", (1,), {1: 2}, "put takes no argument 1"),
        ("tasks", "qsize", (1,), {}, "qsize takes no arguments, not 1 arguments"),
        ("broker", "pause", (), {"paused": True}, "pause takes queue, paused"),
    ],
)
def test_a_call_that_does_not_exist_is_refused_in_words(
    name: Any, method: Any, args: Any, kwargs: Any, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        bound(name, method, args, kwargs)
    assert said in refused.value.message


def test_an_argument_that_makes_no_sense_is_named() -> None:
    with pytest.raises(BadInput) as refused:
        bound("broker", "pause", ("a b", True), {})
    assert (refused.value.message, refused.value.hint) == ("queue='a b'", checks.QUEUE.means)


# -- any calls with any arguments --------------------------------------------------------------------------------------

#: calls of one fuzz run: `DQLAB_FUZZ_CALLS=100000` for a long one
CALLS = int(os.environ.get("DQLAB_FUZZ_CALLS", "2000"))
#: calls on one master
AT_ONE_MASTER = 20
#: seconds until whoever waits for an answer hangs up
PATIENCE = 0.03

#: what is sent where something else belongs
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
    | st.sampled_from([-1, 0, 1, 2**63, 10**40, "default", "w1", "f"]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)  # fmt: skip
few = st.integers(0, 4)
#: ids of the first tasks of the first clients, of which one is the plain queues' own
ids = st.builds(lambda client, task: client * CLIENT_IDS + task, st.sampled_from([0, 0, 0, 1]), st.integers(0, 40))
queues = st.sampled_from(["default", "other", PLAIN])
waits = st.sampled_from([0, 0.0, 0.001, -1.0])
payloads = st.sampled_from([b"", b"x", b"x" * 2_000])
failures = st.tuples(
    st.sampled_from(["error", "timeout", "lost"]), st.none() | st.just(b"x"), st.just("t"), st.just("s")
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Something that is taken, and now and then something odd."""
    return st.integers(0, 19).flatmap(lambda turn: odd if turn == 19 else good)


def rows(*fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A list of tuples of such fields, of which one may be odd."""
    good = st.tuples(*fields)
    bent = st.tuples(good, st.integers(0, len(fields) - 1), odd).map(lambda t: (*t[0][: t[1]], t[2], *t[0][t[1] + 1 :]))
    return st.lists(st.integers(0, 9).flatmap(lambda turn: [bent, odd][turn - 8] if turn > 7 else good), max_size=3)


kinds = st.sampled_from(["call", "map", "map", "star", PLAIN])
header = st.tuples(
    st.sampled_from(["default", "default", "other", PLAIN]), few, st.none() | st.just(5.0),
    st.none() | st.integers(1, 3), kinds, st.sampled_from(["f", "f", "f", ""]),
    st.sampled_from(["", "", "3.11", "3.5"]),
)  # fmt: skip
runs = rows(ids, st.integers(1, 4), header, payloads)
brings = {
    "done": payloads | st.lists(odd, max_size=3), "error": failures, "timeout": failures, "died": st.just("killed"),
    "lost": st.none(), "released": st.none(),
}  # fmt: skip
#: what tasks have printed
pieces = st.lists(st.tuples(ids, st.sampled_from(["stdout", "stderr"]), st.text(max_size=5)), max_size=2)
reports = st.sampled_from([*brings]).flatmap(
    lambda kind: rows(
        st.just(kind), st.integers(1, 6), few, st.integers(1, 4), brings[kind], st.sampled_from([0.0, 0.5]), pieces
    )
)
#: what each argument takes; where the table takes anything there is something of everything
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "item": odd, "items": st.lists(odd, max_size=3), "block": st.booleans(), "timeout": waits, "since": few,
    "expanded": st.booleans(), "limit": few, "task": ids, "queues": st.none() | st.lists(queues, max_size=2),
    "queue": queues, "paused": st.booleans(), "name": st.sampled_from(["w1", "w2", "me", None]), "ack": few,
    "pending": st.lists(st.tuples(ids, st.integers(1, 4)), max_size=2), "functions": st.just({"f": b"f"}), "runs": runs,
    "ranges": st.lists(st.tuples(ids, st.integers(1, 4)), max_size=2), "host": st.just("here"), "pid": few,
    "handler": st.booleans(), "reports": reports, "reason": st.just("fuzz"), "number": few, "thread": few,
    "python": st.sampled_from(["3.11", "3.5"]),
}  # fmt: skip


#: what brings tasks, and what moves them, is called more often than the rest
OFTEN = [("broker", "submit"), ("broker", "exchange"), ("tasks", "put"), ("tasks", "get_nowait")] * 8


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, str, tuple[Any, ...]]:
    """Who calls, which object, which method, and with which arguments."""
    name, method = draw(st.sampled_from(EVERY + OFTEN))
    if name != "broker":
        roles = ["script", "client", "worker"]
    elif method in ("join", "exchange", "leave", "control"):
        roles = ["worker"] * 4 + ["client"]
    else:
        roles = ["client"] * 4 + ["worker"]
    return draw(st.sampled_from(roles)), name, method, draw(arguments(METHODS[name][method]))


def arguments(known: Method) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(*[mostly(GOOD[name]) for name in known.arguments]).flatmap(
        lambda values: st.integers(len(values) - known.optional, len(values)).map(lambda n: values[:n])
    )


class Fuzzed:
    """A master, and three peers that call whatever they like; who doesn't get an answer at once hangs up."""

    def __init__(self, folder: Path) -> None:
        self.master = RunningMaster(
            MasterSettings(
                authkey=KEY, connection_file=folder / "master.json", plain_queues=["more"], plain_events=["done"]
            )
        )  # fmt: skip
        self.address = self.master.connection.address
        self.broker: Broker = self.master.waiting.broker
        self.peers: dict[str, Hand] = {}
        self.answers: Counter[Any] = Counter()
        self.unheard: set[str] = set()  #: methods that were called and not waited for: on a slow machine they act later
        for role in ("script", "client", "worker"):
            self.peers[role] = self._open(role)  # so that they are client 0 and worker w1

    def call(self, role: str, name: str, method: str, args: tuple[Any, ...]) -> None:
        peer = self.peers.get(role) or self.peers.setdefault(role, self._open(role))
        try:
            ident = {"queue": "queue more", "event": "event done"}.get(name, name)
            peer.conn.send((ident, method, args, {}))
            if peer.conn.poll(PATIENCE):
                kind, value = peer.recv()
                assert kind in ("#RETURN", "#ERROR", "#TRACEBACK", "beat"), (kind, value)
                if kind == "#TRACEBACK":
                    assert value.startswith(("Refused: ", "BadInput: ")), value
                self.answers[kind] += 1
                self.answers[method, kind] += 1
                return
        except (EOFError, OSError):
            pass  # the master hangs up on who doesn't wait for its answer, and on no one else
        self.answers["none"] += 1
        self.unheard.add(method)
        self.peers.pop(role).close()

    def _open(self, role: str) -> Hand:
        if role == "script":
            return Hand(self.address)
        hand = OwnHand(self.address, role)
        if role == "client":
            get(hand.ask("broker", "open_client"))
        else:
            get(hand.ask("broker", "join", "here", 1, None, True))
        return hand

    def check(self) -> None:
        """What must hold after every call."""
        self.master.waiting.do_now(self._check)

    def _check(self, now: float) -> None:
        states = self.broker.states
        counted = {
            (queue, state): count
            for queue, counts in states.counts.items()
            for state, count in counts.items()
            if state in ("ready", "delayed", "leased") and count
        }
        there: Counter[tuple[str, str]] = Counter()
        for client in states.clients.values():
            for span in client.spans_in(client.first, CLIENT_IDS):
                if span.state in (State.READY, State.DELAYED, State.LEASED):
                    there[span.run.queue, span.state.value] += len(span)
        assert there == counted, "the counts are not those of the tasks"
        assert all(count >= 0 for counts in states.counts.values() for count in counts.values())
        leased = sum(worker.holding for worker in self.broker.leases.workers.values())
        held = sum(len(span) for worker in self.broker.leases.workers.values() for span in worker.leases.values())
        assert leased == held <= sum(counts["leased"] for counts in states.counts.values())

    def serves(self) -> None:
        """A ready task is given to a worker that asks, and its result comes to its client."""
        self.master.waiting.do_now(self._serves)

    def _serves(self, now: float) -> None:
        states, leases = self.broker.states, self.broker.leases
        client = states.clients.open(b"t" * 32)
        states.functions.add({"honest": b"f"})
        header = Header(queue="honest", kind="map", function="honest")
        tasks = NewTasks(first=client.first, count=1, header=header, payload=b"")
        assert self.broker.submit(client, tasks, now)
        worker = leases.join("here", 1, ("honest",), False, now)
        (lease,) = leases.lease(worker.name, now)
        done = Report(kind="done", token=lease.token, lo=0, hi=1, value=b"r", seconds=0.01)
        leases.settle(worker.name, [done], now)
        ((_, span),) = self.broker.collect(client, 0)
        assert (span.first, span.result) == (client.first, b"r")
        leases.leave(worker, "done", now)
        self.broker.close_client(client, now)

    def total(self) -> dict[str, int]:
        """How many tasks each queue has seen."""
        return {
            queue: sum(n for state, n in counts.items() if state != "redelivered")
            for queue, counts in self.broker.states.counts.items()
            if queue != "honest"
        }

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()
        self.master.close()


@pytest.fixture
def fuzzed(tmp_path: Path) -> Iterator[Callable[[], Fuzzed]]:
    """Makes masters, one after another, and closes each before the next."""
    masters: list[Fuzzed] = []

    def make() -> Fuzzed:
        while masters:
            masters.pop().close()
        masters.append(Fuzzed(tmp_path))
        return masters[-1]

    yield make
    while masters:
        masters.pop().close()


#: calls that may bring tasks
BRING = {"submit", "put", "put_nowait", "put_some", "put_once"}


@pytest.mark.timeout(max(300, CALLS // 10))
def test_no_call_breaks_what_holds_for_all_tasks(fuzzed: Callable[[], Fuzzed]) -> None:
    """After each of thousands of calls the counts are those of the tasks, none is lost, and work goes on."""
    answers: Counter[Any] = Counter()

    @settings(
        max_examples=max(1, CALLS // AT_ONE_MASTER), deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(st.lists(calls(), min_size=AT_ONE_MASTER, max_size=AT_ONE_MASTER))
    def fuzz(script: list[tuple[str, str, str, tuple[Any, ...]]]) -> None:
        master = fuzzed()
        for role, name, method, args in script:
            before = master.total()
            master.call(role, name, method, args)
            master.check()
            after = master.total()
            grown = {queue for queue in after if after[queue] > before.get(queue, 0)}
            assert all(after[queue] >= count for queue, count in before.items()), "tasks have vanished"
            assert not grown or BRING & {method, *master.unheard}, f"{method} brought tasks"
            master.serves()
        answers.update(master.answers)

    fuzz()
    assert answers["#RETURN"] > CALLS // 4 and answers["#TRACEBACK"] > CALLS // 20, answers
    for method in ("submit", "exchange", "put", "get_nowait"):
        assert answers[method, "#RETURN"] > CALLS // 250, (method, answers)
