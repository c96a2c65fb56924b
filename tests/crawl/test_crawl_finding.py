"""Crawls of whole sites: what is found where, what is left, what a second run asks for."""

import json
import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from dqlab.crawl import crawl, read_manifest
from dqlab.crawl.manifest import MANIFEST
from dqlab.crawl.page_log import NAME
from dqlab.crawl.traps import PATIENCE
from tests.crawl.hostile import PNG, Threads, hostile_server
from tests.crawl.test_crawl import fresh_session, html

__all__ = ["fresh_session"]  # a fixture for all of them


@pytest.fixture
def client():
    with Threads() as client:
        yield client


@pytest.fixture
def server():
    with hostile_server() as server:
        yield server


def picture(number=0):
    """A route to a picture of its own: it has the number in a comment."""
    return picture_with(number.to_bytes(4, "big"))


def picture_with(comment):
    """A route to a picture with this comment, which may make it as large as one likes."""
    body = PNG[:-12] + len(comment).to_bytes(4, "big") + b"teXt" + comment + bytes(4) + PNG[-12:]
    return lambda to: to.answer(200, "image/png", body)


def brought(out):
    """Paths of the pictures that came."""
    return {urlsplit(entry.url).path for entry in read_manifest(out) if entry.error is None}


class TestFound:
    def test_parts_of_a_page_wherever_they_lie(self, server, client, tmp_path):
        with hostile_server() as cdn:
            server.routes["/"] = html(f"<link rel=stylesheet href={cdn.url}/s.css><iframe src=/frame.html></iframe>")
            server.routes["/frame.html"] = html("<img data-src=framed.png src=blank.gif>")
            cdn.routes["/s.css"] = lambda to: to.answer(200, "text/css", b"@import 'more/t.css'; a{b:url(a.png)}")
            cdn.routes["/more/t.css"] = lambda to: to.answer(200, "text/css", b"a{b:image-set('b.png' 1x)}")
            server.routes["/framed.png"] = cdn.routes["/a.png"] = cdn.routes["/more/b.png"] = picture()

            summary = crawl(client, server.url, tmp_path)

        assert brought(tmp_path) == {"/framed.png", "/a.png", "/more/b.png"}
        assert (summary.pages, summary.failed_pages) == (1, 0)
        assert server.asked["/blank.gif"] == 0

    @pytest.mark.parametrize("robots", [b"", b"User-agent: *\nDisallow:\nSitemap: /maps/index.xml\n"])
    def test_what_only_the_map_knows(self, server, client, tmp_path, robots):
        server.routes["/"] = html("nothing")
        server.routes["/robots.txt"] = lambda to: to.answer(200, "text/plain", robots)
        index = b"<sitemapindex><sitemap><loc>/sitemap.xml</loc></sitemap></sitemapindex>"
        server.routes["/maps/index.xml"] = lambda to: to.answer(200, "text/xml", index)
        body = b"<urlset><url><loc>/x.html</loc><image><loc>/b.png</loc></image></url></urlset>"
        server.routes["/sitemap.xml"] = lambda to: to.answer(200, "application/xml", body)
        server.routes["/x.html"] = html("<img src=a.png>")
        server.routes["/a.png"], server.routes["/b.png"] = picture(1), picture(2)

        crawl(client, server.url, tmp_path)

        assert brought(tmp_path) == {"/a.png", "/b.png"}

    def test_a_page_with_a_picture_s_name_is_read_as_a_page(self, server, client, tmp_path):
        server.routes["/"] = html("<a href=/File:Foo.jpg><img src=/thumb.png></a> <a href=/missing.jpg>x</a>")
        server.routes["/File:Foo.jpg"] = html("<img src=/full/Foo.jpg>")
        server.routes["/thumb.png"], server.routes["/full/Foo.jpg"] = picture(1), picture(2)

        summary = crawl(client, server.url, tmp_path)

        assert brought(tmp_path) == {"/thumb.png", "/full/Foo.jpg"}
        assert (summary.failed, summary.pages) == (1, 2)

    def test_a_feed(self, server, client, tmp_path):
        server.routes["/"] = html("<link rel=alternate type=application/rss+xml href=/feed>")
        body = (
            b"<rss><channel><item><link>/1.html</link><enclosure url='/a.png' type='image/png'/></item></channel></rss>"
        )
        server.routes["/feed"] = lambda to: to.answer(200, "application/rss+xml", body)
        server.routes["/1.html"] = html("<img src=b.png>")
        server.routes["/a.png"], server.routes["/b.png"] = picture(1), picture(2)

        crawl(client, server.url, tmp_path)

        assert brought(tmp_path) == {"/a.png", "/b.png"}

    def test_the_icons_of_a_web_application(self, server, client, tmp_path):
        server.routes["/"] = html("<link rel=manifest href=/app/site.webmanifest>")
        body = b'{"name": "x", "icons": [{"src": "icon.png", "sizes": "192x192"}]}'
        server.routes["/app/site.webmanifest"] = lambda to: to.answer(200, "application/json", body)
        server.routes["/app/icon.png"] = picture()

        summary = crawl(client, server.url, tmp_path)

        assert brought(tmp_path) == {"/app/icon.png"}
        assert (summary.pages, summary.failed_pages) == (1, 0)

    def test_the_best_version_only(self, server, client, tmp_path):
        server.routes["/"] = html("<img srcset='/s.png 100w, /l.png 900w' src=/s.png>")
        server.routes["/s.png"], server.routes["/l.png"] = picture(1), picture(2)

        crawl(client, server.url, tmp_path, best=True)

        assert brought(tmp_path) == {"/l.png"}
        assert server.asked["/s.png"] == 0

    def test_a_link_to_what_is_no_page_is_no_loss(self, server, client, tmp_path):
        server.routes["/"] = html("<a href=a.pdf>a</a><a href=b>b</a><a href=c.iso>c</a><img src=a.png>")
        server.routes["/a.pdf"] = lambda to: to.answer(200, "application/pdf", b"%PDF-1.7")
        server.routes["/b"] = lambda to: to.answer(200, "application/octet-stream", bytes(50_000))
        server.routes["/c.iso"] = lambda to: to.answer(200, "", bytes(50_000), Content_Length="3000000000")
        server.routes["/a.png"] = picture()

        summary = crawl(client, server.url, tmp_path)

        assert (summary.pages, summary.failed_pages, summary.exit_code) == (1, 0, 0)
        assert "it is application/pdf, which isn't read: 1 left out" in str(summary)

    def test_nor_is_one_to_a_page_that_its_owner_keeps_from_crawlers(self, server, client, tmp_path):
        server.routes["/robots.txt"] = lambda to: to.answer(200, "text/plain", b"User-agent: *\nDisallow: /search")
        server.routes["/"] = html("<a href=/search?q=1>a</a><a href=/search>b</a><img src=a.png>")
        server.routes["/a.png"] = picture()

        summary = crawl(client, server.url, tmp_path)

        assert (summary.pages, summary.failed_pages, summary.exit_code) == (1, 0, 0)
        assert "robots.txt forbids it: 2 left out" in str(summary)
        assert not server.asked["/search"]

    def test_nothing_found_is_said(self, server, client, tmp_path):
        server.routes["/"] = html("<a href=2>2</a>")
        server.routes["/2"] = html("<meta name=robots content=noimageindex><img src=a.png>")

        summary = crawl(client, server.url, tmp_path)

        assert "no picture found on 2 pages" in str(summary)
        assert "pages that say noimageindex: 1 left out" in str(summary)
        assert summary.exit_code == 1


