"""Who is who: nobody without the key is taken for the master, or for a worker, however it mixes what others say."""

from __future__ import annotations

import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dqlab import BadInput, connect
from dqlab.errors import AuthenticationFailed, NotDqlab, Refused
from dqlab.master.process import MasterSettings, RunningMaster
from dqlab.wire.connection import PlainConnection
from dqlab.wire.greeting import CLIENT, WORKER, Greeting, Hello, Welcome, is_ours
from dqlab.wire.messages import WIRE_VERSION
from dqlab.wire.request import open_broker, request
from tests.helpers import eventually, free_port
from tests.plain import KEY, Lab, get, hand, own_hand

# -- the two ends ------------------------------------------------------------------------------------------------------


def greet(peer: Greeting, master: Greeting, role: str = WORKER) -> tuple[bytes, bytes]:
    """The proof that the peer makes, and the one that the master expects."""
    _, answer, expected = master.welcome(peer.hello(role))
    return peer.check_welcome(role, answer, "here"), expected


def test_who_has_the_key_is_believed() -> None:
    for role in (CLIENT, WORKER):
        proof, expected = greet(Greeting(KEY, "1.0"), Greeting(KEY, "1.1"), role)
        assert proof == expected and len(proof) == 32


def test_who_has_another_key_is_not() -> None:
    with pytest.raises(AuthenticationFailed, match="can't prove"):
        greet(Greeting(KEY, "1.0"), Greeting(b"another", "1.0"))


def test_each_proof_is_for_one_direction_one_role_and_one_connection() -> None:
    peer, master = Greeting(KEY, "1.0"), Greeting(KEY, "1.0")
    proof, _ = greet(peer, master)
    ours = Welcome.decode(master.welcome(peer.hello(WORKER))[1]).proof
    as_client = Welcome.decode(master.welcome(peer.hello(CLIENT))[1]).proof
    elsewhere, _ = greet(Greeting(KEY, "1.0"), master)
    again, _ = greet(peer, Greeting(KEY, "1.0"))
    assert len({proof, ours, as_client, elsewhere, again}) == 5


def test_a_peers_own_proof_does_not_prove_the_master() -> None:
    """Reflection: given the peer's hello said back to itself, or its proof, then it does not believe it."""
    peer, other = Greeting(KEY, "1.0"), Greeting(KEY, "1.0")
    nonce = Hello.decode(peer.hello(WORKER)).nonce
    proof, _ = greet(peer, other)
    for said in (nonce, proof):
        with pytest.raises(AuthenticationFailed, match="can't prove"):
            peer.check_welcome(WORKER, Welcome(WIRE_VERSION, "1.0", nonce, said).encode(), "here")


def test_a_recorded_welcome_proves_nothing_to_the_next_connection() -> None:
    recorded = Greeting(KEY, "1.0").welcome(Greeting(KEY, "1.0").hello(WORKER))[1]
    with pytest.raises(AuthenticationFailed, match="can't prove"):
        Greeting(KEY, "1.0").check_welcome(WORKER, recorded, "here")


def test_a_welcome_to_a_client_proves_nothing_to_a_worker() -> None:
    peer, master = Greeting(KEY, "1.0"), Greeting(KEY, "1.0")
    answer = master.welcome(peer.hello(CLIENT))[1]
    with pytest.raises(AuthenticationFailed, match="can't prove"):
        peer.check_welcome(WORKER, answer, "here")


@pytest.mark.parametrize("answer", [(WIRE_VERSION, "1.0"), (WIRE_VERSION, "1.0", b"short", b"x"), (WIRE_VERSION,) * 4])
def test_an_answer_that_is_no_welcome_is_no_masters(answer: tuple[Any, ...]) -> None:
    with pytest.raises(AuthenticationFailed, match="no master of dqlab"):
        Greeting(KEY, "1.0").check_welcome(WORKER, answer, "here")


def test_a_hello_that_makes_no_sense_is_refused() -> None:
    hello = Greeting(KEY, "1.0").hello(WORKER)
    for place, wrong in ((3, "master"), (4, b"short"), (5, -1), (6, "text")):
        with pytest.raises(BadInput):
            Greeting(KEY, "1.0").welcome((*hello[:place], wrong, *hello[place + 1 :]))
    assert is_ours(hello) and not is_ours(("MainProcess",)) and not is_ours(()) and not is_ours("dqlab")


