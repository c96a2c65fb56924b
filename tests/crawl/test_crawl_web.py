"""One polite GET, against servers that aren't polite."""

import functools
import gzip
import re
import time

import pytest
from bs4.exceptions import ParserRejectedMarkup

from dqlab import __version__
from dqlab.crawl import session as connections
from dqlab.crawl import web
from dqlab.crawl.images import fetch_image
from dqlab.crawl.pages import LARGEST_PAGE, Page, fetch_page
from dqlab.crawl.robots import Robots
from dqlab.crawl.session import session
from dqlab.crawl.web import LONGEST_REASON, FetchFailed, Limits, get
from tests.crawl.hostile import hostile_server
from tests.helpers import eventually, free_port

#: little is taken, but a busy machine gets all the time that it needs
SMALL = Limits(timeout=30.0, deadline=60.0, max_bytes=1000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(connections, "BACK_OFF", 0.001)
    with hostile_server() as server:
        yield server
        session().close()
        session.cache_clear()
        web.robots.cache_clear()
        web.unreachable.clear()


@pytest.fixture(autouse=True)
def fresh_session():
    session.cache_clear()
    web.robots.cache_clear()
    web.unreachable.clear()


@pytest.fixture
def no_robots(monkeypatch):
    """The rules are known: where a test counts tenths of a second, fetching them must not take any."""
    monkeypatch.setattr(web, "robots", functools.cache(lambda *site: Robots("")))


def fetch(server, path, limits=SMALL):
    return get(server.url + path, limits, wants=lambda kind: True)


def endless(server, status, piece=b"x" * 500, pause=0.0, **headers):
    """A route whose answer goes on until the test is over, or nobody reads it."""

    def route(to):
        to.answer(status, Content_Length="", Connection="close", **headers)
        while not server.ending.wait(pause):
            to.wfile.write(piece)

    return route


def test_an_answer_comes_with_its_type_and_charset(server):
    server.routes["/a"] = lambda to: to.answer(200, "Text/HTML; Charset='UTF-8'", b"hello")

    answer = fetch(server, "/a")

    assert (answer.kind, answer.charset, answer.body) == ("text/html", "utf-8", b"hello")


@pytest.mark.parametrize(
    ("header", "kind", "charset"),
    [
        ("text/html;charset=latin-1;x=y", "text/html", "latin-1"),
        ("image/png, image/png", "image/png", None),
        ("image/svg+xml ;", "image/svg+xml", None),
        ("nonsense", "", None),
    ],
)
def test_a_content_type_in_every_form(server, header, kind, charset):
    server.routes["/a"] = lambda to: to.answer(200, header)

    answer = fetch(server, "/a")

    assert (answer.kind, answer.charset) == (kind, charset)


def test_the_session_is_kept_and_names_us(server):
    server.routes["/a"] = lambda to: to.answer(200, "text/plain", str(to.client_address[1]).encode())

    ports = {fetch(server, "/a").body for _ in range(3)}

    assert len(ports) == 1
    assert server.headers["/a"]["User-Agent"].startswith(f"dqlab/{__version__} ")


def test_no_proxy_is_asked_for_what_is_on_this_machine(server, monkeypatch):
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.routes["/a"] = lambda to: to.answer(200)

    fetch(server, "/a")

    with pytest.raises(FetchFailed, match="Connection refused"):  # elsewhere it is
        get("http://host.invalid/", SMALL, wants=lambda kind: True)


def test_no_password_of_the_users_is_sent(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.routes["/a"] = lambda to: to.answer(200)

    fetch(server, "/a")

    assert "Authorization" not in server.headers["/a"] | server.headers["/robots.txt"]


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_too_large_is_cut_off_while_it_streams(server, announced):
    def endless(to):
        to.answer(200, Content_Length=str(10**9) if announced else "", Connection="close")
        while not server.ending.is_set():
            to.wfile.write(b"x" * 500)

    server.routes["/endless"] = endless

    with pytest.raises(FetchFailed, match="larger than 1000 bytes"):
        fetch(server, "/endless")


def test_a_small_answer_that_unpacks_to_a_large_one_is_too_large(server):
    bomb = gzip.compress(bytes(10**6))
    server.routes["/bomb"] = lambda to: to.answer(200, body=bomb, Content_Encoding="gzip")

    with pytest.raises(FetchFailed, match="larger than"):
        fetch(server, "/bomb", Limits(max_bytes=len(bomb) * 2))


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_in_pieces_is_put_together(server, packed):
    body = bytes(range(256)) * 2000

    def pieces(to):
        coding = "gzip" if packed else ""
        to.answer(200, Content_Length="", Transfer_Encoding="chunked", Content_Encoding=coding)
        data = gzip.compress(body) if packed else body
        for start in range(0, len(data), 999):
            piece = data[start : start + 999]
            to.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        to.wfile.write(b"0\r\n\r\n")

    server.routes["/pieces"] = pieces

    assert fetch(server, "/pieces", Limits()).body == body


def test_a_silent_server_is_given_up(server, no_robots):
    server.routes["/silent"] = lambda to: server.ending.wait(10)
    began = time.monotonic()

    with pytest.raises(FetchFailed, match=r"no answer within 0\.1 s"):
        fetch(server, "/silent", Limits(timeout=0.1))
    assert time.monotonic() - began < 3
    eventually(lambda: server.asked["/silent"] == 1 + connections.CONNECTS)


def test_a_server_that_drips_is_given_up(server):
    def drip(to):
        to.answer(200, Content_Length="1000", Connection="close")
        while not server.ending.wait(0.02):
            to.wfile.write(b"x")

    server.routes["/drip"] = drip

    with pytest.raises(FetchFailed, match=r"not finished within 0\.2 s"):
        fetch(server, "/drip", Limits(deadline=0.2))


def test_half_an_answer_is_none(server):
    server.routes["/half"] = lambda to: to.answer(200, body=b"12345", Content_Length="10", Connection="close")

    with pytest.raises(FetchFailed, match="(?i)incomplete|5 bytes read"):
        fetch(server, "/half")


def test_a_busy_server_is_asked_again(server):
    server.routes["/busy"] = lambda to: to.answer(200 if server.asked["/busy"] == 3 else 503, body=b"x")

    assert fetch(server, "/busy").body == b"x"


def test_a_server_that_stays_busy_is_left_alone(server):
    server.routes["/busy"] = lambda to: to.answer(503)

    with pytest.raises(FetchFailed, match="503 Service Unavailable"):
        fetch(server, "/busy")
    assert server.asked["/busy"] == 1 + connections.STATUSES


@pytest.mark.timeout(20)
def test_what_a_busy_server_sends_along_is_not_read(server):
    server.routes["/busy"] = endless(server, 503)

    with pytest.raises(FetchFailed, match="503 Service Unavailable"):
        fetch(server, "/busy", Limits(deadline=1.0))


def test_retry_after_is_kept_within_reason(server, monkeypatch):
    monkeypatch.setattr(connections, "LONGEST_WAIT", 0.1)
    server.routes["/busy"] = lambda to: to.answer(200 if server.asked["/busy"] == 2 else 429, Retry_After="86400")
    began = time.monotonic()

    fetch(server, "/busy")

    assert 0.1 <= time.monotonic() - began < 5


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (204, "204 No Content"), (499, "status 499")])
def test_other_statuses_are_final(server, status, words):
    server.routes["/x"] = lambda to: to.answer(status)

    with pytest.raises(FetchFailed, match=words):
        fetch(server, "/x")
    assert server.asked["/x"] == 1


