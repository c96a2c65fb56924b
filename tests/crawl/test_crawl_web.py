"""One polite GET, against servers that aren't polite."""

import gzip
import re
import subprocess
import sys
import time
import zlib
from email.utils import formatdate

import pytest

from dqlab.crawl import body, web
from dqlab.crawl.body import LARGE
from dqlab.crawl.errand import Errand, Pressure
from dqlab.crawl.failures import FetchFailed, OutOfTime, TryAgain
from dqlab.crawl.limits import Limits
from dqlab.crawl.robots import Robots
from dqlab.crawl.session import session
from dqlab.crawl.terms import Terms
from dqlab.crawl.web import get
from dqlab.version import __version__
from tests.crawl.hostile import hostile_server
from tests.helpers import eventually, free_port

#: little is taken, but a busy machine gets all the time that it needs
SMALL = Limits(timeout=30.0, deadline=60.0, max_bytes=1000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(web, "BACK_OFF", 0.001)
    with hostile_server() as server:
        yield server
        session().close()
        session.cache_clear()
        web.rulebook.clear()


@pytest.fixture(autouse=True)
def fresh_session():
    session.cache_clear()
    web.rulebook.clear()


@pytest.fixture
def no_robots(monkeypatch):
    """The rules are known: where a test counts tenths of a second, fetching them must not take any."""
    monkeypatch.setattr(web, "rules", lambda *site: Robots(""))


def everything(label, head):
    return True


def fetch(server, path, limits=SMALL, **more):
    return get(Errand(url=server.url + path, **more), Terms(limits), everything)


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
        get(Errand(url="http://host.invalid/"), Terms(SMALL), everything)


def test_what_is_elsewhere_is_asked_for_by_a_proxy_if_there_is_one(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for path in ("a", "b"):
        server.routes[f"http://host.invalid/{path}"] = lambda to: to.answer(200, body=to.path.encode())

    for path in ("a", "b"):
        url = f"http://host.invalid/{path}"
        assert get(Errand(url=url), Terms(SMALL), everything).body == url.encode()

    assert len(server.connections) == 1
    assert server.headers[url]["Host"] == "host.invalid"


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


def test_what_nobody_wants_is_not_too_large(server):
    server.routes["/a"] = lambda to: to.answer(200, "video/mp4", b"film", Content_Length=str(10**12))

    assert get(Errand(url=server.url + "/a"), Terms(), lambda label, head: False).body == b"film"
    with pytest.raises(FetchFailed, match="larger than"):
        get(Errand(url=server.url + "/a"), Terms(), everything)


def test_a_small_answer_that_unpacks_to_a_large_one_is_too_large(server):
    bomb = gzip.compress(bytes(10**6))
    server.routes["/bomb"] = lambda to: to.answer(200, body=bomb, Content_Encoding="gzip")

    with pytest.raises(FetchFailed, match="larger than"):
        fetch(server, "/bomb", Limits(max_bytes=len(bomb) * 2))


#: where the memory of a large body lies: the heap grows, and keeps what has been freed
PLACE = """
import ctypes
from dqlab.crawl import body
body.return_large_pieces()
bytearray(8 * body.LARGE)  # after such a one the next would lie in the heap
picture = bytearray(2 * body.LARGE)
address = ctypes.addressof(ctypes.c_char.from_buffer(picture))
for line in open("/proc/self/maps"):
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    if start <= address < end:
        print("heap" if "[heap]" in line else "its own")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is set")
def test_the_memory_of_a_large_body_goes_back_to_the_system():
    assert subprocess.check_output([sys.executable, "-c", PLACE], text=True) == "its own\n"


@pytest.mark.parametrize(("size", "times"), [(LARGE - 1, 0), (LARGE, 1)])
def test_that_is_asked_for_when_a_large_body_comes(server, monkeypatch, size, times):
    asked = []
    monkeypatch.setattr(body, "return_large_pieces", lambda: asked.append(size))
    server.routes["/a"] = lambda to: to.answer(200, "image/png", bytes(size))

    assert len(fetch(server, "/a", Limits()).body) == size
    assert len(asked) == times


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

    with pytest.raises(TryAgain, match=r"no answer within 0\.1 s") as caught:
        fetch(server, "/silent", Limits(timeout=0.1))
    assert time.monotonic() - began < 3
    assert caught.value.pressure is Pressure.AWAY


def test_a_server_that_drips_is_given_up(server):
    def drip(to):
        to.answer(200, Content_Length="1000", Connection="close")
        while not server.ending.wait(0.02):
            to.wfile.write(b"x")

    server.routes["/drip"] = drip

    with pytest.raises(FetchFailed, match=r"not finished within 0\.2 s"):
        fetch(server, "/drip", Limits(deadline=0.2))


def test_a_header_that_drips_is_given_up(server, no_robots):
    def drip(to):
        to.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not server.ending.wait(0.02):
            to.wfile.write(b"X-A: b\r\n")

    server.routes["/drip"] = drip

    with pytest.raises(OutOfTime, match=r"not finished within 0\.3 s"):
        fetch(server, "/drip", Limits(deadline=0.3))


class TestCutOnTheWay:
    """A body that ends before its end is asked for again, from where it ended if the server can do that."""

    BODY = bytes(range(256)) * 100

    def cut(self, server, times, tag='"v1"', ranges=True):
        """A route whose first answers are cut; the ranges asked for."""
        asked = []

        def route(to):
            asked.append(to.headers.get("Range"))
            start = int(asked[-1][6:-1]) if ranges and asked[-1] and to.headers["If-Range"] == tag else 0
            body = self.BODY[start:]
            more = {"Content_Range": f"bytes {start}-{len(self.BODY) - 1}/{len(self.BODY)}"} if start else {}
            more |= {"Content_Length": str(len(body)), "ETag": tag, "Connection": "close"}
            to.answer(206 if start else 200, "image/png", body[:5000] if len(asked) <= times else body, **more)
            to.close_connection = True

        server.routes["/a"] = route
        return asked

    def test_the_rest_is_asked_for(self, server):
        asked = self.cut(server, times=2)

        assert fetch(server, "/a", Limits()).body == self.BODY
        assert asked == [None, "bytes=5000-", "bytes=10000-"]

    @pytest.mark.parametrize(("tag", "ranges"), [('"v1"', False), ('W/"v1"', True), ("", True)])
    def test_all_of_it_where_the_server_cannot_tell(self, server, tag, ranges):
        asked = self.cut(server, times=1, tag=tag, ranges=ranges)

        assert fetch(server, "/a", Limits()).body == self.BODY
        assert len(asked) == 2

    def test_a_part_of_the_rest_is_not_all_of_it(self, server):
        def route(to):
            start = int((to.headers.get("Range") or "bytes=0-")[6:-1])
            end = min(start + 10_000, len(self.BODY))
            more = {"ETag": '"v1"', "Content_Range": f"bytes {start}-{end - 1}/{len(self.BODY)}"}
            if start:
                to.answer(206, "image/png", self.BODY[start:end], **more)
            else:
                to.answer(200, body=self.BODY[:8000], Content_Length=str(len(self.BODY)), ETag='"v1"')
                to.close_connection = True

        server.routes["/a"] = route

        assert fetch(server, "/a", Limits()).body == self.BODY

    @pytest.mark.parametrize(("start", "total"), [(0, 25_600), (5000, 25_601)])
    def test_a_part_that_is_longer_than_its_place_or_of_something_longer_is_none(self, server, start, total):
        def route(to):
            if to.headers.get("Range"):
                place = f"bytes 5000-{len(self.BODY) - 1}/{total}"
                to.answer(206, "image/png", self.BODY[start:], ETag='"v1"', Content_Range=place)
            elif server.asked["/a"] == 1:
                to.answer(200, body=self.BODY[:5000], Content_Length=str(len(self.BODY)), ETag='"v1"')
                to.close_connection = True
            else:
                to.answer(200, "image/png", self.BODY)

        server.routes["/a"] = route

        assert fetch(server, "/a", Limits()).body == self.BODY

    @pytest.mark.parametrize("status", [206, 416])
    def test_all_of_it_where_the_part_is_not_what_was_asked_for(self, server, status):
        """Another version, from another place, or none at all."""

        def route(to):
            if not to.headers.get("Range"):
                more = {"Content_Length": str(len(self.BODY)), "ETag": '"v1"', "Connection": "close"}
                to.answer(200, body=self.BODY[:5000] if server.asked["/a"] == 1 else self.BODY, **more)
                to.close_connection = True
            else:
                place = f"bytes 5000-{len(self.BODY) - 1}/{len(self.BODY)}"
                to.answer(status, body=b"#" * (len(self.BODY) - 5000), ETag='"v2"', Content_Range=place)

        server.routes["/a"] = route

        assert fetch(server, "/a", Limits()).body == self.BODY
        assert server.asked["/a"] == 3

    def test_a_server_that_refuses_the_rest_is_believed(self, server):
        self.cut(server, times=1)
        first = server.routes["/a"]
        server.routes["/a"] = lambda to: first(to) if server.asked["/a"] == 1 else to.answer(503, Retry_After="3")

        with pytest.raises(TryAgain, match="503") as caught:
            fetch(server, "/a", Limits())
        assert caught.value.wait == 3

    def test_what_is_always_cut_is_none(self, server):
        asked = self.cut(server, times=9, tag="")

        with pytest.raises(FetchFailed, match="cut on its way after 5000 bytes, 3 times"):
            fetch(server, "/a", Limits())
        assert len(asked) == 3

    def test_a_body_that_stalls(self, server):
        def route(to):
            if server.asked["/a"] == 1:
                to.answer(200, body=self.BODY[:500], Content_Length=str(len(self.BODY)))
                server.ending.wait(5)
            else:
                to.answer(200, body=self.BODY)

        server.routes["/a"] = route

        assert fetch(server, "/a", Limits(timeout=0.2)).body == self.BODY

    @pytest.mark.parametrize("end", [b"64\r\n" + bytes(50), b"zz\r\n", b"64\r\n" + bytes(100)])
    def test_chunks_that_end_too_early(self, server, end):
        def route(to):
            to.answer(200, Content_Length="", Transfer_Encoding="chunked", Connection="close")
            to.wfile.write(end)
            to.close_connection = True

        server.routes["/a"] = route

        with pytest.raises(FetchFailed, match="cut on its way"):
            fetch(server, "/a")
        assert server.asked["/a"] == 3


class TestCoding:
    """Content-Encoding is undone, or the body refused."""

    def answer(self, server, body, coding):
        server.routes["/a"] = lambda to: to.answer(200, body=body, Content_Encoding=coding)
        return fetch(server, "/a", Limits(max_bytes=100_000)).body

    @pytest.mark.parametrize(
        ("pack", "coding"),
        [
            (gzip.compress, "gzip"),
            (gzip.compress, "X-GZIP"),
            (lambda body: gzip.compress(gzip.compress(body)), "gzip, gzip"),
            (lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]), "gzip"),
            (lambda body: gzip.compress(body) + bytes(8), "gzip"),
            (zlib.compress, "deflate"),
            (lambda body: zlib.compress(body)[2:-4], "deflate"),
            (lambda body: body, "identity"),
            (lambda body: body, "utf-8"),  # as some servers write
            (lambda body: gzip.compress(body), "gzip, aws-chunked"),  # as stores keep what was sent to them
        ],
    )
    def test_it_is_undone(self, server, pack, coding):
        assert self.answer(server, pack(b"picture" * 1000), coding) == b"picture" * 1000

    @pytest.mark.parametrize(
        ("body", "coding", "words"),
        [
            (b"x" * 100, "br", "Content-Encoding 'br' can't be undone"),
            (b"x" * 100, "gzip", "it isn't gzip"),
            (gzip.compress(b"x" * 1000)[:-3], "gzip", "its end is missing"),
            (gzip.compress(b"x" * 1000)[:-8] + bytes(8), "gzip", "damaged: its check sum doesn't match"),
            (gzip.compress(b"x" * 1000)[:-4] + bytes(4), "gzip", "damaged: its check sum doesn't match"),
            (zlib.compress(b"x" * 1000)[:-4] + bytes(4), "deflate", "damaged: its check sum doesn't match"),
            (gzip.compress(b"x" * 1000)[:10] + b"\xff" * 20, "gzip", "damaged: it can't be unpacked to its end"),
            (b"x" * 100, "deflate", "it isn't deflate"),
            (gzip.compress(bytes(10**7)), "gzip", "larger than 100000 bytes"),
            (gzip.compress(gzip.compress(bytes(10**7))), "gzip, gzip", "larger than 100000 bytes"),
            (b"x", "gzip," * 20 + "gzip", "can't be undone"),
        ],
    )
    def test_or_it_is_refused(self, server, body, coding, words):
        with pytest.raises(FetchFailed, match=words):
            self.answer(server, body, coding)


@pytest.mark.parametrize("interim", ["100 Continue", "103 Early Hints"])
def test_interim_answers_are_passed_over(server, interim):
    def route(to):
        to.wfile.write(f"HTTP/1.1 {interim}\r\nLink: </x>\r\n\r\n".encode())
        to.answer(200, body=to.path.encode())

    server.routes["/a"] = server.routes["/b"] = route

    assert [fetch(server, path).body for path in ("/a", "/b")] == [b"/a", b"/b"]


@pytest.mark.parametrize(
    "lines",
    [
        b"this is no header\r\n",
        "X-Größe: 1\r\n".encode(),
        b": nothing\r\n",
        b"X-Long: it\r\n goes on\r\n",
        b"X: y\r\n" * 1000,
    ],
)
def test_header_lines_that_make_no_sense_are_passed_over(server, lines):
    def route(to):
        to.wfile.write(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Type: image/png\r\nContent-Length: 2\r\n\r\nab")

    server.routes["/a"] = server.routes["/b"] = route

    began = time.monotonic()
    assert [fetch(server, path).body for path in ("/a", "/b")] == [b"ab", b"ab"]
    assert time.monotonic() - began < Limits().timeout  # nobody waits for a body that has no end
    assert len(server.connections) == 1


def test_fields_of_one_name_are_a_list_or_the_first_counts(server):
    lines = b"x-robots-tag: noai\r\nX-Robots-Tag: noindex\r\nContent-Type: image/png\r\nContent-Type: text/html\r\n"
    server.routes["/a"] = lambda to: to.wfile.write(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nab")

    answer = fetch(server, "/a")

    assert answer.headers["x-robots-tag"] == "noai, noindex"
    assert answer.kind == "image/png"


def test_a_length_that_a_proxy_has_doubled_is_one(server):
    server.routes["/a"] = lambda to: to.answer(200, "image/png", b"ab", Content_Length="2, 2")

    assert [fetch(server, "/a", Limits(timeout=5)).body for _ in range(2)] == [b"ab", b"ab"]
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("part", "words"), [("bytes 0-3/4", ""), ("bytes 0-3/9", "206"), ("bytes 4-7/8", "206"), ("bytes 0-3/*", "206")]
)
def test_a_part_that_nobody_asked_for_is_an_answer_if_it_is_all_of_it(server, part, words):
    server.routes["/a"] = lambda to: to.answer(206, "image/png", b"abcd", Content_Range=part)

    if words:
        with pytest.raises(FetchFailed, match=words):
            fetch(server, "/a")
    else:
        assert fetch(server, "/a").body == b"abcd"


def test_an_answer_without_a_body_has_none_whatever_its_header_says(server):
    head = b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.routes["/a"] = lambda to: to.wfile.write(head)

    began = time.monotonic()
    assert [fetch(server, "/a", etag='"1"').unchanged for _ in range(2)] == [True, True]
    assert time.monotonic() - began < SMALL.timeout
    assert len(server.connections) == 1


def test_the_body_of_an_answer_that_is_of_no_use_does_not_cost_the_connection(server):
    server.routes["/a"] = lambda to: to.answer(302, body=b"it has moved", Location="/b")
    server.routes["/b"] = lambda to: to.answer(404, body=b"it is not here")

    with pytest.raises(FetchFailed, match="404"):
        fetch(server, "/a")
    with pytest.raises(FetchFailed, match="404"):
        fetch(server, "/b")
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "doesn't speak HTTP"),
        (b"", "hung up without an answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "its header is longer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000 + b"\r\n", "its header is longer"),
        (b"HTTP/1.1 103 x\r\n\r\n" * 100, "doesn't speak HTTP"),
    ],
)
def test_what_is_no_answer_is_said_in_words(server, reply, words):
    def route(to):
        to.wfile.write(reply)
        to.close_connection = True

    server.routes["/a"] = route

    with pytest.raises(TryAgain, match=words):
        fetch(server, "/a")


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("", None), ("-3", None)])
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_so_and_how_long_to_wait(server, status, header, seconds):
    server.routes["/busy"] = lambda to: to.answer(status, Retry_After=header)

    with pytest.raises(TryAgain, match=str(status)) as caught:
        fetch(server, "/busy")
    assert (caught.value.pressure, caught.value.wait) == (Pressure.BUSY, seconds)
    assert server.asked["/busy"] == 1  # when to ask again is not for the one who asks


def test_a_date_says_how_long_to_wait(server):
    server.routes["/busy"] = lambda to: to.answer(503, Retry_After=formatdate(time.time() + 60, usegmt=True))

    with pytest.raises(TryAgain) as caught:
        fetch(server, "/busy")
    assert 55 < caught.value.wait <= 61


@pytest.mark.timeout(20)
def test_what_a_busy_server_sends_along_is_not_read(server):
    server.routes["/busy"] = endless(server, 503)

    with pytest.raises(FetchFailed, match="503 Service Unavailable"):
        fetch(server, "/busy", Limits(deadline=1.0))


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504, 520, 524])
def test_some_statuses_may_pass(server, status):
    server.routes["/x"] = lambda to: to.answer(status)

    with pytest.raises(TryAgain, match=str(status)):
        fetch(server, "/x")


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

        with pytest.raises(FetchFailed, match="redirects in circles"):
            fetch(server, "/loop")
        assert server.asked["/loop"] == web.CIRCLES

    @pytest.mark.parametrize("count", [20, 21])
    def test_up_to_twenty(self, server, count):
        for number in range(count):
            server.routes[f"/{number}"] = lambda to, number=number: to.answer(302, Location=f"/{number + 1}")
        server.routes[f"/{count}"] = lambda to: to.answer(200, body=b"here")

        if count == 20:
            assert fetch(server, "/0").body == b"here"
        else:
            with pytest.raises(FetchFailed, match="more than 20 redirects"):
                fetch(server, "/0")

    def test_a_cookie_on_the_way_is_shown(self, server):
        def route(to):
            to.answer(200, body=b"in") if to.headers["Cookie"] else to.answer(302, Location="/a", Set_Cookie="x=1")

        server.routes["/a"] = route

        assert fetch(server, "/a").body == b"in"

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
        with pytest.raises(FetchFailed, match=re.escape(first.value.message)):
            fetch(server, "/b", Limits(timeout=0.5))
        if time.monotonic() - began < 2 * took - 0.2:  # else this machine took its time over it
            assert server.asked["/robots.txt"] == 1

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
        get(Errand(url=url.format(port=free_port())), Terms(SMALL), everything)
    assert "\n" not in caught.value.message
    assert "object at 0x" not in caught.value.message