class TestLeft:
    def test_small_pictures(self, server, client, tmp_path):
        server.routes["/"] = html("<img src=a.png>")
        server.routes["/a.png"] = picture()

        summary = crawl(client, server.url, tmp_path, min_size=(3, 1))

        assert (summary.images, summary.failed) == (0, 0)
        assert "smaller than 3x1 pixels: 1 left out" in str(summary)
        assert read_manifest(tmp_path) == []

    def test_a_calendar_without_end(self, server, client, tmp_path):
        server.routes["/"] = html("<a href=/cal/0>x</a><a href=/news>x</a>")
        for number in range(PATIENCE + 20):
            server.routes[f"/cal/{number}"] = html(f"<a href=/cal/{number + 1}>next</a><img src=/logo.png>")
        server.routes["/news"] = html("<img src=/a.png>")
        server.routes["/logo.png"], server.routes["/a.png"] = picture(1), picture(2)

        summary = crawl(client, server.url, tmp_path)

        assert summary.pages < PATIENCE + 5
        assert f"{PATIENCE} pages of that pattern brought nothing new" in str(summary)
        assert brought(tmp_path) == {"/logo.png", "/a.png"}

    def test_patterns_and_depth(self, server, client, tmp_path):
        server.routes["/"] = html("<img src=a.png><img src=b.gif><a href=1>1</a>")
        server.routes["/1"] = html("<img src=c.png><img src=thumb/d.png><a href=2>2</a>")
        for number, name in enumerate(("a.png", "c.png")):
            server.routes[f"/{name}"] = picture(number)

        crawl(client, server.url, tmp_path, includes=[".png"], excludes=["/thumb/"], depth=1)

        assert brought(tmp_path) == {"/a.png", "/c.png"}
        assert server.asked["/2"] == server.asked["/thumb/d.png"] == server.asked["/b.gif"] == 0


