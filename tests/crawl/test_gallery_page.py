"""What a crawl brought, as a page and as a sheet: whatever strangers wrote into it."""

import base64
import html
import io
import json
import random
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from PIL import Image as Pillow

from dqlab.crawl import gallery
from dqlab.crawl.gallery_page import NAME
from dqlab.crawl.images import Image
from dqlab.crawl.sheet import THUMB, contact_sheet
from dqlab.crawl.store import Store
from dqlab.crawl.thumbnails import LARGEST_PICTURE, embedded
from dqlab.errors import BadInput

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
DRAWING = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>"


def drawn(tmp_path, name="a.png", size=(40, 30)):
    file = tmp_path / f"drawn-{name}"
    Pillow.new("RGB", size, (200, 30, 30)).save(file)
    return file.read_bytes()


@pytest.fixture
def out(tmp_path):
    out = tmp_path / "out"
    body = drawn(tmp_path)
    with Store(out) as store:
        store.add(Image("http://host/a.png", body, "image/png", width=40, height=30, referer="http://host/page"))
        store.add(Image("http://host/again.png", body, "image/png", width=40, height=30))
        store.add(Image("http://host/b.svg", DRAWING, "image/svg+xml"))
        store.add(Image("http://host/c.png", body[:60], "image/png"))
        store.add(Image(f"http://host/{EVIL}", error=f"evil {EVIL}"))
        store.add(Image("javascript:alert(3)", error="404 Not Found"))
        store.add(Image("http://host/gone.png", error="404 Not Found"))
    return out


class Tags(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(out):
    return gallery(out).path.read_text()


def text_of(page):
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", page)).split())


class TestGallery:
    def test_pictures_with_their_sizes_and_sources(self, page):
        text = text_of(page)

        assert "a.png 40 x 30, 0.1 kB, image/png http://host/a.png http://host/again.png on http://host/page" in text
        assert "3 pictures, 0.0 MB; 7 addresses, 3 of them without a picture" in text
        assert len(Tags(page).of("figure")) == 3

    @pytest.mark.parametrize("size", [(272, 204), (1600, 1600)])
    def test_no_picture_takes_more_than_a_few_bytes(self, tmp_path, size):
        file = tmp_path / "noise.png"
        Pillow.frombytes("RGB", (60, 45), random.Random(1).randbytes(60 * 45 * 3)).resize((800, 600)).save(file)

        content = base64.b64decode(embedded(file, size).removeprefix("data:image/jpeg;base64,"))

        assert len(content) <= LARGEST_PICTURE
        assert Pillow.open(io.BytesIO(content)).height >= 100

    def test_failures_by_reason(self, page):
        text = text_of(page)

        assert "404 Not Found (2) javascript:alert(3) http://host/gone.png" in text
        assert f"evil {EVIL} (1)" in html.unescape(page)

    def test_it_is_one_file_that_loads_nothing(self, page):
        tags = Tags(page)

        assert all(image["src"].startswith("data:image/") for image in tags.of("img"))
        assert len(tags.of("img")) == 2  # the drawing too; the broken one says so
        assert "broken" in text_of(page)
        assert tags.of("link") == [] and not any("src" in script for script in tags.of("script"))
        [policy] = [meta for meta in tags.of("meta") if "http-equiv" in meta]
        assert policy["content"].startswith("default-src 'none'")

    def test_nothing_that_strangers_wrote_is_believed(self, page):
        tags = Tags(page)

        assert len(tags.of("script")) == 1
        assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)
        assert all(re.match(r"https?://|[\w.-]+$", link["href"]) for link in tags.of("a"))

    def test_a_brace_in_a_name_stays_one(self, tmp_path):
        with Store(tmp_path) as store:
            store.add(Image("http://host/x", error="{title} {failures} {"))

        assert "{title} {failures} { (1)" in gallery(tmp_path).path.read_text()

    def test_in_a_notebook(self, out):
        shown = gallery(out)._repr_html_()

        [frame] = Tags(shown).of("iframe")
        assert frame["sandbox"] == "allow-scripts"
        assert frame["srcdoc"] == (out / NAME).read_text()

    def test_without_a_crawl(self, tmp_path):
        with pytest.raises(BadInput, match="no crawl in"):
            gallery(tmp_path)

    def test_on_the_command_line(self, out):
        command = [sys.executable, "-m", "dqlab", "gallery", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)

        assert (done.stdout, done.stderr, done.returncode) == (f"{out / NAME}\n", "", 0)


class TestSheet:
    def test_what_cannot_be_shown_is_a_tile(self, out, tmp_path):
        sheet = contact_sheet(out, columns=3)

        middles = [sheet.getpixel((6 + n * (THUMB[0] + 6) + 4, 10)) for n in range(3)]
        assert middles == [(200, 30, 30), (70, 74, 84), (70, 74, 84)]

    def test_a_bomb_is_not_decoded(self, tmp_path):
        import struct
        import zlib

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
        body = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
        with Store(tmp_path) as store:
            store.add(Image("http://host/a.png", body, "image/png"))

        assert contact_sheet(tmp_path).getpixel((10, 10)) == (70, 74, 84)

    def test_nonsense(self, out, tmp_path):
        with pytest.raises(BadInput, match="columns=0"):
            contact_sheet(out, columns=0)
        with pytest.raises(BadInput, match="no pictures"):
            contact_sheet(tmp_path / "none")


def test_the_manifest_is_one_line_of_pandas_away(out):
    lines = (out / "manifest.jsonl").read_text().splitlines()

    assert all(list(json.loads(line)) == list(json.loads(lines[0])) for line in lines)
