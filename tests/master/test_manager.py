"""The master's front door: strangers without the key, and peers with the key who mean harm."""

import contextlib
import errno
import hashlib
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any

import psutil
import pytest

from dqlab import AuthenticationFailed, LocalWorkers, Master, connect
from dqlab.master.process import RunningMaster
from dqlab.master.settings import MasterSettings
from dqlab.wire.connection import pack
from dqlab.wire.messages import Header
from dqlab.wire.methods import METHODS
from tests.helpers import eventually, free_port
from tests.plain import KEY, Hand, Lab, get, hand, own_hand


@pytest.fixture
def master() -> Iterator[Master]:
    with Master(authkey=KEY) as master:
        yield master


def loopbacks() -> list[str]:
    """The loopback addresses that this machine has."""
    hosts = ["127.0.0.1"]
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return hosts
    return [*hosts, "::1"]


def address_of(master: Master) -> tuple[str, int]:
    host, port = master.address.split(":")
    return host, int(port)


# -- strangers ---------------------------------------------------------------------------------------------------------


def frame(data: bytes) -> bytes:
    """A message as `multiprocessing.connection` sends it."""
    return struct.pack("!i", len(data)) + data


#: what each kind of stranger says, once it is connected
STRANGERS = {
    "silent": b"",
    "garbage": os.urandom(200),
    "a browser": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    "half a message": struct.pack("!i", 100) + b"x",
    "a huge message": struct.pack("!i", -1) + struct.pack("!Q", 1 << 62) + b"x" * 100,
    "a negative size": struct.pack("!i", -5),
    "half a handshake": frame(b"#CHALLENGE#" + b"x" * 20),
    "the wrong key": frame(hashlib.md5(b"wrong").digest()),
    "a pickle": frame(pickle.dumps((None, "shutdown", (), {}))),
}


class Strangers:
    """Sockets that were sent their opening words; ``heard()`` is every byte that the master sent to any of them."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self._bytes: dict[socket.socket, bytes] = {}
        for i in range(count):
            sock = socket.create_connection(address, 10)
            self._bytes[sock] = b""
            words = list(STRANGERS.values())[i % len(STRANGERS)]
            try:
                sock.sendall(words)
            except OSError:
                pass  # shown out already, to make room
            sock.setblocking(False)

    def listen(self) -> int:
        """Take in what has arrived; return how many are still connected."""
        open_ones = 0
        for sock in self._bytes:
            try:
                while data := sock.recv(65536):
                    self._bytes[sock] += data
            except BlockingIOError:
                open_ones += 1
            except OSError:
                pass  # hung up on
        return open_ones

    def heard(self) -> set[bytes]:
        return {said for said in self._bytes.values() if said}

    def close(self) -> None:
        for sock in self._bytes:
            sock.close()


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_five_hundred_strangers_change_nothing(master: Master, rounds: int) -> None:
    process = psutil.Process(master.pid)
    with LocalWorkers(master, 2).wait(30):
        assert sum(master.map(abs, range(2000))) == 1999000
        threads, memory = process.num_threads(), process.memory_info().rss
        for _ in range(rounds):
            strangers = Strangers(address_of(master), 500)
            try:
                # At their worst moment: work goes on, and somebody new with the key gets in.
                assert sum(master.map(abs, range(2000))) == 1999000
                with connect(master.address, authkey=KEY) as other:
                    assert other.submit(abs, -3).result(20) == 3
                eventually(lambda: strangers.listen() == 0, 20, "all strangers shown out")
                for said in strangers.heard():
                    size = int.from_bytes(said[:4], "big")
                    rest = said[4 + size :]
                    assert said[4:].startswith(b"#CHALLENGE#") and size < 100
                    assert rest in (b"", frame(b"#FAILURE#"))
            finally:
                strangers.close()
            eventually(lambda: process.num_threads() <= threads + 1, 20, "threads are back")
            eventually(lambda: process.memory_info().rss < memory + (8 << 20), 20, "memory is back")
        assert len(process.net_connections()) < 20
        assert sum(master.map(abs, range(2000))) == 1999000


def test_the_strangers_that_wait_longest_make_room(master: Master) -> None:
    process = psutil.Process(master.pid)
    threads = process.num_threads()
    silent = [socket.create_connection(address_of(master), 10) for _ in range(200)]
    try:
        assert silent[-1].recv(100)  # all of them have come in
        eventually(lambda: process.num_threads() < threads + 80, 2, "the oldest are shown out before their time")
    finally:
        for sock in silent:
            sock.close()


@pytest.mark.parametrize("words", STRANGERS.values(), ids=STRANGERS)
def test_what_each_kind_of_stranger_hears(master: Master, words: bytes) -> None:
    with socket.create_connection(address_of(master), 10) as sock:
        with contextlib.suppress(OSError):  # the master may have heard enough and hung up
            sock.sendall(words)
            sock.shutdown(socket.SHUT_WR)
        heard = b""
        try:
            while data := sock.recv(65536):
                heard += data
        except ConnectionResetError:
            pass
    assert b"Traceback" not in heard and b"File" not in heard and len(heard) < 100
    assert master.stats()["workers"] == []


def test_the_wrong_key_is_told_so(master: Master) -> None:
    with pytest.raises(AuthenticationError):
        Hand(address_of(master), authkey=b"wrong")
    with pytest.raises(AuthenticationFailed):
        connect(master.address, authkey=b"wrong")


# -- when the system has no more to give -------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningMaster]:
    """A master in this process."""
    master = RunningMaster(MasterSettings(authkey=KEY, connection_file=tmp_path / "master.json"))
    yield master
    master.close()


def test_no_file_descriptors_left(here: RunningMaster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master waits a moment instead of asking again and again, and then goes on."""
    waits: list[float] = []
    refused = threading.Event()
    accept, wait = here.server.listener.accept, here.server.stop_event.wait

    def refuse() -> Any:
        if len(waits) < 3:
            raise OSError(errno.EMFILE, "too many open files")
        refused.set()
        return accept()

    def count(seconds: float) -> bool:
        if threading.current_thread().name == "dqlab-accepter":
            waits.append(seconds)
        return wait(seconds)

    monkeypatch.setattr(here.server.stop_event, "wait", count)
    monkeypatch.setattr(here.server.listener, "accept", refuse)
    with hand(here.connection.address) as peer:  # the one that the blocked accept was waiting for
        assert get(peer.ask("tasks", "qsize")) == 0
    assert refused.wait(20) and len(waits) == 3
    with hand(here.connection.address) as peer:
        assert get(peer.ask("tasks", "qsize")) == 0