class TestAgain:
    def test_the_same_picture_at_two_addresses_is_stored_once(self, server, client, tmp_path):
        server.routes["/"] = html("<img src=a.png><img src=b.png>")
        server.routes["/a.png"] = server.routes["/b.png"] = picture()

        crawl(client, server.url, tmp_path)

        first, second = sorted(read_manifest(tmp_path), key=lambda entry: entry.duplicate_of or "")
        assert (second.duplicate_of, second.path) == (first.url, first.path)
        assert len(list(tmp_path.glob("*.png"))) == 1

    @pytest.mark.parametrize("refresh", ["replace", "keep"])
    def test_what_has_changed_comes_again(self, server, client, tmp_path, refresh):
        version = 1

        def tagged(to):
            tag = f'"{version}"'
            if to.headers.get("If-None-Match") == tag:
                to.answer(304, "", Content_Length="")
            else:
                to.answer(200, "image/png", PNG + bytes([version]), ETag=tag)

        server.routes["/"] = html("<img src=a.png>")
        server.routes["/a.png"] = tagged
        crawl(client, server.url, tmp_path)
        same = crawl(client, server.url, tmp_path, refresh=refresh)
        version = 2
        changed = crawl(client, server.url, tmp_path, refresh=refresh)

        assert (same.images, same.kept, changed.images) == (0, 1, 1)
        assert server.asked["/a.png"] == 3
        [entry] = read_manifest(tmp_path)
        assert (tmp_path / entry.path).read_bytes() == PNG + b"\2"
        assert len(list(tmp_path.glob("*.png"))) == {"replace": 1, "keep": 2}[refresh]

    def test_a_crawl_of_so_many_pages_is_gone_on_from(self, server, client, tmp_path):
        for number in range(10):
            server.routes[f"/{number}"] = html(f"<a href=/{number + 1}>next</a><img src=/{number}.png>")
            server.routes[f"/{number}.png"] = picture(number)
        server.routes["/10"] = html("the end")

        pages = []
        for _ in range(4):
            pages.append(crawl(client, f"{server.url}/0", tmp_path, max_pages=4).pages)

        assert pages == [4, 4, 3, 4]  # the fourth begins anew
        assert [server.asked[f"/{number}"] for number in range(11)] == [4] + 3 * [2] + 7 * [1]
        assert len(brought(tmp_path)) == 10
        assert (tmp_path / NAME).exists()


