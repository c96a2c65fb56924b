"""Frames are read as they come, in whatever pieces, and never waited for."""

import io
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.worker.frames import AHEAD, FrameReader, read_frame, write_frame
from dqlab.worker.inbox import readable

#: bytes that a pipe holds under any system
PIPE = 4096


@pytest.fixture
def pipe():
    out, into = os.pipe()
    with os.fdopen(out, "rb") as there, os.fdopen(into, "wb", buffering=0) as here:
        yield here, FrameReader(readable(there))


def framed(*messages):
    file = io.BytesIO()
    for message in messages:
        write_frame(file, message)
    return file.getvalue()


MESSAGES = [
    ("end",),
    [],
    ("done", 1, pickle.PickleBuffer(b"x" * 2000), pickle.PickleBuffer(b"y" * 3000)),
    ("done", 2, pickle.PickleBuffer(os.urandom(3 * AHEAD))),
    ["z" * (2 * AHEAD)],
    ("done", 3, pickle.PickleBuffer(os.urandom(AHEAD)), pickle.PickleBuffer(os.urandom(AHEAD + 1))),
]


def read(reader):
    """What has come by now."""
    reader.read()
    messages, reader.messages = reader.messages, []
    return messages


def plain(message):
    return [bytes(part) if isinstance(part, bytearray | bytes | pickle.PickleBuffer) else part for part in message]


@given(cuts=st.lists(st.integers(1, PIPE), min_size=1, max_size=40), order=st.permutations(MESSAGES))
def test_messages_arrive_whole_and_in_order_whatever_pieces_they_come_in(cuts, order):
    data, out = framed(*order), []
    here, into = os.pipe()
    with os.fdopen(here, "rb") as there, os.fdopen(into, "wb", buffering=0) as pipe:
        reader, i = FrameReader(readable(there)), 0
        while data:
            size = cuts[i % len(cuts)] if i < 200 else PIPE
            pipe.write(data[:size])
            data, i = data[size:], i + 1
            out += read(reader)
        while len(out) < len(order):
            out += read(reader)
        assert list(map(plain, out)) == list(map(plain, order))
        assert read(reader) == []


def test_it_reads_what_read_frame_reads():
    file = io.BytesIO(framed(*MESSAGES))
    assert [plain(read_frame(file)) for _ in MESSAGES] == list(map(plain, MESSAGES))


def test_what_has_not_come_yet_is_not_waited_for(pipe):
    here, reader = pipe
    assert read(reader) == []
    data = framed("one", "two")
    here.write(data[:-1])
    assert read(reader) == ["one"]
    assert read(reader) == []
    here.write(data[-1:])
    assert read(reader) == ["two"]


@pytest.mark.parametrize("sent", [0, 1, 20, 100])
def test_the_end_is_told_also_in_the_middle_of_a_frame(pipe, sent):
    here, reader = pipe
    here.write(framed(["x" * (3 * AHEAD)])[:sent])
    here.close()
    with pytest.raises(EOFError):
        while read(reader) == []:
            pass


def test_what_came_before_nonsense_is_there(pipe):
    here, reader = pipe
    here.write(framed("one", "two") + framed("three").replace(b"three", b"\xff" * 5))
    with pytest.raises(UnicodeDecodeError):
        reader.read()
    assert reader.messages == ["one", "two"]