# -- another wire version ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "upgrade"), [(WIRE_VERSION + 1, "here"), (WIRE_VERSION - 1, "there"), (None, "there")]
)
def test_another_version_is_refused_by_either_end_and_both_are_named(theirs: Any, upgrade: str) -> None:
    peer, master = Greeting(KEY, "1.0"), Greeting(KEY, "1.1")
    hello = peer.hello(WORKER)
    with pytest.raises(Refused) as refused:
        master.welcome((hello[0], theirs, "9.9", *hello[3:]))
    answer = master.welcome(hello)[1]
    with pytest.raises(Refused) as declined:
        peer.check_welcome(WORKER, (theirs, "9.9", *answer[2:]), "here:5")
    for error, ours in ((refused.value, "1.1"), (declined.value, "1.0")):
        for word in (f"version {theirs}", "9.9", f"version {WIRE_VERSION}", ours):
            assert word in error.message
        assert f"upgrade dqlab {upgrade}" in error.hint


@pytest.fixture
def here(tmp_path: Path) -> Iterator[RunningMaster]:
    master = RunningMaster(MasterSettings(authkey=KEY, connection_file=tmp_path / "master.json"))
    yield master
    master.close()


def test_a_master_says_so_to_a_peer_of_another_version(here: RunningMaster) -> None:
    for words in (("dqlab", WIRE_VERSION + 1, "9.9", "of", "whatever", "shape"), ("dqlab", 1)):
        with hand(here.connection.address, accept=False) as peer:
            kind, reason = peer.ask(None, "accept_connection", *words)
        assert kind == "#TRACEBACK" and f"wire version {words[1]}" in reason and f"version {WIRE_VERSION}" in reason


# -- who has proved nothing --------------------------------------------------------------------------------------------


def test_a_wrong_proof_ends_the_connection(here: RunningMaster) -> None:
    for proof in (bytes(32), b"", "text", None, 5):
        with own_hand(here.connection.address, WORKER) as peer:
            peer._proof = proof if proof is not None else (None,)
            kind, reason = peer.ask("tasks", "qsize")
            assert kind == "#TRACEBACK" and "proof is wrong" in reason
            with pytest.raises((EOFError, OSError)):
                peer.ask("tasks", "qsize")


def test_a_recorded_proof_is_worth_nothing_on_another_connection(here: RunningMaster) -> None:
    with own_hand(here.connection.address, WORKER) as recorded, own_hand(here.connection.address, WORKER) as other:
        other._proof = recorded._proof
        kind, reason = other.ask("broker", "stats")
        assert kind == "#TRACEBACK" and "proof is wrong" in reason
        get(recorded.ask("broker", "stats"))


def test_a_first_request_without_its_proof_is_refused(here: RunningMaster) -> None:
    with own_hand(here.connection.address, WORKER) as peer:
        peer._proof = None
        assert peer.ask("broker", "stats")[0] == "#TRACEBACK"


def test_an_unproved_connection_reaches_the_plain_queues_only(here: RunningMaster) -> None:
    with hand(here.connection.address) as script:
        get(script.ask("tasks", "put", "url"))
        assert get(script.ask("tasks", "get")) == "url"
        kind, reason = script.ask("broker", "about")
        assert kind == "#TRACEBACK" and "say hello first" in reason
        assert get(script.ask("results", "qsize")) == 0


# -- impostors, who have taken the port of a master that is gone -------------------------------------------------------

CHALLENGE, WELCOME = b"#CHALLENGE#", b"#WELCOME#"


