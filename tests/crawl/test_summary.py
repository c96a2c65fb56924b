"""How a crawl went, in words, as an exit code, and for programs."""

import json
from pathlib import Path

import pytest

from dqlab.crawl.summary import Summary

WELL = {
    "folder": Path("pictures"), "images": 12, "bytes": 3_000_000, "seconds": 2.0, "kept": 0, "failed": 0,
    "reasons": (), "pages": 3, "failed_pages": 0, "page_reasons": (),
}  # fmt: skip
SOME = {"failed": 2, "reasons": (("404 Not Found", 2),)}
PAGES = {"failed_pages": 1, "page_reasons": (("no answer within 10 s", 1),)}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"images": 0, "kept": 12}, 0),
        (SOME, 3),
        (PAGES, 3),
        ({"images": 0}, 1),
        ({"images": 0, **SOME}, 1),
        ({"images": 0, "kept": 1, **SOME}, 3),
    ],
)
def test_exit_codes(changes, code):
    assert Summary(**WELL | changes).exit_code == code


def test_in_words():
    said = Summary(
        **WELL | SOME | PAGES | {"kept": 5, "more_pages": True, "notes": ("a calendar was left",), "by": "2 workers"}
    )

    assert str(said).splitlines() == [
        "12 images, 3.0 MB in 2.0 s, 6 images/s by 2 workers",
        "5 were here already",
        "2 failed: 404 Not Found (2)",
        "1 of 4 pages: no answer within 10 s (1)",
        "a calendar was left",
        "pages read: 4, as max_pages says; the site has more",
        "they lie in pictures",
    ]


def test_nothing_says_why():
    assert "no picture found on 3 pages" in str(Summary(**WELL | {"images": 0}))


def test_for_programs():
    said = json.loads(Summary(**WELL | SOME).json())

    assert said["folder"] == "pictures"
    assert (said["rate"], said["exit_code"], said["reasons"]) == (6.0, 3, {"404 Not Found": 2})
