"""The crawl as a whole, its tasks run in threads of this process; with real workers: test_crawl_delivery."""

import hashlib
import time
from concurrent.futures import Future
from urllib.parse import urlsplit

import pytest

from dqlab import sandbox
from dqlab.crawl import crawl, read_manifest, web
from dqlab.crawl.driver import Crawl
from dqlab.crawl.failures import FetchFailed
from dqlab.crawl.session import session
from dqlab.crawl.settings import Settings
from dqlab.crawl.store import Store
from dqlab.errors import BadInput, DqlabError, MasterGone, TaskFailed
from dqlab.sandbox.pages import FALSE, FLAKY, MISSING, PRIVATE
from tests.crawl.hostile import PNG, Threads, hostile_server


@pytest.fixture(autouse=True)
def fresh_session():
    yield
    if session.cache_info().currsize:
        session().close()
    session.cache_clear()
    web.rulebook.clear()


@pytest.fixture
def client():
    with Threads() as client:
        yield client


@pytest.fixture
def site():
    with sandbox.site(images=64) as site:
        yield site


@pytest.fixture
def server():
    with hostile_server() as server:
        yield server


def by_path(out):
    """The manifest's entries by the path of their address."""
    return {urlsplit(entry.url)._replace(scheme="", netloc="").geturl(): entry for entry in read_manifest(out)}


def html(text):
    return lambda to: to.answer(200, "text/html", text.encode())


def png(to):
    to.answer(200, "image/png", PNG)


class TestSandboxSite:
    def test_every_picture_comes_home_as_it_is(self, site, client, tmp_path):
        summary = crawl(client, site.url, tmp_path)

        entries = by_path(tmp_path)
        for path, body in site.images.items():
            assert entries[path].sha256 == hashlib.sha256(body).hexdigest()
            assert (tmp_path / entries[path].path).read_bytes() == body
        assert summary.images == len(site.images)
        assert summary.bytes == sum(map(len, site.images.values()))

    def test_what_fails_has_its_line_and_reason(self, site, client, tmp_path):
        summary = crawl(client, site.url, tmp_path)

        entries = by_path(tmp_path)
        assert {path: entry.error for path, entry in entries.items() if entry.error} == {
            MISSING: "404 Not Found",
            FALSE: "a web page, not a picture",
            f"{PRIVATE}secret.png": "robots.txt forbids it",
        }
        assert summary.failed == 3
        assert site.requests[FLAKY] == 2

    def test_the_folder_holds_pictures_and_manifest_and_nothing_else(self, site, client, tmp_path):
        crawl(client, site.url, tmp_path)

        stored = {entry.path for entry in read_manifest(tmp_path) if entry.path}
        assert {path.name for path in tmp_path.iterdir()} == stored | {"manifest.jsonl"}

    def test_the_site_is_treated_politely(self, site, client, tmp_path):
        crawl(client, site.url, tmp_path)

        asked = site.requests
        assert not [path for path in asked if path.startswith(PRIVATE)]
        assert [path for path, count in asked.items() if count > 1 and path not in (FLAKY, "/robots.txt")] == []

    def test_a_second_run_downloads_nothing_again(self, site, client, tmp_path):
        crawl(client, site.url, tmp_path)
        manifest = (tmp_path / "manifest.jsonl").read_text()
        before = site.requests

        summary = crawl(client, site.url, tmp_path)

        again = set(site.requests - before)
        assert again & (set(site.images) | {MISSING, FALSE}) == {MISSING, FALSE}  # what failed is tried again
        assert (summary.images, summary.kept) == (0, len(site.images))
        assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == len(manifest.splitlines())

    def test_what_was_deleted_comes_again(self, site, client, tmp_path):
        crawl(client, site.url, tmp_path)
        lost = by_path(tmp_path)["/dunes/01.jpg"].path
        (tmp_path / lost).unlink()

        summary = crawl(client, site.url, tmp_path)

        assert (summary.images, (tmp_path / lost).exists()) == (1, True)

    def test_max_pages(self, site, client, tmp_path):
        summary = crawl(client, site.url, tmp_path, max_pages=1)

        assert summary.pages == 1
        assert summary.images == 8  # the covers
        assert "pages read: 1, as max_pages says" in str(summary)

    def test_a_site_that_was_read_to_its_end_has_no_more_pages(self, site, client, tmp_path):
        pages = crawl(client, site.url, tmp_path)
        asked = pages.pages + 1  # that which robots.txt forbids has had its turn, too

        assert not pages.more_pages
        assert not crawl(client, site.url, tmp_path, max_pages=asked).more_pages
        assert crawl(client, site.url, tmp_path, max_pages=asked - 1).more_pages

    def test_the_summary_reads_well(self, site, client, tmp_path):
        text = str(crawl(client, site.url, tmp_path)).splitlines()

        assert text[0].startswith("64 images, 1.") and text[0].endswith("images/s by 4 workers")
        assert text[1].startswith("3 failed: ") and "404 Not Found (1)" in text[1]
        assert text[-1] == f"they lie in {tmp_path}"


