"""What a task of the crawl does with its handful of addresses: threads, bounds of time and bytes, one outcome each."""

import pickle
import threading
import time

import pytest

from dqlab.crawl import handful, web
from dqlab.crawl.asking import Asking, asking
from dqlab.crawl.body import Purse
from dqlab.crawl.errand import Errand, Pressure
from dqlab.crawl.handful import fetch
from dqlab.crawl.limits import Limits
from dqlab.crawl.session import session
from dqlab.crawl.terms import Terms
from dqlab.errors import BadInput
from tests.crawl.hostile import PNG, hostile_server
from tests.crawl.test_crawl_web import endless

ROOM = 10_000_000
#: host, end (0: with the browser), name
COOKIES = [("127.0.0.1", 0, "here"), ("127.0.0.1", 1, "old"), ("example.org", 0, "elsewhere")]


@pytest.fixture
def server():
    with hostile_server() as server:
        yield server
        session().close()
        session.cache_clear()
        web.rulebook.clear()


def png(to):
    to.answer(200, "image/png", PNG)


def run(server, *paths, slots=1, terms=None, room=ROOM, alone=False, **more):
    """Fetch `paths` and return the outcomes by path."""
    errands = [Errand(url=server.url + path, **more) for path in paths]
    outcomes = fetch(errands, {server.url[7:]: slots}, terms or Terms(), room, alone)
    return {outcome.errand.url.removeprefix(server.url): outcome for outcome in outcomes}


def test_each_address_has_an_outcome(server):
    server.routes["/a.png"] = png
    server.routes["/busy.png"] = lambda to: to.answer(503, Retry_After="7")
    server.routes["/page"] = lambda to: to.answer(200, "text/html", b"<img src=/a.png>")

    done = run(server, "/a.png", "/none.png", "/page", "/busy.png")

    assert (done["/a.png"].image.body, done["/a.png"].image.content_type) == (PNG, "image/png")
    assert done["/none.png"].image.error == "404 Not Found"
    busy = done["/busy.png"]
    assert (busy.again, busy.pressure, busy.wait) == ("503 Service Unavailable", Pressure.BUSY, 7.0)
    assert done["/page"].image.error == "a web page, not a picture"


def test_outcomes_travel(server):
    server.routes["/a.png"] = png
    done = run(server, "/a.png", "/none")

    assert pickle.loads(pickle.dumps(done)) == done


def test_as_many_threads_as_the_host_has_slots(server):
    together, meet = [], threading.Barrier(3)

    def route(to):
        meet.wait(10)  # three are needed
        together.append(to.path)
        png(to)

    paths = [f"/{number}.png" for number in range(6)]
    for path in paths:
        server.routes[path] = route

    assert len(run(server, *paths, slots=3)) == len(together) == 6


def test_a_page_where_a_picture_was_linked_is_read(server):
    server.routes["/File:a.jpg"] = lambda to: to.answer(200, "text/html", b"<img src=/full.jpg>")

    assert run(server, "/File:a.jpg", link=True)["/File:a.jpg"].page.images == (f"{server.url}/full.jpg",)