class TestRedirects:
    def test_they_are_followed(self, server):
        server.routes["/old/"] = lambda to: to.answer(302, Location="../new?x=1#y")
        server.routes["/new?x=1"] = lambda to: to.answer(200, body=b"here")

        answer = fetch(server, "/old/")

        assert (answer.body, answer.url) == (b"here", f"{server.url}/new?x=1")

    @pytest.mark.timeout(20)
    def test_what_comes_with_them_is_not_read(self, server):
        server.routes["/moved"] = endless(server, 302, Location="/new")
        server.routes["/new"] = lambda to: to.answer(200, body=b"here")

        assert fetch(server, "/moved", Limits(deadline=5.0)).body == b"here"

    def test_an_address_in_utf8_is_read_as_such(self, server):
        server.routes["/moved"] = lambda to: to.answer(302, Location="/café".encode().decode("latin-1"))
        server.routes["/caf%C3%A9"] = lambda to: to.answer(200, body=b"here")

        assert fetch(server, "/moved").body == b"here"

    def test_not_into_what_robots_forbids(self, server):
        server.routes["/robots.txt"] = lambda to: to.answer(200, body=b"User-agent: *\nDisallow: /private/")
        server.routes["/old"] = lambda to: to.answer(301, Location="/private/x")

        with pytest.raises(FetchFailed, match=r"robots\.txt forbids"):
            fetch(server, "/old")
        assert server.asked["/private/x"] == 0

    def test_not_in_circles(self, server):
        server.routes["/loop"] = lambda to: to.answer(302, Location="/loop")

        with pytest.raises(FetchFailed, match="more than 5 redirects"):
            fetch(server, "/loop")

    def test_not_to_files(self, server):
        server.routes["/file"] = lambda to: to.answer(302, Location="file:///etc/passwd")

        with pytest.raises(FetchFailed, match="isn't one of the web"):
            fetch(server, "/file")


