"""Addresses as people write them."""

import pytest

from dqlab.errors import BadInput
from dqlab.wire.address import parse_address, place


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("lab1:80", ("lab1", 80)),
        ("[::1]:5000", ("::1", 5000)),
        ("master.json", None),
        ("dir/with:7", None),
        (":5000", None),
        ("C:\\master:1", None),
        ("host:", None),
        ("host:http", None),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["host:0", "host:65536"])
def test_ports_that_do_not_exist(text):
    with pytest.raises(BadInput, match="1 to 65535"):
        parse_address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:5000", "lab1:80", "[::1]:5000"])
def test_there_and_back(text):
    assert place(*parse_address(text)) == text