class Impostor:
    """Knows no key: lets one dialler answer another's challenge, and so is taken for the master by the handshake.

    `heard` is what its victims asked it for; `answer(request)` is what it says to that.
    """

    def __init__(self, port: int, answer: Callable[[tuple[Any, ...]], Any]) -> None:
        self._server = eventually(lambda: _listen(port), 10, "the dead master's port")
        self._answer = answer
        self.heard: list[Any] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._relay)]
        self._threads[0].start()

    def _accept(self) -> PlainConnection:
        sock, _ = self._server.accept()
        return PlainConnection(sock.detach())

    def _relay(self) -> None:
        """Take diallers in pairs: the first is to be cheated, the second answers its challenge."""
        while not self._stopped.is_set():
            victim = None
            try:
                victim = self._accept()
                victim.send_bytes(CHALLENGE + os.urandom(20))
                _within(victim)
                victim.send_bytes(WELCOME)
                challenge = _within(victim)
                oracle = self._accept()
                oracle.send_bytes(challenge)
                victim.send_bytes(_within(oracle))
                oracle.close()
                assert _within(victim) == WELCOME
                thread = threading.Thread(target=self._serve, args=(victim,))
                self._threads.append(thread)
                thread.start()
            except (EOFError, OSError, AssertionError):
                if victim is not None:
                    victim.close()

    def _serve(self, conn: PlainConnection) -> None:
        try:
            while conn.poll(10):
                self.heard.append(call := conn.recv())
                answer = self._answer(call)
                conn.send_bytes(answer) if isinstance(answer, bytes) else conn.send(answer)
        except (EOFError, OSError):
            pass
        finally:
            conn.close()

    def close(self) -> None:
        self._stopped.set()
        self._server.close()
        for thread in self._threads:
            thread.join(20)


def _listen(port: int) -> socket.socket | None:
    try:
        server = socket.create_server(("127.0.0.1", port), backlog=50)
    except OSError:
        return None
    server.settimeout(1.0)
    return server


def _within(conn: PlainConnection, seconds: float = 10) -> bytes:
    if not conn.poll(seconds):
        raise EOFError
    return bytes(conn.recv_bytes())


#: what an impostor without the key may say to a hello
ANSWERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "yes": lambda call: ("#RETURN", None),
    "a welcome": lambda call: ("#RETURN", (WIRE_VERSION, "0.2.0", os.urandom(32), os.urandom(32))),
    "its own words": lambda call: ("#RETURN", (WIRE_VERSION, "0.2.0", call[2][4], call[2][4])),
    "code": lambda call: pickle.dumps(("#RETURN", os.getcwd)),  # to be built where it is unpickled
    "a plain BaseManager": lambda call: (
        "#TRACEBACK",
        "Traceback (most recent call last):\nTypeError: accept_connection",
    ),
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, free_port())
    yield lab
    lab.end()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_workers_that_look_for_a_lost_master_believe_no_relay(lab: Lab, answer: Any) -> None:
    """Given two workers whose master was killed, when each is made to answer the other's challenge, then neither
    asks whoever does that for work."""
    handler = lab.handler(f"def handle(x): open({str(lab.folder / 'ran')!r}, 'w')")
    master = lab.master("--connection-file", lab.folder / "master.json")
    workers = lab.dqlab("worker", lab.folder / "master.json", "-n", 2, "--handler", handler)
    eventually(lambda: workers.output().count("joined") == 2, 30)
    master.kill()
    impostor = Impostor(lab.port, answer)
    try:
        eventually(lambda: impostor.heard, 30, "the handshake to be relayed")
        eventually(lambda: "left" in workers.output(), 30, workers.output())
    finally:
        workers.kill()
        impostor.close()
    assert {call[1] for call in impostor.heard} == {"accept_connection"}, "they asked for more"
    assert all(call[2][0] == "dqlab" for call in impostor.heard)
    assert not (lab.folder / "ran").exists() and "UnpicklingError" not in workers.output()


def test_a_worker_with_a_connection_file_never_works_for_a_plain_manager(lab: Lab) -> None:
    """A downgrade: given a plain BaseManager, with the key, where the file says that dqlab's master is."""
    lab.master("--connection-file", lab.folder / "master.json")
    saved = (lab.folder / "master.json").read_bytes()
    lab.processes[0].kill()
    (lab.folder / "copy.json").write_bytes(saved)
    os.chmod(lab.folder / "copy.json", 0o600)
    lab.plain_master()
    worker = lab.dqlab("worker", lab.folder / "copy.json", "--handler", lab.handler("def handle(x): return x"))
    assert "plain BaseManager" in worker.ends(1)


def test_a_plain_manager_is_no_master_of_dqlab(lab: Lab) -> None:
    lab.plain_master()
    with pytest.raises(NotDqlab):
        open_broker(lab.address, KEY, CLIENT)
    with pytest.raises(NotDqlab):
        connect(f"127.0.0.1:{lab.port}", authkey=KEY)


def test_a_true_master_is_believed(here: RunningMaster) -> None:
    conn = open_broker(here.connection.address, KEY, WORKER)
    assert request(conn, "about")["pid"] == os.getpid()
    assert request(conn, "stats")["workers"] == []
    conn.close()
