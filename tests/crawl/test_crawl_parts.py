"""The pure parts of the crawl: addresses, robots.txt, file names, and what is found on a page."""

import itertools
import time
import unicodedata
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dqlab.crawl.addresses import LONGEST, PLAIN, absolute, put_together, site_of
from dqlab.crawl.errand import Errand
from dqlab.crawl.names import dated, folded, has_picture_name, names
from dqlab.crawl.pages import read
from dqlab.crawl.robots import Robots
from dqlab.crawl.scope import Scope
from dqlab.crawl.terms import Reading

PAGE = "http://host/gallery/index.html"


class TestAddresses:
    @pytest.mark.parametrize(
        ("reference", "address"),
        [
            ("a.png", "http://host/gallery/a.png"),
            (" a.png\n", "http://host/gallery/a.png"),
            ("../a.png", "http://host/a.png"),
            ("../../../a.png", "http://host/a.png"),
            ("/a.png", "http://host/a.png"),
            ("//CDN.Example/a.png", "http://cdn.example/a.png"),
            ("\\\\cdn.example\\a.png", "http://cdn.example/a.png"),
            ("a\\b.png?c\\d", "http://host/gallery/a/b.png?c%5Cd"),
            ("?page=2", "http://host/gallery/index.html?page=2"),
            ("#top", PAGE),
            ("HTTP://HOST:80/x#y", "http://host/x"),
            ("https://host:443", "https://host/"),
            ("http://host:8080/", "http://host:8080/"),
            ("http://user:secret@host/a", "http://host/a"),
            ("http://[::1]:8000/a", "http://[::1]:8000/a"),
            ("ä b.png", "http://host/gallery/%C3%A4%20b.png"),
            ("%C3%A4.png", "http://host/gallery/%C3%A4.png"),
            ("http://Bücher.example/a", "http://xn--bcher-kva.example/a"),
            ("http://straße.example/a", "http://xn--strae-oqa.example/a"),
        ],
    )
    def test_one_spelling_for_each(self, reference, address):
        assert absolute(PAGE, reference) == address

    @pytest.mark.parametrize(
        "reference",
        [
            "mailto:a@b",
            "javascript:void(0)",
            "data:image/png;base64,AAAA",
            "file:///etc/passwd",
            "https://",
            "http://[broken",
            "http://host:99999/",
            "http://host:x/",
            "http://\u2603\u200d.example/",
            "http://" + "ä" * 70 + ".example/",
            "\ud800",
            "x" * (LONGEST + 1),
        ],
    )
    def test_what_is_no_address(self, reference):
        assert absolute(PAGE, reference) is None

    @given(st.text())
    @example("//\u3002/")
    @example("//\u212b/")
    def test_whatever_a_page_says_comes_out_as_ascii_and_stays_as_it_is(self, reference):
        address = absolute(PAGE, reference)

        assert address is None or (address.isascii() and absolute(PAGE, address) == address)

    @given(
        st.sampled_from([PAGE, "http://host:8000", "https://[::1]/a?b", "", "file:///a"]),
        st.from_regex(PLAIN, fullmatch=True),
    )
    def test_the_short_way_leads_where_the_long_one_does(self, base, reference):
        assert absolute(base, reference) == put_together(base, reference)

    def test_a_site_is_host_and_port(self):
        assert site_of("http://host/a") == site_of("https://host/b")
        assert site_of("http://host/a") != site_of("http://host:81/a")
        assert site_of("http://host/a") == site_of("http://www.host/a") != site_of("http://img.host/a")


