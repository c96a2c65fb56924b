"""Pictures in style sheets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.crawl.find.css import read


@pytest.mark.parametrize(
    ("text", "images"),
    [
        (".a { background: url(a.png) }", ["a.png"]),
        (".a { background: url( 'a b.png' ) } .b { cursor: URL(\"b.cur\"), auto }", ["a b.png", "b.cur"]),
        (".a { background: url(a\\ b.png) url('c\\'d.png') url(\\65.png) }", ["a b.png", "c'd.png", "e.png"]),
        (".a { background: url(\\65 .png) url(a\\00002E png) }", ["e.png", "a.png"]),
        ("background: url(a.png), url(b.png) no-repeat", ["a.png", "b.png"]),
        (".a { background: image-set('a.png' 1x, \"b.png\" 2x) }", ["a.png", "b.png"]),
        (".a { background: -webkit-image-set(url(a.png) 1x) }", ["a.png"]),
        (
            ".a { background: image-set('a.avif' type('image/avif'), url(b.png) type(\"image/png\")) }",
            ["a.avif", "b.png"],
        ),
        (".a { content: 'not.png'; quotes: \"x\" 'y' }", []),
        ("/* url(a.png) */ .a { mask: url(b.svg) } /* url(c.png)", ["b.svg"]),
        ("@font-face { src: url(a.woff2) } .a { background: url(b.png) }", ["b.png"]),
        ("@namespace url(http://www.w3.org/2000/svg); .a { background: url(b.png) }", ["b.png"]),
        ("@media print { .a { background: url(a.png) } @font-face { src: url(x.ttf) } }", ["a.png"]),
        (".a { filter: url(#blur); background: url(); curl(x.png) }", []),
        (".a { background: url(data:image/png;base64,AA==) }", ["data:image/png;base64,AA=="]),
        (".a { background: url(a.png", []),
    ],
)
def test_pictures(text, images):
    assert read(text).images == images


def test_further_sheets():
    text = """@charset "utf-8"; @import "a.css"; @import url(b.css) screen; @IMPORT url("c.css") layer(x);
        .a { background: url(d.png) }"""

    assert read(text) == (["d.png"], ["a.css", "b.css", "c.css"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["url(", "url( ", "url('", "\\", "/*", "image-set(", "a", "@", "'", "url(\\", "(", '"\\']
)
def test_no_text_takes_long(piece):
    read(piece * 200_000)
    read("url(" + piece * 200_000)


@given(st.text(alphabet="url()'\"\\/*@{};imp ort-set01a\n"))
def test_nonsense_is_read_without_complaint(text):
    read(text)