class TestRobots:
    def test_they_are_fetched_once(self, server):
        server.routes["/robots.txt"] = lambda to: to.answer(200, body=b"User-agent: dqlab\nDisallow: /b")
        server.routes["/a"] = server.routes["/b"] = lambda to: to.answer(200)

        for _ in range(3):
            fetch(server, "/a")
            with pytest.raises(FetchFailed, match=r"robots\.txt forbids it"):
                fetch(server, "/b")

        assert (server.asked["/robots.txt"], server.asked["/b"]) == (1, 0)

    def test_a_site_without_them_allows_everything(self, server):
        server.routes["/robots.txt"] = lambda to: to.answer(403)
        server.routes["/a"] = lambda to: to.answer(200, body=b"x")

        assert fetch(server, "/a").body == b"x"

    def test_a_site_that_cannot_tell_allows_nothing(self, server):
        server.routes["/robots.txt"] = lambda to: to.answer(500)
        server.routes["/a"] = lambda to: to.answer(200)

        with pytest.raises(FetchFailed, match=r"robots\.txt can't be had: 500"):
            fetch(server, "/a")
        assert server.asked["/a"] == 0

    def test_they_may_have_moved(self, server):
        server.routes["/robots.txt"] = lambda to: to.answer(301, Location="/rules")
        server.routes["/rules"] = lambda to: to.answer(200, body=b"User-agent: *\nDisallow: /a")

        with pytest.raises(FetchFailed, match=r"robots\.txt forbids it"):
            fetch(server, "/a")

    @pytest.mark.timeout(20)
    @pytest.mark.parametrize("place", ["/robots.txt", "/moved"])
    def test_ones_that_drip_are_given_up(self, server, place):
        server.routes["/robots.txt"] = lambda to: to.answer(302, Location="/moved")
        server.routes[place] = endless(server, 200, b"#", pause=0.01)

        with pytest.raises(FetchFailed, match=r"not finished within 0\.2 s"):
            fetch(server, "/a", Limits(deadline=0.2))

    @pytest.mark.timeout(60)
    def test_a_site_that_does_not_answer_is_left_alone_for_as_long_as_that_took(self, server):
        server.routes["/robots.txt"] = lambda to: server.ending.wait(60)
        began = time.monotonic()
        with pytest.raises(FetchFailed) as first:
            fetch(server, "/a", Limits(timeout=0.5))
        took = time.monotonic() - began
        eventually(lambda: server.asked["/robots.txt"] == 1 + connections.CONNECTS)
        with pytest.raises(FetchFailed, match=re.escape(first.value.message)):
            fetch(server, "/b", Limits(timeout=0.5))
        if time.monotonic() - began < 2 * took - 0.2:  # else this machine took its time over it
            assert server.asked["/robots.txt"] == 1 + connections.CONNECTS

        server.routes["/robots.txt"] = server.routes["/b"] = lambda to: to.answer(200)
        eventually(lambda: time.monotonic() - began > 2 * took + 0.1)
        fetch(server, "/b")

    def test_endless_ones_are_read_as_far_as_sense_goes(self, server):
        def endless(to):
            to.answer(200, Content_Length="", Connection="close")
            to.wfile.write(b"User-agent: *\nDisallow: /private\n")
            while not server.ending.is_set():
                to.wfile.write(b"#" * 1000 + b"\n")

        server.routes["/robots.txt"] = endless
        with pytest.raises(FetchFailed, match=r"robots\.txt forbids it"):
            fetch(server, "/private")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}/", "Connection refused"),
        ("http://no-such-host.invalid/", "(?i)name|resolve"),
        (f"http://{'a' * 70}.invalid/", "."),
        ("http://a..b/", "."),
    ],
)
def test_what_cannot_be_reached_is_said_in_a_line(url, words):
    with pytest.raises(FetchFailed, match=words) as caught:
        get(url.format(port=free_port()), SMALL, wants=lambda kind: True)
    assert "\n" not in caught.value.message
    assert "object at 0x" not in caught.value.message


