"""The wire: plain data only, no delay, no endless wait."""

import datetime
import os
import pathlib
import pickle
import socket
import struct
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Client
from typing import Any

import pytest

from dqlab.errors import AuthenticationFailed, ConnectionFailed
from dqlab.wire.connection import AHEAD, ANNOUNCED, PlainConnection, PlainListener, dial
from dqlab.wire.messages import BESIDE, beside
from tests.helpers import eventually

VALUES = [
    None,
    1.5,
    "h\xe9llo",
    b"\x00\xff",
    (1, [2]),
    {"a": {1}},
    datetime.date(2024, 2, 29),
    pathlib.PurePosixPath("/a"),
]


@pytest.fixture
def pair() -> Iterator[tuple[PlainConnection, PlainConnection]]:
    """The two ends of one connection: the master's and a client's."""
    listener = PlainListener(("127.0.0.1", 0))
    ends: list[PlainConnection] = []
    try:
        sock = socket.create_connection(listener.address)
        ends = [listener.accept(), PlainConnection(sock.detach())]
        yield ends[0], ends[1]
    finally:
        listener.close()
        for end in ends:
            end.close()


# -- connections -------------------------------------------------------------------------------------------------------


def test_values_cross_in_both_directions(pair: tuple[PlainConnection, PlainConnection]) -> None:
    for sender, receiver in (pair, pair[::-1]):
        sender.send(VALUES)
        assert receiver.recv() == VALUES


@pytest.mark.parametrize("size", [1, 1 << 22])
def test_a_closed_connection_sends_nothing(pair: tuple[PlainConnection, PlainConnection], size: int) -> None:
    pair[0].close()
    with pytest.raises(OSError, match="closed"):
        pair[0].send(b"x" * size)


@pytest.mark.parametrize("size", [0, 1, AHEAD - 20, AHEAD, AHEAD + 20, 1 << 22])
def test_messages_of_all_sizes_one_after_another(pair: tuple[PlainConnection, PlainConnection], size: int) -> None:
    values = [b"x" * size, "between", b"y" * size, "last"]
    sender = threading.Thread(target=lambda: [pair[0].send(value) for value in values])
    sender.start()
    assert [pair[1].recv() for _ in values] == values
    sender.join(20)
    assert not pair[1].poll()


def test_what_was_read_with_the_message_before_is_there_to_receive(
    pair: tuple[PlainConnection, PlainConnection],
) -> None:
    message = pickle.dumps("word")
    os.write(pair[0].fileno(), 2 * (struct.pack("!i", len(message)) + message))
    assert pair[1].poll(10) and pair[1].recv() == "word"
    assert pair[1].poll() and pair[1].recv() == "word"
    assert not pair[1].poll()


def test_a_message_that_comes_in_small_pieces(pair: tuple[PlainConnection, PlainConnection]) -> None:
    message = pickle.dumps("word")

    def trickle() -> None:
        for byte in struct.pack("!i", len(message)) + message:
            os.write(pair[0].fileno(), bytes([byte]))

    sender = threading.Thread(target=trickle)
    sender.start()
    assert pair[1].recv() == "word"
    sender.join(20)


@pytest.mark.parametrize("size", [-2, -(1 << 31)])
def test_a_size_that_cannot_be_is_refused(pair: tuple[PlainConnection, PlainConnection], size: int) -> None:
    os.write(pair[1].fileno(), struct.pack("!i", size))
    with pytest.raises(OSError, match=f"a message of {size} bytes"):
        pair[0].recv()


@pytest.mark.parametrize("size", [0, 1, BESIDE - 1, BESIDE, 1 << 20, ANNOUNCED + (1 << 20)])
def test_payloads_beside_the_message(pair: tuple[PlainConnection, PlainConnection], size: int) -> None:
    data = os.urandom(1 << 10) * (size >> 10) + b"x" * (size % (1 << 10))
    sender = threading.Thread(target=pair[0].send, args=((beside(data), 5, [beside(data)]),))
    sender.start()
    first, number, (second,) = pair[1].recv()
    sender.join(20)
    assert first == second == data and number == 5


def test_an_announced_payload_costs_nothing_until_it_comes(pair: tuple[PlainConnection, PlainConnection]) -> None:
    pair[1].send(("#FOLLOWED", 1, b"\x80\x05\x97."))
    os.write(pair[1].fileno(), b"\xff\xff\xff\xff" + (1 << 45).to_bytes(8, "big") + b"x" * 10)
    pair[1].close()
    with pytest.raises((EOFError, ConnectionResetError)):
        pair[0].recv()


def test_both_ends_send_at_once_and_watch_for_dead_peers(pair: tuple[PlainConnection, PlainConnection]) -> None:
    with socket.socket(fileno=os.dup(pair[0].fileno())) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_hang_up_wakes_whoever_reads(pair: tuple[PlainConnection, PlainConnection]) -> None:
    heard: list[BaseException] = []

    def read() -> None:
        try:
            pair[0].recv()
        except (EOFError, OSError) as exc:
            heard.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    pair[0].hang_up()
    reader.join(10)
    assert heard


def test_a_pickle_cut_short_is_not_the_end_of_the_connection(pair: tuple[PlainConnection, PlainConnection]) -> None:
    for words in (b"", b"\x80\x04", pickle.dumps("abc")[:-1]):
        pair[1].send_bytes(words)
        with pytest.raises(pickle.UnpicklingError):
            pair[0].recv()
    pair[1].send("still there")
    assert pair[0].recv() == "still there"


# -- dialling ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_nobody_listens(listening: socket.socket) -> None:
    address = listening.getsockname()
    listening.close()
    with pytest.raises(ConnectionFailed, match=f"no master answers at 127.0.0.1:{address[1]}"):
        dial(address, b"key")


def test_somebody_who_says_nothing(listening: socket.socket) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionFailed, match="not a master"):
        dial(listening.getsockname(), b"key", timeout=0.2)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x03abc", b""])
def test_something_that_is_no_master(listening: socket.socket, words: bytes) -> None:
    def answer() -> None:
        sock, _ = listening.accept()
        with sock:
            sock.sendall(words)

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(ConnectionFailed):
        dial(listening.getsockname(), b"key", timeout=2)
    thread.join(10)


def test_a_standard_listener_and_its_client_understand_us() -> None:
    from multiprocessing.connection import Listener

    with Listener(("127.0.0.1", 0), authkey=b"key") as listener:
        heard: list[Any] = []

        def serve() -> None:
            for _ in range(2):
                try:
                    with listener.accept() as conn:
                        heard.append(conn.recv())
                except Exception as exc:
                    heard.append(exc)

        thread = threading.Thread(target=serve)
        thread.start()
        conn = dial(listener.address, b"key")
        conn.send(VALUES)
        conn.close()
        with pytest.raises(AuthenticationFailed, match="another key"):
            dial(listener.address, b"wrong")
        thread.join(10)
        assert heard[0] == VALUES and isinstance(heard[1], Exception)


def test_a_listener_that_closes_ends_a_blocked_accept() -> None:
    listener = PlainListener(("127.0.0.1", 0))
    ended = threading.Event()

    def accept() -> None:
        try:
            listener.accept()
        except OSError:
            ended.set()

    thread = threading.Thread(target=accept)
    thread.start()
    listener.close()
    thread.join(10)
    assert ended.is_set()
    with pytest.raises(OSError):
        Client(listener.address)
    eventually(lambda: not thread.is_alive())