def test_no_threads_left(here: RunningMaster, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    failed = threading.Event()

    def fail(thread: threading.Thread) -> None:
        if thread.name == "dqlab-peer" and not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises((EOFError, OSError)), hand(here.connection.address) as peer:
        peer.ask("tasks", "qsize")
    assert failed.is_set()
    with hand(here.connection.address) as peer:
        assert get(peer.ask("tasks", "qsize")) == 0


# -- peers with the key who mean harm ----------------------------------------------------------------------------------


class Evil:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> Any:
        return self._call


def deep(codes: bytes, count: int) -> bytes:
    """A pickle that would put one thing into another ``count`` times, and hash what comes out."""
    return b"\x80\x04}(" + b")" + codes * count + b"Nu."


def evil_pickles(folder: Path) -> dict[str, bytes]:
    """Pickles that do something to whoever reads them carelessly: make a file, change a type, stop the process."""
    made = str(folder / "made")
    requests = {
        "os.system": Evil(os.system, f"touch {made}"),
        "open": Evil(open, made, "w"),
        "eval": Evil(eval, f"open({made!r}, 'w')"),
        "exec": Evil(exec, f"open({made!r}, 'w')"),
        "getattr": Evil(getattr, 1, "real"),
        "Path.touch": Evil(Path.touch, Path(made)),
        "Popen": Evil(subprocess.Popen, ["touch", made]),
        "exit": Evil(sys.exit, 1),
        "os._exit": Evil(os._exit, 1),
        "dqlab's own": Evil(free_port),
        "an exception": ValueError("x"),
    }
    found = {name: pickle.dumps(("tasks", "put", (evil,), {})) for name, evil in requests.items()}
    for protocol in range(6):
        found[f"protocol {protocol}"] = pickle.dumps((None, "create", (requests["os.system"],), {}), protocol)
    return found | {
        "os.system as text": f"cos\nsystem\n(S'touch {made}'\ntR.".encode(),
        "a name inside a name": f"\x80\x04\x8c\x07pathlib\x8c\x0aos.system\x93\x8c\x06touch {made}\x85R.".encode(),
        "an attribute of a type": b"\x80\x04cuuid\nUUID\nN}\x8c\x0c__setstate__Ns\x86b.",
        "an attribute of a function": b"\x80\x04cbuiltins\nbytearray\nN}\x8c\x0c__defaults__C\x01x\x85s\x86b.",
        "the state of a type": b"\x80\x04cfractions\nFraction\n}\x8c\x01aK\x01sb.",
        "much memory": b"\x80\x04cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x40\x85R.",
        "an endless fraction": b"\x80\x04cfractions\nFraction\n\x8c\x0b1e999999999\x85R.",
        "tuples too deep to hash": deep(b"\x85", 1_000_000),
        "tuples that take for ever to hash": deep(b"2\x86", 100),
        "lists too deep to send": b"\x80\x04(\x8c\x05tasks\x8c\x03put" + b"]" * 50_000 + b"a" * 49_999 + b"\x85}t.",
        "a persistent id": b"\x80\x04\x8c\x01xQ.",
        "an extension": b"\x80\x04\x82\x01.",
        "cut short": pickle.dumps(("tasks", "put", ("x",), {}))[:-3],
        "not a pickle": b"hello",
        "empty": b"",
        "a number": pickle.dumps(5),
        "too short": pickle.dumps(("tasks", "put")),
        "too long": pickle.dumps(("tasks", "put", (1,), {}, 2)),
        "a dictionary": pickle.dumps({"a": 1, "b": 2, "c": 3, "d": 4}),
        "lists for everything": pickle.dumps([[], [], [], []]),
        "an object without hash": pickle.dumps(([], "put", (1,), {})),
        "arguments that are none": pickle.dumps(("tasks", "put", 5, 6)),
        "a method of another object": pickle.dumps(("results", "submit", (), {})),
        "an object that is not there": pickle.dumps(("nothing", "put", (1,), {})),
        "a very long name": pickle.dumps(("tasks", "x" * 1_000_000, (), {})),
        "wrong arguments": pickle.dumps(("broker", "exchange", (1, 2, 3), {})),
        "collect before open_client": pickle.dumps(("broker", "collect", (0, 0), {})),
        "another client's number": pickle.dumps(("broker", "collect", (77, 0, 0), {})),
        "a worker with an odd name": pickle.dumps(("broker", "join", ("here", 1, None, False, 5), {})),
        "a worker with odd queues": pickle.dumps(("broker", "join", ("here", 1, "default", False), {})),
        "runs of the wrong shape": pickle.dumps(("broker", "submit", ({}, [(1, 2)]), {})),
        "exchange before join": pickle.dumps(("broker", "exchange", ([], 0.0), {})),
        "control before join": pickle.dumps(("broker", "control", ("w1",), {})),
    }


@contextlib.contextmanager
def proved(address: tuple[str, int], role: str = "worker") -> Iterator[Hand]:
    """A peer of dqlab's own that has proved it, and been served."""
    with own_hand(address, role) as peer:
        get(peer.ask("broker", "about"))
        yield peer


#: who sends malicious requests: somebody new, an unchanged script, one of dqlab's own
SENDERS = {
    "as the first request": lambda address: hand(address, accept=False),
    "a script": hand,
    "dqlab's own": proved,
}


@pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS)
@pytest.mark.parametrize("optimised", [False, True], ids=["", "python -O"])
def test_malicious_requests_are_refused_and_run_nothing(tmp_path: Path, optimised: bool, sender: Any) -> None:
    lab = Lab(tmp_path, free_port())
    command = [sys.executable, *(["-O"] if optimised else []), "-m", "dqlab", "master", "--port", str(lab.port)]
    try:
        master = lab.start([*command, "--authkey-file", str(lab.keyfile)])
        master.says("serving at")
        process = psutil.Process(master.popen.pid)
        with connect(f"127.0.0.1:{lab.port}", authkey=KEY) as client:
            for name, words in evil_pickles(tmp_path).items():
                with sender(lab.address) as peer:
                    peer.conn.send_bytes(words)
                    kind, reason = peer.answer()
                    assert kind == "#TRACEBACK" and reason.startswith(("Refused: ", "BadInput: ")), (name, reason)
                    assert "Traceback" not in reason and len(reason) < 1000, (name, reason)
                assert client.tasks.qsize() == 0, name
            assert not (tmp_path / "made").exists()
            assert process.memory_info().rss < 200 << 20
            refused = [event["reason"] for event in client.events() if event["kind"] == "refused"]
            assert len(refused) > 30 and all(len(reason) < 1000 for reason in refused)
            client.tasks.put("url")
            assert client.tasks.get(timeout=5) == "url"
            client.tasks.task_done()
        lab.script("values.py").ends()  # every plain value still is what it was
        master.popen.terminate()
        assert "Traceback" not in master.ends(0)
    finally:
        lab.end()