class TestLists:
    def test_pictures_and_pages(self, server, client, tmp_path):
        server.routes["/a.png"], server.routes["/b.png"] = picture(1), picture(2)
        server.routes["/page"] = html("<img src=b.png><a href=next>x</a>")
        (tmp_path / "list.csv").write_text(
            f"id,url\n1,{server.url}/a.png\n2,{server.url}/page\n3,nonsense\n4,{server.url}/no\n"
        )

        summary = crawl(client, None, tmp_path / "out", from_file=str(tmp_path / "list.csv"))

        assert brought(tmp_path / "out") == {"/a.png", "/b.png"}
        assert (summary.failed, summary.failed_pages) == (1, 0)
        assert "no address, such as 'nonsense': 1 left out" in str(summary)
        assert server.asked["/next"] == server.asked["/sitemap.xml"] == 0

    def test_a_host_that_is_given_up_has_a_line_for_each_of_its_pictures(self, server, client, tmp_path):
        """Those that were to be tried again, and those that were read from the list when that had happened."""
        for number in range(60):
            server.routes[f"/{number}.png"] = lambda to: to.answer(503, Retry_After="1000" if to.path > "/1" else "1")
        (tmp_path / "list.txt").write_text("".join(f"{server.url}/{number}.png\n" for number in range(60)))

        summary = crawl(client, None, tmp_path / "out", from_file=str(tmp_path / "list.txt"))

        assert (summary.images, summary.failed) == (0, 60)
        assert len(read_manifest(tmp_path / "out")) == 60


def command(*arguments, **options):
    line = [sys.executable, "-m", "dqlab", "crawl", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, **options)


def no_large_files():
    """Let this process and what it starts write no file of more than 100,000 bytes: as on a full disk, but for all."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


class TestCommand:
    @pytest.fixture
    def site(self, server):
        server.routes["/"] = html("<img src=a.png><img src=b.png>")
        server.routes["/a.png"] = picture()
        return server

    def test_a_summary_for_programs(self, site, tmp_path):
        done = command(site.url, "--out", tmp_path / "out", "-n", 1, "--json", "--csv", "--depth", 0)

        said = json.loads(done.stdout)
        assert (done.returncode, said["exit_code"], said["images"], said["failed"]) == (3, 3, 1, 1)
        assert said["reasons"] == {"404 Not Found": 1}
        assert (tmp_path / "out" / "manifest.csv").read_text().startswith("url,path,bytes,")

    def test_nothing_is_said_if_nobody_wants_it(self, site, tmp_path):
        done = command(site.url, "--out", tmp_path / "out", "-n", 1, "--quiet", "--exclude", "/b.png")

        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no limit of a file's size to set")
    @pytest.mark.parametrize("engine", [(), ("-n", 2)])
    def test_a_full_disk_is_said_in_a_line_and_the_same_command_goes_on(self, server, tmp_path, engine):
        small, large = picture(1), picture_with(bytes(200_000))
        server.routes |= {"/": html("<img src=a.png><img src=b.png><img src=c.png>")}
        server.routes |= {"/a.png": small, "/b.png": large, "/c.png": large}
        line = (server.url, "--out", tmp_path / "out", *engine)

        broken = command(*line, "--quiet", preexec_fn=no_large_files)

        assert (broken.returncode, broken.stdout) == (1, "")
        said = broken.stderr.splitlines()
        assert len(said) == 2 and said[0] == f"dqlab: can't write in {tmp_path / 'out'}: File too large"
        assert set(os.listdir(tmp_path / "out")) <= {"a.png", MANIFEST}

        again = command(*line)

        assert again.returncode == 0, again.stderr
        assert brought(tmp_path / "out") == {"/a.png", "/b.png", "/c.png"}

    def test_a_list_on_standard_input(self, site, tmp_path):
        done = command("--from", "-", "--out", tmp_path / "out", "-n", 1, input=f"{site.url}/a.png\n")

        assert done.returncode == 0, done.stderr
        assert brought(tmp_path / "out") == {"/a.png"}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "there is no address"),
            (["http://host/", "--from", "-"], "too much"),
            (["http://host/", "--min-size", "large"], "'large' is no size such as 640x480"),
            (["http://host/", "--refresh", "sometimes"], "invalid choice: 'sometimes'"),
            (["--from", "/none"], "/none can't be read"),
        ],
    )
    def test_nonsense(self, tmp_path, arguments, words):
        done = command(*arguments, "--out", tmp_path / "out")

        assert done.returncode == 2
        assert words in done.stderr
        assert not os.path.exists(tmp_path / "out")