class TestAwkwardSites:
    def test_pages_of_other_sites_are_not_read_but_their_pictures_are_brought(self, server, client, tmp_path):
        with hostile_server() as other:
            server.routes["/"] = html(f"<a href={other.url}/>x</a><img src={other.url}/a.png><a href=/moved>x</a>")
            server.routes["/moved"] = lambda to: to.answer(302, Location=f"{other.url}/page")
            other.routes["/page"] = html("<img src=b.png><a href=c.html>c</a>")
            other.routes["/a.png"] = other.routes["/b.png"] = png

            crawl(client, server.url, tmp_path)

            assert other.asked["/"] == other.asked["/b.png"] == other.asked["/c.html"] == 0
            assert by_path(tmp_path)["/a.png"].error is None

    def test_a_first_page_that_moved_says_which_site_it_is(self, server, client, tmp_path):
        with hostile_server() as other:
            server.routes["/"] = lambda to: to.answer(301, Location=f"{other.url}/")
            other.routes["/"] = html("<a href=2.html>2</a>")
            other.routes["/2.html"] = html("<img src=a.png>")
            other.routes["/a.png"] = png

            assert crawl(client, server.url, tmp_path).images == 1

    def test_endless_pages_end(self, server, client, tmp_path):
        for number in range(50):
            server.routes[f"/{number}"] = html(f"<a href=/{number + 1}>next</a><a href=/{number}>same</a>")

        summary = crawl(client, f"{server.url}/0", tmp_path, max_pages=20)

        assert (summary.pages, server.asked.total()) == (20, 22)  # and robots.txt, and the map that isn't there
        assert summary.more_pages

    def test_links_that_are_never_followed_take_no_memory(self, server, client, tmp_path):
        for number in range(10):
            server.routes[f"/{number}"] = html("".join(f"<a href=/{number}{n}>x</a>" for n in range(1000)))
        server.routes["/"] = html("".join(f"<a href=/{number}>x</a>" for number in range(10)))

        with Store(tmp_path) as store:
            crawl = Crawl(client, Settings(url=server.url, max_pages=15), store)
            crawl.run()

        assert server.asked.total() == 15 + 2  # robots.txt, sitemap.xml
        assert len(crawl.finding.seen_pages) == 15 + 1

    def test_many_reasons_are_told_in_few_words(self, server, client, tmp_path):
        server.routes["/"] = html("".join(f"<img src={n}.png>" for n in range(30)))
        for number in range(30):
            status = 460 + number if number < 20 else 404
            server.routes[f"/{number}.png"] = lambda to, status=status: to.answer(status)

        summary = crawl(client, server.url, tmp_path)

        assert len(summary.reasons) == 21
        [line] = [line for line in str(summary).splitlines() if "failed" in line]
        assert line.startswith("30 failed: 404 Not Found (10), ") and line.endswith("other reasons (16)")

    def test_broken_pages_are_counted(self, server, client, tmp_path):
        server.routes["/"] = html("<a href=a>a</a><a href=b>b</a>")

        summary = crawl(client, server.url, tmp_path)

        assert (summary.pages, summary.failed_pages, summary.page_reasons) == (1, 2, (("404 Not Found", 2),))
        assert "2 of 3 pages: 404 Not Found (2)" in str(summary)

    def test_a_picture_that_is_too_large(self, server, client, tmp_path):
        server.routes["/"] = html("<img src=a.png><img src=b.png>")
        server.routes["/a.png"] = png
        server.routes["/b.png"] = lambda to: to.answer(200, "image/png", PNG + b"x" * 100)

        crawl(client, server.url, tmp_path, max_bytes=100)

        assert by_path(tmp_path)["/b.png"].error == "larger than 100 bytes (--max-bytes)"

    def test_a_picture_may_be_where_to_begin(self, server, client, tmp_path):
        server.routes["/a"] = png

        assert crawl(client, f"{server.url}/a", tmp_path).images == 1

    def test_the_delay_holds_for_all_workers_together(self, server, client, tmp_path):
        server.routes["/"] = html("".join(f"<img src={number}.png>" for number in range(4)))
        began = time.monotonic()

        crawl(client, server.url, tmp_path, delay=0.1)

        assert time.monotonic() - began >= 0.4

    def test_only_so_many_bytes_are_out_at_a_time(self, server, client, tmp_path):
        server.routes["/"] = html("".join(f"<img src={number}.png>" for number in range(30)))
        out, most = 0, 0
        submit = client.submit

        def counting(task, errands, slots, terms, room, alone):
            nonlocal out, most
            out += room
            most = max(most, out)
            future = submit(task, errands, slots, terms, room, alone)
            future.add_done_callback(lambda done: put(room))
            return future

        def put(room):
            nonlocal out
            out -= room

        client.submit = counting
        crawl(client, server.url, tmp_path, memory=2_000_000)

        assert 0 < most <= 2_000_000
        assert len(read_manifest(tmp_path)) == 30