class TestRobots:
    @pytest.mark.parametrize(
        ("rules", "path", "allowed"),
        [
            ("", "/x", True),
            ("User-agent: *\nDisallow: /", "/x", False),
            ("User-agent: *\nDisallow:", "/x", True),
            ("User-agent: *\nDisallow: /private/", "/private/x", False),
            ("User-agent: *\nDisallow: /private/", "/private", True),
            ("User-agent: other\nDisallow: /", "/x", True),
            ("user-AGENT: dqlab\nDISALLOW: /", "/x", False),
            ("User-agent: DQLab/0.1 (any)\nDisallow: /", "/x", False),
            ("User-agent: dqlab-news\nDisallow: /", "/x", True),
            ("User-agent: * \nDisallow: /", "/x", False),
            ("User-agent: *\nDisallow: /\n\nUser-agent: dqlab\nAllow: /", "/x", True),
            ("User-agent: other\nUser-agent: dqlab\nDisallow: /", "/x", False),
            ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
            ("User-agent: *\nAllow: /a\nDisallow: /a", "/a", True),
            ("User-agent: *\nDisallow: /*.png$", "/x/y.png", False),
            ("User-agent: *\nDisallow: /*.png$", "/x/y.png?z", True),
            ("User-agent: *\nDisallow: /a*b*c", "/a1b2", True),
            ("User-agent: *\nDisallow: /a*b*c", "/a1b2c3", False),
            ("User-agent: *\nDisallow: /ab*b$", "/ab", True),
            ("User-agent: *\nDisallow: /$", "/", False),
            ("User-agent: *\nDisallow: /$", "/x", True),
            ("User-agent: *\nDisallow: /?q", "/?q=1", False),
            ("User-agent: *\nDisallow: /ä", "/%c3%a4", False),
            ("User-agent: *\nDisallow: /%7euser", "/~user", False),
            ("User-agent: *\nDisallow: /a # but not b", "/a", False),
            ("\ufeffUser-agent: *\r\nDisallow: /a\r\n", "/a", False),
            ("Disallow: /\nnonsense\n::::\n", "/x", True),
        ],
    )
    def test_rules(self, rules, path, allowed):
        assert Robots(rules).allows(f"http://host{path}") is allowed

    @given(st.text(), st.text(st.characters(codec="utf-8")))
    def test_nonsense_is_read_without_complaint(self, rules, path):
        Robots("User-agent: *\nDisallow: " + rules).allows(absolute(PAGE, path) or PAGE)

    @pytest.mark.timeout(60)
    def test_a_hostile_pattern_takes_no_time(self):
        Robots("User-agent: *\nDisallow: /" + "a*" * 5_000 + "b$").allows("http://host/" + "a" * 3_000)


class TestNames:
    @pytest.mark.parametrize(
        ("path", "kind", "name"),
        [
            ("dunes/01.jpg", "image/jpeg", "dunes-01.jpg"),
            ("dunes/01.JPEG", "image/jpeg", "dunes-01.jpeg"),
            ("a.png", "image/webp", "a.png.webp"),
            ("a.tiff", "image/tiff", "a.tiff"),
            ("a.heif", "image/heic", "a.heif"),
            ("a.exe", "image/png", "a.exe.png"),
            ("", "image/png", "picture.png"),
            ("picture?id=1", "image/gif", "picture-id-1.gif"),
            ("x", "image/x-new", "x.img"),
            ("caf%C3%A9.png", "image/png", "café.png"),
            ("../../etc/passwd", "image/png", "etc-passwd.png"),
            ("%2e%2e%2f%2e%2e%2fetc%2fpasswd", "image/png", "etc-passwd.png"),
            ("..%5c..%5cwindows", "image/png", "windows.png"),
            ("C:/x.png", "image/png", "C-x.png"),
            ("a%00.png", "image/png", "a.png"),
            ("aux.jpg", "image/jpeg", "_aux.jpg"),
            ("com1.tar.png", "image/png", "_com1.tar.png"),
            ("auxiliary.png", "image/png", "auxiliary.png"),
            (".htaccess", "image/png", "htaccess.png"),
            ("manifest.jsonl", "image/png", "manifest.jsonl.png"),
            ("%E2%80%AEgnp.exe", "image/png", "gnp.exe.png"),
        ],
    )
    def test_readable_names(self, path, kind, name):
        assert next(names(f"http://host/{path}", kind)) == name

    @pytest.mark.parametrize(
        ("reference", "promised"),
        [
            ("a.png", True),
            ("http://host/a/B.JPEG?w=3#x", True),
            (" a.tiff ", True),
            ("a.heic", True),
            ("a.html", False),
            ("png", False),
            ("/a.png/thumb", False),
            ("show?file=a.png", False),
            ("two words.png", False),
        ],
    )
    def test_what_promises_a_picture(self, reference, promised):
        assert has_picture_name(reference) is promised

    def test_dated_names(self):
        when = time.strptime("2026-01-31 10:20:30", "%Y-%m-%d %H:%M:%S")

        assert list(itertools.islice(dated("a.b.png", when), 3)) == [
            "a.b.2026-01-31.png", "a.b.2026-01-31-102030.png", "a.b.2026-01-31-102030-2.png"
        ]  # fmt: skip

    def test_an_overlong_name_keeps_its_end(self):
        name = next(names(f"http://host/{'%C3%A4' * 500}/the-end.png", "image/png"))

        assert name.endswith("the-end.png")
        assert len(name.encode()) < 140

    def test_every_address_has_names_of_its_own(self):
        first, second = (list(names(f"http://host/{name}.png", "image/png")) for name in ("Sun", "sun"))

        assert folded(first[0]) == folded(second[0])
        assert not {folded(name) for name in first[1:]} & {folded(name) for name in second[1:]}

    @given(st.text(), st.text())
    @example("/../..//con/..", "../../x")
    @example("/" + "%" * 300, "image/png")
    def test_no_name_leaves_the_folder_or_offends_a_file_system(self, path, kind):
        address = absolute("http://host/", path)
        for name in itertools.islice(names(address or "http://host/", kind), 4):
            assert name.strip(". ") == name
            assert not set(name) & set('/\\:*?"<>|\0')
            assert not any(unicodedata.category(letter)[0] == "C" for letter in name)
            assert len(name.encode()) <= 255
            assert name.partition(".")[0].casefold() not in {"con", "nul", "aux", "prn", "com1", "lpt9"}
            name.encode()