def test_shutdown_ends_nothing(master: Master) -> None:
    for method in ("shutdown", "serve_forever", "accepter", "close", "start"):
        with hand(address_of(master), accept=False) as peer:
            assert peer.ask(None, method)[0] == "#TRACEBACK"
        with hand(address_of(master)) as peer:
            assert peer.ask(None, method)[0] == "#TRACEBACK"
            assert peer.ask("tasks", method)[0] == "#TRACEBACK"
        with own_hand(address_of(master)) as peer:
            assert peer.ask(None, method)[0] == "#TRACEBACK"
            assert peer.ask("broker", method)[0] == "#TRACEBACK"
    assert psutil.Process(master.pid).is_running() and master.stats()["workers"] == []


def test_a_worker_that_lies_about_its_outcomes_changes_nothing(master: Master) -> None:
    future = master.submit(len, "abc")
    master.flush(10)
    with own_hand(address_of(master), "worker") as liar:
        name, *_ = get(liar.ask("broker", "join", "here", 1, None, True))
        of_no_lease = ("done", 99, 0, 1, b"x", 0.1, ())
        assert liar.ask("broker", "exchange", [of_no_lease], 0.0)[0] == "#RETURN"
        no_kind, no_result = ("no such kind", 1, 0, 1, None, 0.0, ()), ("done", 1, 0, 1, None, 0.1, ())
        for reports in ([no_kind], [(1, 2)], [None], 5, [no_result]):
            kind, reason = liar.ask("broker", "exchange", reports, 0.0)
            assert kind == "#TRACEBACK" and reason.startswith("BadInput: "), reason
        assert master.stats()["queues"]["default"]["done"] == 0
    eventually(lambda: master.stats()["workers"] == [])
    with LocalWorkers(master, 1).wait(30):
        assert future.result(20) == 3
    assert name == "w1"