class TestTrouble:
    @pytest.mark.parametrize(
        ("url", "options", "words"),
        [
            ("nonsense", {}, "'nonsense' is no address"),
            ("ftp://host/", {}, "is no address"),
            ("http://", {}, "is no address"),
            ("http://host/", {"max_pages": 0}, "max_pages=0"),
            ("http://host/", {"max_bytes": -1}, "max_bytes=-1"),
            ("http://host/", {"per_host": 0}, "per_host=0"),
            ("http://host/", {"nonsense": 0}, "no option 'nonsense'"),
            ("http://host/", {"delay": -1}, "delay=-1"),
            ("http://host/", {"timeout": float("nan")}, "timeout=nan"),
        ],
    )
    def test_nonsense_is_refused_before_anything_changes(self, client, tmp_path, url, options, words):
        with pytest.raises(BadInput, match=words):
            crawl(client, url, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    def test_a_first_page_that_cannot_be_had(self, server, client, tmp_path):
        with pytest.raises(FetchFailed, match=r"/none can't be fetched: 404 Not Found"):
            crawl(client, f"{server.url}/none", tmp_path)
        assert (tmp_path / "manifest.jsonl").read_text() == ""

    def test_a_task_that_fails_has_its_line(self, server, tmp_path):
        server.routes["/"] = html("<img src=a.png><img src=b.png>")
        server.routes["/b.png"] = png

        class Deadly(Threads):
            def submit(self, task, errands, *more):
                future = super().submit(task, errands, *more)
                if any(errand.url.endswith("a.png") for errand in errands):
                    future.result()
                    future = Future()
                    future.set_exception(TaskFailed("task 7 failed after 3 attempts: ...", "worker died 3 times", 3))
                return future

        with Deadly() as client:
            summary = crawl(client, server.url, tmp_path)

        assert by_path(tmp_path)["/a.png"].error == "worker died 3 times"
        assert (summary.images, summary.failed) == (1, 1)

    def test_a_master_that_goes_ends_the_crawl(self, tmp_path):
        class Gone(Threads):
            def submit(self, *args):
                future = Future()
                future.set_exception(MasterGone("the master at 127.0.0.1:1 is gone"))
                return future

        with Gone() as client, pytest.raises(MasterGone):
            crawl(client, "http://host/", tmp_path)

    def test_an_interrupt_leaves_a_folder_that_the_next_run_goes_on_from(self, site, client, tmp_path, monkeypatch):
        add, added = Store.add, []

        def interrupting(store, image, attempts):
            if len(added) == 10:
                raise KeyboardInterrupt
            added.append(image.url)
            return add(store, image, attempts)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "add", interrupting)
            with pytest.raises(KeyboardInterrupt):
                crawl(client, site.url, tmp_path)

        good = [entry for entry in read_manifest(tmp_path) if entry.error is None]
        assert {path.name for path in tmp_path.iterdir()} == {entry.path for entry in good} | {"manifest.jsonl"}
        assert crawl(client, site.url, tmp_path).kept == len(good)

    def test_a_silence_makes_the_client_look_for_workers(self, tmp_path, monkeypatch):
        monkeypatch.setattr("dqlab.crawl.driver.SILENCE", 0.01)

        class Lonely(Threads):
            def submit(self, *args):
                self.future = Future()
                return self.future

            def hint_if_stuck(self):
                self.future.set_exception(MasterGone("enough"))

        with Lonely() as client, pytest.raises(MasterGone, match="enough"):
            crawl(client, "http://host/", tmp_path)

    def test_tasks_have_a_queue_each_and_do_not_wait_for_ever(self, server, client, tmp_path):
        server.routes["/"] = html("")
        crawl(client, server.url, tmp_path)

        assert set(client.asked) == {"pages", "images"}
        assert all(0 < options["timeout"] < 600 for options in client.asked.values())


def test_the_bar_counts_up_to_what_was_found(site, client, tmp_path, capsys):
    crawl(client, site.url, tmp_path, progress=True)

    assert "67/67" in capsys.readouterr().err


def test_no_password_stands_in_an_error(client, server, tmp_path):
    server.routes["/"] = lambda to: to.answer(401)

    for address, words in (
        (server.url.replace("//", "//me:secret@"), "401"),
        ("htp://me:secret@host/", "no address of a web page"),
    ):
        with pytest.raises(DqlabError, match=words) as caught:
            crawl(client, address, tmp_path)
        assert "secret" not in str(caught.value)
