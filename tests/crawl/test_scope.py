"""Which pages and pictures a crawl is about."""

import pytest

from dqlab.crawl.scope import Scope


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("http://host/a", True),
        ("http://www.host/a", True),
        ("http://cdn.example/a", True),
        ("http://img.cdn.example:8080/a", True),
        ("http://notcdn.example/a", False),
        ("http://port.example:81/a", True),
        ("http://port.example/a", False),
        ("http://other/a", False),
        ("http://host/private/a", False),
    ],
)
def test_pages(address, inside):
    scope = Scope(spans=("cdn.example", "port.example:81"), excludes=("/private/",))

    assert scope.has_page(address, "host") is inside


@pytest.mark.parametrize(
    ("patterns", "taken"),
    [
        ({}, "abc"),
        ({"includes": ("a.png",)}, "a"),
        ({"includes": ("/a", "/b")}, "ab"),
        ({"includes": ("host/*.png",), "excludes": ("/c",)}, "ab"),
        ({"excludes": ("/*.png$",)}, "c"),
        ({"excludes": ("?v=1",)}, "ab"),
        ({"excludes": (".",)}, ""),
    ],
)
def test_pictures(patterns, taken):
    addresses = {"a": "http://host/a.png", "b": "http://host/b.png", "c": "http://host/c.png?v=1"}

    assert "".join(name for name, address in addresses.items() if Scope(**patterns).has_picture(address)) == taken