#: a header as it travels: queue, retries, timeout, max_attempts, kind, function, python
HEADER = ("default", 0, None, None, "map", "f", "")


def header(**changes: Any) -> tuple[Any, ...]:
    """A header as it travels, with some fields that are wrong."""
    names = [name for name, _ in Header.checks]
    return tuple(changes.get(name, value) for name, value in zip(names, HEADER, strict=True))


@pytest.mark.parametrize(
    ("functions", "header", "payload", "named"),
    [
        ({"f": b"f"}, (*HEADER, [1, 2]), b"", "header of 7 fields"),
        ({"f": b"f"}, HEADER[:-1], b"", "header of 7 fields"),
        ({"f": b"f"}, HEADER, (1,), "payload=(1,)"),
        ({"f": b"f"}, HEADER, [1], "payload=[1]"),
        ({"f": b"f"}, header(python=[]), b"", "header"),
        ({"f": b"f"}, header(retries=True), b"", "retries=True"),
        ({"f": b"f"}, header(function="g"), b"", "function 'g'"),
        ({"f": b"f"}, header(queue="plain", kind="plain", function=""), b"", "plain"),
        ({"f": 5}, HEADER, b"", "functions"),
        ({"f": b"f", 5: b"f"}, HEADER, b"", "functions"),
    ],
    ids=str,
)
def test_no_run_keeps_the_master_from_giving_out_others(
    master: Master, functions: Any, header: tuple[Any, ...], payload: Any, named: str
) -> None:
    with own_hand(address_of(master)) as evil:
        _, first, _ = get(evil.ask("broker", "open_client"))
        kind, reason = evil.ask("broker", "submit", functions, [(first, 2, header, payload)])
        assert kind == "#TRACEBACK" and named in reason
        future = master.submit(len, "abc")
        with LocalWorkers(master, 1).wait(30):
            assert future.result(20) == 3
        assert master.stats()["queues"]["default"]["ready"] == 0


def test_a_script_reaches_the_two_plain_queues_only(master: Master) -> None:
    with hand(address_of(master)) as script:
        for method, arguments in METHODS["broker"].items():
            kind, reason = script.ask("broker", method, *[None] * len(arguments.arguments))
            assert kind == "#TRACEBACK", method
        kind, reason = script.ask("broker", "stats")
        assert kind == "#TRACEBACK" and "dqlab's own peers" in reason
        assert get(script.ask("tasks", "qsize")) == 0


# -- those who wait ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def waiting(here: RunningMaster) -> Iterator[Hand]:
    """A peer that waits for a plain task."""
    with hand(here.connection.address) as peer:
        peer.conn.send(("tasks", "get", (), {}))
        eventually(lambda: here.waiting._waiting, what="the peer to wait")
        yield peer


def test_a_peer_that_does_not_read_its_answer_keeps_nobody(here: RunningMaster) -> None:
    """Given one who waits, when another one brings about a large answer, then it goes on before that is read."""
    value = os.urandom(1 << 20) * 20
    with waiting(here) as slow, hand(here.connection.address) as putter:
        get(putter.ask("tasks", "put", value))
        assert get(putter.ask("tasks", "qsize")) == 0
        assert get(slow.answer()) == value