def test_a_picture_where_a_page_was_expected_is_kept(server):
    server.routes["/a"] = lambda to: to.answer(200, "application/octet-stream", PNG)

    assert run(server, "/a", page=True)["/a"].image.body == PNG


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("image/png", b"<!doctype html><p>log in", "a web page, not a picture (labelled image/png)"),
        ("image/png", b"\0\0\0\x18ftypmp42" + bytes(500), "a film, not a picture (labelled image/png)"),
        ("image/png", PNG[:-4], "its end is missing"),
        ("image/png", b"", "it is empty"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_it_is(server, kind, body, words):
    server.routes["/a"] = lambda to: to.answer(200, kind, body)

    image = run(server, "/a")["/a"].image

    assert (image.error, image.body) == (words, b"")


@pytest.mark.parametrize("label", ["application/octet-stream", "binary/octet-stream", "image/*", "text/plain", ""])
def test_a_picture_is_one_whatever_its_label_says(server, label):
    server.routes["/a"] = lambda to: to.answer(200, label, PNG)

    image = run(server, "/a")["/a"].image

    assert (image.error, image.content_type) == (None, "image/png")


def test_a_film_is_not_fetched_to_its_end(server):
    server.routes["/film"] = endless(server, 200, b"\0\0\0\x18ftypmp42" * 100)

    assert "a film" in run(server, "/film", terms=Terms(Limits(deadline=20)))["/film"].image.error


class TestBounds:
    def test_when_its_time_is_over_it_hands_back_what_it_did_not_begin(self, server, monkeypatch):
        monkeypatch.setattr(handful, "SECONDS", 0.5)

        def slow(to):
            server.ending.wait(0.2)
            png(to)

        paths = [f"/{number}.png" for number in range(20)]
        for path in paths:
            server.routes[path] = slow
        began = time.monotonic()

        done = run(server, *paths)

        assert time.monotonic() - began < 5
        assert 1 <= len(done) < 20

    def test_what_takes_longer_is_to_be_fetched_alone_and_then_has_the_time(self, server, monkeypatch):
        monkeypatch.setattr(handful, "SECONDS", 0.3)

        def slow(to):
            to.answer(200, "image/png", PNG[:20], Content_Length=str(len(PNG)))
            server.ending.wait(1)
            to.wfile.write(PNG[20:])

        server.routes["/slow.png"] = slow

        assert run(server, "/slow.png")["/slow.png"].alone
        assert run(server, "/slow.png", alone=True)["/slow.png"].image.body == PNG

    def test_a_host_that_is_busy_gets_no_more_of_it(self, server):
        paths = [f"/{number}.png" for number in range(6)]
        for path in paths:
            server.routes[path] = lambda to: png(to) if to.path < "/2" else to.answer(429, Retry_After="1")

        done = run(server, *paths)

        assert sorted(done) == paths[:3]
        assert done["/2.png"].wait == 1

    def test_what_takes_more_than_there_is_room_for_says_how_much(self, server):
        body = PNG + bytes(5000)
        server.routes["/large.png"] = lambda to: to.answer(200, "image/png", body)

        outcome = run(server, "/large.png", room=2000)["/large.png"]

        assert (outcome.alone, outcome.size) == (True, len(body))
        assert "room for (--memory)" in run(server, "/large.png", room=2000, alone=True)["/large.png"].image.error

    def test_a_full_purse_ends_the_handful(self, server):
        body = PNG + bytes(900)
        paths = [f"/{number}.png" for number in range(5)]
        for path in paths:
            server.routes[path] = lambda to: to.answer(200, "image/png", body)

        done = run(server, *paths, room=2 * len(body) + 10)

        assert list(done) == paths[:2]

    def test_where_all_run_here_they_have_their_room_together(self, server, tmp_path):
        body = PNG + bytes(100_000)
        paths = [f"/{number}.png" for number in range(6)]
        for path in paths:
            server.routes[path] = lambda to: to.answer(200, "image/png", body)
        purse = Purse(len(body) + 10)

        done = run(server, *paths, slots=6, room=2000, terms=Terms(landing=str(tmp_path), purse=purse))

        assert {path for path, outcome in done.items() if outcome.image.size == len(body)} == set(paths)
        assert [server.asked[path] for path in paths] == [1] * 6
        assert purse.left == purse.room

    def test_who_finds_no_room_waits_for_those_who_give_theirs_back(self, server, tmp_path):
        body = PNG + bytes(100_000)
        paths = [f"/{number}.png" for number in range(12)]
        for path in paths:
            server.routes[path] = lambda to: to.answer(200, "image/png", body)

        done = run(server, *paths, slots=6, room=len(body) + 10, terms=Terms(landing=str(tmp_path)))

        assert {outcome.image.size for outcome in done.values()} == {len(body)} and len(done) == len(paths)
        assert server.asked.total() == len(paths) + 1  # each once, and robots.txt

    def test_nobody_waits_for_what_stays(self, server):
        body = PNG + bytes(100_000)
        paths = [f"/{number}.png" for number in range(4)]
        for path in paths:
            server.routes[path] = lambda to: to.answer(200, "image/png", body)
        began = time.monotonic()

        done = run(server, *paths, slots=4, room=len(body) + 10)

        assert len(done) == 1
        assert time.monotonic() - began < handful.SECONDS


class TestNetworks:
    def test_what_the_user_did_not_name_may_not_lead_here(self, server):
        server.routes["/a.png"] = png
        outside = Terms(reach=frozenset({"the internet"}))

        image = run(server, "/a.png", terms=outside, referer="http://example.org/")["/a.png"].image

        assert "it leads to this machine, where the start page isn't (--allow-private)" in image.error
        assert not server.asked

    def test_an_old_connection_is_no_way_round(self, server):
        server.routes["/a.png"] = png
        assert run(server, "/a.png")["/a.png"].network == "this machine"
        before = server.asked.total()

        assert run(server, "/a.png", terms=Terms(reach=frozenset()))["/a.png"].image.error
        assert server.asked.total() == before

    def test_a_redirect_to_another_host_is_handed_back(self, server):
        server.routes["/a.png"] = lambda to: to.answer(302, Location="http://example.org/b.png")

        outcome = run(server, "/a.png")["/a.png"]

        assert (outcome.moved, outcome.hops, outcome.network) == ("http://example.org/b.png", 1, "this machine")


class TestAsking:
    """What requests say of the user."""

    def headers(self, server, asked, **more):
        server.routes["/a.png"] = png
        run(server, "/a.png", terms=Terms(asking=asked), **more)
        session(asked).close()
        return server.headers["/a.png"]

    def test_headers_of_the_users_choice(self, server):
        asked = asking(server.url, user_agent="me/1", headers=("Accept-Language: de", "X-Key:secret"))

        sent = self.headers(server, asked)

        assert (sent["User-Agent"], sent["Accept-Language"], sent["X-Key"]) == ("me/1", "de", "secret")
        assert "secret" not in repr(asked) + repr(Terms(asking=asked))

    @pytest.mark.parametrize("place", ["here", "elsewhere"])
    def test_a_password_goes_to_its_site_only(self, server, place):
        start = server.url.replace("//", "//me:s%C3%A9cret@") if place == "here" else "http://me:x@example.org/"

        sent = self.headers(server, asking(start, headers=("Cookie: a=b",)))

        assert ("Authorization" in sent, "Cookie" in sent) == ((place == "here"), (place == "here"))
        if place == "here":
            assert sent["Authorization"] == "Basic bWU6c8OpY3JldA=="

    @pytest.mark.parametrize("name", ["X-Api-Key", "private-token", "X-Auth-User", "Session-Id"])
    def test_a_header_that_is_a_key_by_its_name_goes_to_its_site_only(self, name):
        asked = asking("http://host/", headers=(f"{name}: secret", "Accept-Language: de"))

        assert asked.for_site("host") == {name.title(): "secret", "Accept-Language": "de"}
        assert asked.for_site("elsewhere") == {"Accept-Language": "de"}

    @pytest.mark.parametrize("more", [{"auth": ("me", "secret")}, {"headers": ("Authorization: secret",)}])
    def test_a_list_has_no_site_to_which_a_password_goes(self, more):
        with pytest.raises(BadInput, match="a list has none") as refused:
            asking("", **more)
        assert "secret" not in str(refused.value)

    def test_cookies_of_a_file(self, server, tmp_path):
        file = tmp_path / "cookies.txt"
        file.write_text(
            "# Netscape HTTP Cookie File\n"
            + "".join(f"{host}\tFALSE\t/\tFALSE\t{end}\t{name}\tx\n" for host, end, name in COOKIES)
        )

        assert self.headers(server, asking(server.url, cookies=file))["Cookie"] == "here=x"

    @pytest.mark.parametrize(
        ("page", "said"),
        [("{here}/page?x=1", "{here}/page?x=1"), ("http://example.org/page", "http://example.org/"), (None, None)],
    )
    def test_the_referer_is_as_browsers_send_it(self, server, page, said):
        page, said = (text and text.format(here=server.url) for text in (page, said))

        assert self.headers(server, Asking(), referer=page).get("Referer") == said

    @pytest.mark.parametrize(
        "more",
        [
            {"headers": ("no header",)},
            {"headers": ("Host: x",)},
            {"headers": ("A: b\nc: d",)},
            {"user_agent": "日本"},
            {"cookies": "/none"},
            {"ca": "/none"},
            {"ca": __file__},
            {"cookies": __file__},
        ],
    )
    def test_nonsense_is_refused(self, more):
        with pytest.raises(BadInput) as caught:
            asking("http://host/", **more)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("said", "ignore", "kept"),
    [
        ("noindex, noimageindex", (), False),
        ("noai", (), False),
        ("noindex, nofollow", (), True),
        ("noai", ("noai",), True),
        ("otherbot: noai", (), True),
        ("dqlab: noai", (), False),
    ],
)
def test_the_wishes_of_owners(server, said, ignore, kept):
    server.routes["/a.png"] = lambda to: to.answer(200, "image/png", PNG, X_Robots_Tag=said)

    image = run(server, "/a.png", terms=Terms(ignore=ignore))["/a.png"].image

    assert (image.error is None, image.body == PNG) == (kept, kept)


def test_a_copy_that_is_still_right_is_not_sent_again(server):
    def route(to):
        to.answer(304) if to.headers.get("If-None-Match") == '"v1"' else to.answer(200, "image/png", PNG, ETag='"v1"')

    server.routes["/a.png"] = route

    assert run(server, "/a.png")["/a.png"].image.etag == '"v1"'
    assert run(server, "/a.png", etag='"v1"')["/a.png"].image.unchanged
