"""The pure parts of the crawl: addresses, robots.txt, file names, and what is found on a page."""

import itertools
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dqlab.crawl.addresses import LONGEST, absolute, candidates, site_of
from dqlab.crawl.names import folded, names
from dqlab.crawl.pages import LONGEST_LIST, Page, parse
from dqlab.crawl.robots import Robots

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

    def test_a_site_is_host_and_port(self):
        assert site_of("http://host/a") == site_of("https://host/b")
        assert site_of("http://host/a") != site_of("http://host:81/a")
        assert site_of("http://host/a") != site_of("http://www.host/a")

    @pytest.mark.parametrize(
        ("srcset", "found"),
        [
            ("a.png", ["a.png"]),
            ("a.png 1x, b.png 2x", ["a.png", "b.png"]),
            ("a.png, b.png 480w", ["a.png", "b.png"]),
            ("\n  a.png 1x ,\n b,c.png 1.5x,", ["a.png", "b,c.png"]),
            ("data:image/png;base64,AA 1x, b.png 2x", ["data:image/png;base64,AA", "b.png"]),
            ("", []),
            (" , ,, ", []),
        ],
    )
    def test_srcset(self, srcset, found):
        assert candidates(srcset) == found

    @pytest.mark.timeout(10)
    def test_a_hostile_srcset_takes_no_time(self):
        for text in ("a, " * 300_000, "a" + "," * 300_000, "a " * 300_000, "," * 300_000, "a" * 300_000):
            candidates(text)


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

    @pytest.mark.timeout(10)
    def test_a_hostile_pattern_takes_no_time(self):
        Robots("User-agent: *\nDisallow: /" + "a*" * 5_000 + "b$").allows("http://host/" + "a" * 3_000)


class TestNames:
    @pytest.mark.parametrize(
        ("path", "kind", "name"),
        [
            ("dunes/01.jpg", "image/jpeg", "dunes-01.jpg"),
            ("dunes/01.JPEG", "image/jpeg", "dunes-01.jpeg"),
            ("a.png", "image/webp", "a.png.webp"),
            ("a.jpg", "image/jpg", "a.jpg"),
            ("a.png", "image/x-png", "a.png"),
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


class TestPages:
    def found(self, html, **more):
        return parse(html.encode() if isinstance(html, str) else html, PAGE, **more)

    def test_pictures_in_every_form(self):
        page = self.found("""
            <img src=a.png><IMG SRC='/b.png'><img src="a.png">
            <img srcset="c.png 1x, d.png 2x" src="c.png">
            <picture><source srcset="e.webp, f.webp 2x"><img src=e.jpg></picture>
            <video><source src=film.mp4></video>
            <img src=""><img><img src="data:image/gif;base64,AA"><noscript><img src=g.png></noscript>
            <img src=//cdn.example/h.png>""")

        here = "http://host/gallery/"
        names = ("a.png", "/b.png", "c.png", "d.png", "e.webp", "f.webp", "e.jpg", "g.png")
        assert page.images == (*[absolute(here, name) for name in names], "http://cdn.example/h.png")
        assert page.links == ()

    def test_links_of_the_same_site_only(self):
        page = self.found("""<a href=2.html>2</a> <a href="2.html#top">2</a> <area href=/map.html>
            <a href=https://elsewhere.example/>x</a> <a href=mailto:a@b>x</a> <a>x</a> <a href="http://[">x</a>""")

        assert page.links == ("http://host/gallery/2.html", "http://host/map.html")

    def test_a_link_to_a_picture_is_a_picture(self):
        page = self.found("<a href=large.JPG><img src=small.jpg></a> <a href=http://elsewhere.example/x.png>x</a>")

        assert page.images == ("http://host/gallery/small.jpg", "http://host/gallery/large.JPG")
        assert page.links == ()

    def test_the_first_base_counts(self):
        page = self.found("<base target=_top><base href=/other/><base href=/third/><img src=a.png><a href=b.html>b</a>")

        assert page == Page(PAGE, ("http://host/other/a.png",), ("http://host/other/b.html",))

    def test_a_base_elsewhere_takes_the_links_along(self):
        page = self.found("<base href=http://elsewhere.example/><img src=a.png><a href=b.html>b</a>")

        assert page == Page(PAGE, ("http://elsewhere.example/a.png",), ())

    def test_a_long_base_does_not_make_a_small_page_a_large_result(self):
        html = f"<base href=/{'x' * 3000}/>" + "".join(f"<img src={n}.png><a href={n}>x</a>" for n in range(4000))

        page = self.found(html)

        assert page.images and page.links
        assert sum(map(len, page.images + page.links)) <= 2 * LONGEST_LIST < 4000 * 3000

    def test_nothing_is_printed_about_a_page(self, recwarn, capfd):
        for html in ("http://host/", "a.html", b"\xff\xfe<\x00i\xd8", "<?xml version='1.0'?><x/>"):
            self.found(html)

        assert (recwarn.list, *capfd.readouterr()) == ([], "", "")

    def test_a_base_without_sense_is_ignored(self):
        assert self.found("<base href='http://['><img src=a.png>").images == ("http://host/gallery/a.png",)

    def test_the_servers_charset_counts(self):
        assert (
            self.found("<img src=ä.png>".encode("latin-1"), charset="latin-1").images
            == self.found("<img src=ä.png>").images
        )
        assert self.found("<img src=a.png>", charset="no-such-charset").images

    def test_xhtml_is_read_too(self):
        assert self.found('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><img src="a.png"/>').images

    @given(st.binary(max_size=2000))
    def test_nonsense_is_read_without_complaint(self, html):
        self.found(b"<img src='" + html + b"'><base href=" + html + b"><a href=" + html + b" srcset=" + html + b">")