class TestTasks:
    """`fetch_page` and `fetch_image`, as workers run them."""

    def test_a_picture(self, server):
        server.routes["/a"] = lambda to: to.answer(200, "image/png; x=1", b"png")

        image = fetch_image(server.url + "/a", SMALL)

        assert (image.body, image.content_type, image.error) == (b"png", "image/png", None)
        assert image.seconds > 0
        assert image.worker

    @pytest.mark.parametrize(
        ("kind", "body", "error"),
        [
            ("text/html", b"<html>", "text/html is no picture"),
            ("", b"x", "no content type"),
            ("\x1b[2Jx", b"x", "no content type"),
            ("text/x\x1b[2J", b"x", "text/x is no picture"),
            ("text/" + "x" * 1000, b"x", "x is no picture"),
            ("image/png", b"", "empty"),
        ],
    )
    def test_no_picture(self, server, kind, body, error):
        server.routes["/a"] = lambda to: to.answer(200, kind, body)

        image = fetch_image(server.url + "/a", SMALL)

        assert error in image.error
        assert image.error.isprintable() and len(image.error) < LONGEST_REASON
        assert image.body == b""

    def test_a_page(self, server):
        server.routes["/"] = lambda to: to.answer(200, "text/html", b"<img src=a.png><a href=b.html>")

        assert fetch_page(server.url + "/", SMALL) == Page(
            f"{server.url}/", (f"{server.url}/a.png",), (f"{server.url}/b.html",)
        )

    def test_a_page_that_is_none(self, server):
        server.routes["/zip"] = lambda to: to.answer(200, "application/zip", b"x" * 10_000)
        server.routes["/picture"] = lambda to: to.answer(200, "image/png", b"x" * 10_000)
        server.routes["/long"] = lambda to: to.answer(200, "text/html", Content_Length=str(LARGEST_PAGE + 1))

        assert fetch_page(server.url + "/zip", SMALL) == Page(f"{server.url}/zip")
        assert fetch_page(server.url + "/picture", SMALL).images == (f"{server.url}/picture",)
        assert fetch_page(server.url + "/none", SMALL).error == "404 Not Found"
        assert "larger than" in fetch_page(server.url + "/long", SMALL).error

    def test_a_page_that_the_parser_rejects(self, server, monkeypatch):
        def reject(*args):
            raise ParserRejectedMarkup("a long explanation")

        monkeypatch.setattr("dqlab.crawl.pages.parse", reject)
        server.routes["/"] = lambda to: to.answer(200, "text/html", b"<![x")

        assert fetch_page(server.url + "/", SMALL).error == "its HTML can't be read"