class Bodies(NamedTuple):
    """As much of an answer as reading it needs."""

    body: bytes
    url: str = PAGE
    kind: str = "text/html"
    charset: str | None = None
    headers: dict[str, str] = {}


RULES = Reading()


class TestPages:
    def page(self, html, rules=RULES, **more):
        return read(Bodies(html.encode(), **more), Errand(url=PAGE, page=True), rules)

    def test_links_of_the_same_site_only(self):
        html = """<a href=2.html>2</a> <a href=http://www.host/3>3</a> <a href=http://cdn/4>4</a> <a href=http://x/5>5</a>
            <a href=6.png>6</a> <a href=http://x/7.png>7</a> <a href=http://x/8.png><img src=http://x/9.png></a>"""

        page = self.page(html, Reading(Scope(spans=("cdn",))))

        assert page.links == ("http://host/gallery/2.html", "http://www.host/3", "http://cdn/4")
        assert (page.linked, page.enlarged) == (("http://host/gallery/6.png",), ("http://x/8.png",))
        assert page.images == ("http://x/9.png",)

    def test_what_cannot_be_read_is_said(self):
        assert self.page("PK", kind="application/zip").error == "it is application/zip, which isn't read"

    @pytest.mark.parametrize(
        ("html", "header", "forbidden"),
        [
            ("<meta name=robots content=noimageindex>", "", "noimageindex"),
            ("", "noindex, noai", "noai"),
            ("", "otherbot: noai", None),
            ("", "otherbot: noindex, dqlab: noimageai", "noimageai"),
            ("", "unavailable_after: 25 Jun 2030 15:00:00 PST, noimageindex", "noimageindex"),
            ("<meta name=robots content='noindex, nofollow'>", "none", None),
        ],
    )
    def test_what_the_owner_forbids(self, html, header, forbidden):
        page = self.page(f"{html}<img src=a.png><a href=2.html>2</a>", headers={"x-robots-tag": header})

        assert page.forbidden == forbidden
        assert bool(page.images) is (forbidden is None)
        assert page.links

    def test_wishes_that_do_not_count(self):
        rules = Reading(ignore=frozenset({"noai"}))

        assert self.page("<img src=a.png>", rules, headers={"x-robots-tag": "noai"}).images
        assert not self.page("<img src=a.png>", rules, headers={"x-robots-tag": "noai, noimageindex"}).images

    def test_nothing_is_printed_about_a_page(self, recwarn, capfd):
        for html in ("http://host/", "a.html", "<?xml version='1.0'?><x/>", "<![CDATA[x"):
            self.page(html)

        assert (recwarn.list, *capfd.readouterr()) == ([], "", "")

    @given(st.binary(max_size=2000), st.sampled_from(["text/html", "text/css", "text/xml", "", "application/gzip"]))
    def test_nonsense_is_read_without_complaint(self, body, kind):
        read(Bodies(b"<img src='" + body + b"'><base href=" + body + b">", kind=kind), Errand(url=PAGE), Reading())
        read(Bodies(body, kind=kind), Errand(url=PAGE), Reading())
