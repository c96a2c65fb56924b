"""What a file is by its bytes, whether it is whole, and how large the picture is."""

import gzip
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dqlab.crawl.dimensions import dimensions
from dqlab.crawl.kinds import CUT, described, fault, kind_of

SIZE = (31, 17)


def noise():
    return Image.effect_noise(SIZE, 90).convert("RGB")


def drawn(form, **options):
    """A real picture that Pillow wrote."""
    file = io.BytesIO()
    noise().save(file, form, **options)
    return file.getvalue()


def film(brand=b"mp42"):
    return struct.pack(">I4s4sI4s", 20, b"ftyp", brand, 0, b"isom") + struct.pack(">I4s", 108, b"mdat") + bytes(100)


SVG = b"<?xml version='1.0'?>\n<!-- a drawing --><svg xmlns='http://w3.org/2000/svg' width='31' height='17px'></svg>\n"
PICTURES = {
    "png": (drawn("PNG"), "image/png", ".png"),
    "jpeg": (drawn("JPEG"), "image/jpeg", ".jpg"),
    "progressive jpeg": (drawn("JPEG", progressive=True), "image/jpeg", ".jpg"),
    "gif": (drawn("GIF"), "image/gif", ".gif"),
    "webp": (drawn("WEBP"), "image/webp", ".webp"),
    "lossless webp": (drawn("WEBP", lossless=True), "image/webp", ".webp"),
    "avif": (drawn("AVIF"), "image/avif", ".avif"),
    "jp2": (drawn("JPEG2000"), "image/jp2", ".jp2"),
    "bmp": (drawn("BMP"), "image/bmp", ".bmp"),
    "tiff": (drawn("TIFF"), "image/tiff", ".tif"),
    "packed tiff": (drawn("TIFF", compression="tiff_lzw"), "image/tiff", ".tif"),
    "ico": (drawn("ICO", sizes=[SIZE]), "image/x-icon", ".ico"),
    "svg": (SVG, "image/svg+xml", ".svg"),
    "svg in UTF-16": (SVG.strip().decode().encode("utf-16"), "image/svg+xml", ".svg"),
}
#: those whose end can be told
ENDED = list(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_known_by_its_bytes(name):
    body, content_type, suffix = PICTURES[name]

    kind = kind_of(body)

    assert (kind.content_type, kind.suffixes[0]) == (content_type, suffix)
    assert fault(body) is None
    assert dimensions(body) == SIZE


@pytest.mark.parametrize("name", ENDED)
def test_a_picture_that_was_cut_is_none_wherever_it_was_cut(name):
    body, _, _ = PICTURES[name]
    shortest = 40 if name == "ico" else len(body) // 4  # the beginning says what it is
    for length in {shortest, len(body) // 2, 3 * len(body) // 4, len(body) - 6, len(body) - 2} - {len(body)}:
        if kind_of(body[:length]):
            assert fault(body[:length]) == CUT, length


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "webp", "svg"])
def test_what_follows_the_end_does_no_harm(name):
    body, _, _ = PICTURES[name]

    assert fault(body + b"\n") is None


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture():
    thumbnail, whole = drawn("JPEG"), drawn("JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    body = whole[:2] + segment + whole[2:]

    assert fault(body) is None
    assert fault(body[:-2]) == CUT
    assert fault(body[: 2 + len(segment)]) == CUT


def test_each_page_of_a_tiff_must_be_there():
    one = len(drawn("TIFF"))
    body = drawn("TIFF", save_all=True, append_images=[noise(), noise()])

    assert fault(body) is None
    assert [fault(body[: number * one]) for number in (1, 2)] == [CUT, CUT]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_the_rows_of_a_photoshop_file_must_be_there(version, packed):
    head = struct.pack(">4sH6xHIIHH", b"8BPS", version, 3, 17, 31, 8, 3)
    sections = struct.pack(">I", 0) + struct.pack(">I4s", 4, b"8BIM") + struct.pack(">Q" if version == 2 else ">I", 0)
    sizes = struct.pack(f">{3 * 17}{'I' if version == 2 else 'H'}", *3 * 17 * [9])
    rows = struct.pack(">H", 1) + sizes + bytes(3 * 17 * 9) if packed else bytes(2 + 3 * 17 * 31)
    body = head + sections + rows

    assert fault(body) is None
    assert {fault(body[:length]) for length in range(4, len(body))} == {CUT}


def test_the_rows_of_a_jpeg_xr_must_be_there():
    entries = ((0xBCC0, 38), (0xBCC1, 100))
    body = struct.pack("<2sHI", b"II", 0x01BC, 8) + struct.pack("<H", 2)
    body += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + bytes(4 + 100)

    assert fault(body) is None
    assert {fault(body[:length]) for length in range(4, len(body))} == {CUT}


def test_a_packed_svg():
    packed = gzip.compress(SVG)

    assert (kind_of(packed).suffixes[0], fault(packed), fault(packed[:-3])) == (".svgz", None, CUT)
    assert kind_of(gzip.compress(b"text")) is None


@pytest.mark.parametrize("brands", [(b"heic",), (b"mif1", b"heic"), (b"mif1", b"avif")])
def test_one_container_many_brands(brands):
    first, *others = brands
    head = b"ftyp" + first + bytes(4) + b"".join(others)
    body = struct.pack(">I", 4 + len(head)) + head + struct.pack(">I4s", 108, b"mdat") + bytes(100)

    assert kind_of(body).content_type == ("image/avif" if b"avif" in brands else "image/heic")
    assert (fault(body), fault(body[:-1])) == (None, CUT)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!doctype html><html>please log in</html>", "a web page"),
        (b"\xef\xbb\xbf\n <!-- x -->\n<HTML lang=en>", "a web page"),
        (b"<?xml version='1.0'?><rss/>", "XML"),
        (b'{"error": "no"}', "JSON"),
        (b"not found", "text"),
        (film(), "a film"),
        (b"\x1aE\xdf\xa3" + bytes(100), "a film"),
        (b"%PDF-1.7", "a PDF"),
        (gzip.compress(b"x"), "a gzip archive"),
        (b"\x89PNG" + bytes(100), "something unknown"),
        (b"BM, a text about cars", "text"),
        (drawn("TGA"), "something unknown"),  # which begins as a cursor does
    ],
)
def test_what_is_no_picture_is_said(body, words):
    assert kind_of(body) is None
    assert described(body) == words
    assert fault(body) == f"{words}, not a picture"


def test_nothing_is_no_picture():
    assert (kind_of(b""), fault(b"")) == (None, "it is empty")


def test_a_bomb_is_measured_not_decoded():
    bomb = PICTURES["png"][0]
    bomb = bomb[:16] + struct.pack(">II", 60_000, 60_000) + bomb[24:]

    assert dimensions(bomb) == (60_000, 60_000)


@pytest.mark.parametrize("name", PICTURES)
@given(cut=st.integers(0, 200), noise=st.binary(max_size=60))
def test_nonsense_behind_a_good_beginning_is_no_trouble(name, cut, noise):
    body = PICTURES[name][0][:cut] + noise

    fault(body), dimensions(body), described(body)