def test_a_peer_that_does_not_wait_for_its_answer_is_hung_up_and_loses_nothing(here: RunningMaster) -> None:
    with waiting(here) as hasty, hand(here.connection.address) as other:
        hasty.conn.send(("tasks", "qsize", (), {}))
        with pytest.raises((EOFError, ConnectionError)):
            hasty.answer()
        eventually(lambda: not here.waiting._waiting)
        get(other.ask("tasks", "put", "url"))
        assert get(other.ask("tasks", "get")) == "url"


def test_an_answer_that_cannot_be_sent_costs_only_its_own_peer(
    here: RunningMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(message: Any, protocol: int) -> list[Any]:
        return pack(message if message != ("#RETURN", "boom") else threading.Lock(), protocol)

    monkeypatch.setattr("dqlab.master.peer.pack", failing)
    with waiting(here) as unlucky, hand(here.connection.address) as putter:
        get(putter.ask("tasks", "put", "boom"))
        with pytest.raises((EOFError, ConnectionError)):
            unlucky.answer()
        eventually(lambda: get(putter.ask("tasks", "qsize")) == 1, what="the task to be given back")


def test_a_large_answer_goes_out_also_without_threads_to_spare(
    here: RunningMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    value = "x" * (1 << 17)
    with waiting(here) as peer, hand(here.connection.address) as putter:
        monkeypatch.setattr(threading.Thread, "start", start)
        get(putter.ask("tasks", "put", value))
        assert get(peer.answer()) == value


def test_a_peer_that_hangs_up_while_it_waits_is_missed_at_once(here: RunningMaster) -> None:
    with waiting(here) as gone, hand(here.connection.address) as other:
        gone.close()
        eventually(lambda: not here.waiting._waiting, timeout=1)
        get(other.ask("tasks", "put", "url"))
        assert get(other.ask("tasks", "get")) == "url"


# -- size, and other addresses -----------------------------------------------------------------------------------------


def test_what_is_asked_again_in_the_same_bytes_is_done_again(master: Master) -> None:
    with hand(address_of(master)) as script:
        values = [*range(120), 1, True, 1.0, None, 1]  # more than are remembered, and some that are equal
        for value in values:
            assert script.ask("tasks", "put", value) == ("#RETURN", None)
        assert [repr(get(script.ask("tasks", "get", timeout=5))) for _ in values] == list(map(repr, values))
        assert [script.ask("tasks", "get", False)[0] for _ in range(2)] == ["#ERROR"] * 2
        assert [get(script.ask("tasks", "qsize")) for _ in range(2)] == [0, 0]
        script.ask("tasks", "put", "late")
        assert get(script.ask("tasks", "qsize")) == 1
        assert [script.ask("tasks", "get", True, -1)[0] for _ in range(2)] == ["#ERROR"] * 2


def test_fifty_megabytes_go_through_the_plain_queues(master: Master) -> None:
    value = os.urandom(1 << 20) * 50
    with hand(address_of(master)) as peer:
        get(peer.ask("tasks", "put", value))
        assert get(peer.ask("tasks", "get")) == value
        get(peer.ask("results", "put", [value]))
    assert master.results.get(timeout=20) == [value]


@pytest.mark.parametrize("host", loopbacks())
def test_each_loopback_address(host: str) -> None:
    with Master(host=host, authkey=KEY) as master:
        with connect(master.address, authkey=KEY) as client:
            client.tasks.put("url")
        with LocalWorkers(master, 1):
            assert master.submit(len, "abc").result(20) == 3
        assert master.tasks.get(timeout=5) == "url"


def test_many_peers_come_and_go_without_a_trace(master: Master) -> None:
    process = psutil.Process(master.pid)
    threads = process.num_threads()

    def visit() -> None:
        for _ in range(10):
            with hand(address_of(master)) as peer:
                get(peer.ask("tasks", "qsize"))

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    eventually(lambda: process.num_threads() <= threads + 1, 10)
    assert len(process.net_connections()) < 10


def test_a_plain_proxy_is_made_without_waiting_for_acknowledgements(master: Master) -> None:
    """Each of a proxy's short connections used to wait 40 ms: the client's kernel held its first request back."""

    def once() -> float:
        began = time.perf_counter()
        with hand(address_of(master), accept=False) as peer:
            get(peer.ask(None, "dummy"))
        return time.perf_counter() - began

    assert sorted(once() for _ in range(20))[2] < 0.03
