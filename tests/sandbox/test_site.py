"""The sandbox site: real pictures, awkward pages, and a log of what was asked for."""

import contextlib
import hashlib
import http.client
import io
import signal
import subprocess
import sys
import time

import pytest
import requests
from PIL import Image

from dqlab import sandbox
from dqlab.errors import BadInput, DqlabError, LaunchFailed
from dqlab.sandbox import art
from dqlab.sandbox.pages import FALSE, FLAKY, MISSING, PRIVATE
from dqlab.sandbox.site import url_of
from tests.helpers import eventually, free_port


@pytest.fixture
def web():
    with sandbox.site() as web:
        yield web


def get(web, path):
    return requests.get(web.url.rstrip("/") + path, timeout=5)


def test_there_are_two_hundred_pictures_and_more_in_three_formats(web):
    formats = {Image.open(io.BytesIO(body)).format for body in web.images.values()}

    assert len(web.images) >= 200
    assert formats == {"PNG", "JPEG", "WEBP"}


def test_no_picture_is_shown_twice_under_two_addresses(web):
    assert len({hashlib.sha256(body).digest() for body in web.images.values()}) == len(web.images)


def test_a_picture_comes_over_the_wire_as_it_is(web):
    for path in ("/dunes/01.jpg", "/picture?id=1", "/about/caf%C3%A9.png"):
        answer = get(web, path)
        assert answer.content == web.images[path]
        assert answer.headers["Content-Type"].startswith("image/")


def test_pictures_are_the_same_each_time():
    first = art.encoded.__wrapped__("glass", 5, "png")

    assert first == art.encoded.__wrapped__("glass", 5, "png")
    assert first != art.encoded("glass", 6, "png")


def test_every_page_is_reachable_and_every_picture_shown(web):
    pages = [path for path in web.pages if path.endswith((".html", "/", "?again=1"))]
    text = "".join(get(web, path).text for path in pages)

    for path in web.images:
        assert path.rsplit("/", 1)[1] in text


@pytest.mark.parametrize("images", [40, 41, 200, 333])
def test_it_shows_as_many_pictures_as_asked_for(images):
    with sandbox.site(images=images) as web:
        assert len(web.images) == images


def test_requests_are_counted(web):
    get(web, "/dunes/01.jpg")
    get(web, "/dunes/01.jpg")

    assert web.requests["/dunes/01.jpg"] == 2
    assert web.requests["/dunes/02.png"] == 0


def test_the_delay_can_be_changed_while_it_serves(web):
    get(web, "/style.css")
    web.delay = 0.2
    began = time.monotonic()
    get(web, "/style.css")

    assert time.monotonic() - began >= 0.2


def test_one_connection_serves_many_requests(web):
    connection = http.client.HTTPConnection(web.host, web.port, timeout=5)
    connection.connect()
    connection.auto_open = False
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read()
        connection.request("HEAD", "/")
        assert connection.getresponse().read() == b""


def test_what_is_wrong_on_purpose(web):
    assert [get(web, FLAKY).status_code for _ in range(2)] == [503, 200]
    assert get(web, MISSING).status_code == 404
    assert get(web, FALSE).headers["Content-Type"].startswith("text/html")
    assert f"Disallow: {PRIVATE}" in get(web, "/robots.txt").text
    assert get(web, f"{PRIVATE}secret.png").status_code == 200
    assert not set(web.private) & set(web.images)


def test_closing_cuts_open_connections():
    with requests.Session() as session:
        with sandbox.site() as web:
            session.get(web.url, timeout=5)
        with pytest.raises(requests.ConnectionError):
            session.get(web.url, timeout=5)


def test_nonsense_is_refused():
    with pytest.raises(BadInput, match="images=3"):
        sandbox.site(images=3)
    with pytest.raises(BadInput, match="delay=-1"):
        sandbox.site(delay=-1)
    with pytest.raises(LaunchFailed, match="192.0.2.1"):
        sandbox.site(host="192.0.2.1")
    with pytest.raises(LaunchFailed, match="0-65535"):
        sandbox.site(port=99999)


def test_an_ipv6_address_stands_in_brackets():
    assert url_of("::1", 8000) == "http://[::1]:8000/"
    assert url_of("127.0.0.1", 8000) == "http://127.0.0.1:8000/"


def test_without_pillow_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "dqlab.sandbox.art")
    monkeypatch.delattr(sandbox, "art")

    with pytest.raises(DqlabError, match=r"pip install 'dqlab\[lab\]'"):
        sandbox.site()


class TestProcess:
    """`python -m dqlab.sandbox`."""

    def start(self, *options):
        command = [sys.executable, "-m", "dqlab.sandbox", *options]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_prints_its_address_and_ends_on_a_signal(self, number):
        port = free_port()
        with self.start("--port", str(port)) as process:
            assert process.stdout.readline() == f"sandbox site at http://127.0.0.1:{port}/ (208 pictures)\n"
            assert requests.get(f"http://127.0.0.1:{port}/", timeout=5).ok
            process.send_signal(number)
            _, errors = process.communicate(timeout=5)
        assert (process.returncode, errors) == (0, "")

    def test_it_ends_with_its_owner(self):
        with self.start("--owned") as process:
            process.stdout.readline()
            process.stdin.close()
            assert eventually(lambda: process.poll() is not None, timeout=5)
            assert process.returncode == 0

    def test_it_says_in_a_line_why_it_cannot_listen(self):
        with self.start("--host", "192.0.2.1") as process:
            output, errors = process.communicate(timeout=10)
        assert (process.returncode, output) == (1, "")
        assert errors.startswith("dqlab: the sandbox site can't listen at 192.0.2.1:0")

    def test_wrong_use_is_said_in_a_line_and_a_hint(self):
        with self.start("--images", "3") as process:
            output, errors = process.communicate(timeout=10)
        assert (process.returncode, output) == (2, "")
        assert errors == "dqlab: images=3 is too few for the sandbox site\n  take 40 or more\n"


class TestLimit:
    def test_who_asks_for_more_is_told_when_to_come_again(self):
        with sandbox.site(images=40, limit=5) as web:
            answers = [get(web, "/") for _ in range(8)]

        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert {answer.headers.get("Retry-After") for answer in answers} == {None, "1"}
        assert web.refused == 3

    def test_who_waits_is_let_in_again_and_who_goes_on_knocking_is_not(self):
        with sandbox.site(images=40, limit=2) as web:
            until = time.monotonic() + 1.5
            knocking = set[int]()
            for _ in range(2):
                get(web, "/")
            while time.monotonic() < until:
                knocking.add(get(web, "/").status_code)
            time.sleep(1.1)  # what Retry-After asks for
            assert knocking == {429}
            assert get(web, "/").status_code == 200

    def test_a_limit_without_sense(self):
        with pytest.raises(BadInput, match="limit=0 lets nobody in"):
            sandbox.site(limit=0)
