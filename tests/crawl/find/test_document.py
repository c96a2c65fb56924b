"""What kind of document a body is, and what sitemaps, feeds and style sheets lead to."""

import gzip

import pytest

from dqlab.crawl.find import Found, Unreadable, find, header
from dqlab.crawl.find.document import is_readable
from dqlab.crawl.find.srcset import best, candidates

URL = "http://host/x"
SITEMAP = b"""<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
    xmlns:i="http://www.google.com/schemas/sitemap-image/1.1" xmlns:video="http://www.google.com/schemas/sitemap-video/1.1">
    <url><loc> http://host/a.html </loc><i:image><i:loc>http://host/a.png?x=1&amp;y=2</i:loc></i:image></url>
    <url><loc><![CDATA[http://host/b.html]]></loc><video:video><video:thumbnail_loc>http://host/v.png</video:thumbnail_loc>
    <video:content_loc>http://host/v.mp4</video:content_loc></video:video></url></urlset>"""


def page(body, kind="", charset=None):
    return find(body if isinstance(body, bytes) else body.encode(), URL, kind, charset)


class TestKinds:
    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            ("<p><img src=a.png>", "text/html"),
            (
                '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><img src="a.png"/></html>',
                "application/xml",
            ),
            ('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><img src="a.png"/></html>', "text/html"),
            ("<html><img src=a.png></html>", "text/plain"),
            ("\n<!DOCTYPE html><img src=a.png>", ""),
            ("<!-- x --><html><img src=a.png>", "application/octet-stream"),
            (".x { background: url(a.png) }", "text/css"),
            (gzip.compress(b"<html><img src=a.png></html>"), "application/gzip"),
        ],
    )
    def test_the_body_says_it_where_the_label_does_not(self, body, kind):
        assert page(body, kind) == Found(images=("http://host/a.png",))

    @pytest.mark.parametrize(
        ("body", "kind", "words"),
        [
            ("<x/>", "application/xml", "it is application/xml, which isn't read"),
            ("PK", "application/zip", "it is application/zip"),
            ("words", "", "it is of no known kind"),
            (b"\x1f\x8bnonsense", "application/gzip", "application/gzip"),
        ],
    )
    def test_what_is_not_read_is_said(self, body, kind, words):
        with pytest.raises(Unreadable, match=words):
            page(body, kind)

    def test_which_labels_are_worth_a_look(self):
        assert all(map(is_readable, ("text/html", "application/rss+xml", "text/xml", "", "binary/octet-stream")))
        assert not any(map(is_readable, ("application/pdf", "video/mp4", "image/png")))

    def test_no_binary_file_is_whatever_its_label_says(self):
        assert not is_readable("text/html", b"MZ\0\0")
        assert is_readable("text/html", "<p>".encode("utf-16")) and is_readable("", gzip.compress(b"<p>"))

    @pytest.mark.parametrize("kind", ["text/css", "text/plain", "application/octet-stream", ""])
    def test_a_style_sheet_is_one_by_its_name_too(self, kind):
        assert find(b"a{b:url(a.png)}", "http://host/x.css?v=1", kind).images == ("http://host/a.png",)


class TestSitemaps:
    def test_pages_and_pictures(self):
        assert page(SITEMAP, "application/xml") == Found(
            images=("http://host/a.png?x=1&y=2", "http://host/v.png"),
            links=("http://host/a.html", "http://host/b.html"),
        )

    def test_packed(self):
        assert page(gzip.compress(SITEMAP), "application/x-gzip").links

    def test_an_index(self):
        body = "<sitemapindex><sitemap><loc>/1.xml</loc></sitemap><sitemap><loc>2.xml.gz</loc></sitemap></sitemapindex>"

        assert page(body, "text/xml") == Found(parts=("http://host/1.xml", "http://host/2.xml.gz"))

    def test_a_cut_one_is_read_as_far_as_it_goes(self):
        assert page(SITEMAP[: SITEMAP.index(b"<url><loc><![")], "application/xml").links == ("http://host/a.html",)

    @pytest.mark.parametrize("mistake", ["<loc>/?x=1&y=2</loc>", "<title>a&nbsp;b & c</title>", "<x:y z:a='&'/>"])
    def test_one_that_is_not_quite_xml(self, mistake):
        body = f"""<urlset><url>{mistake}<loc><![CDATA[/a?x=1&y=2]]></loc></url>
            <url><i:image><i:loc>/b.png?x=1&amp;y=2</i:loc></i:image></url></urlset>"""

        found = page(body, "application/xml")

        assert found.links[-1:] == ("http://host/a?x=1&y=2",)
        assert found.images == ("http://host/b.png?x=1&y=2",)

    def test_one_that_never_ends_takes_no_time(self):
        assert page(b"<urlset>" + 200_000 * b"<![CDATA[ & ", "application/xml") == Found()

    @pytest.mark.parametrize("kind", ["text/plain", "", "application/octet-stream", "text/uri-list"])
    def test_a_text_with_an_address_a_line(self, kind):
        assert page("http://host/a\r\nhttp://host/b\r\n", kind).links == ("http://host/a", "http://host/b")

    def test_no_entity_is_expanded(self):
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>/&b;</loc></url></urlset>'

        assert page(b'<?xml version="1.0"?>' + bomb, "text/xml") == Found()


class TestFeeds:
    def test_rss(self):
        body = """<rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/"
            xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><link>http://host/</link>
            <image><url>logo.png</url></image><item><link>/1.html</link><enclosure url="a.jpg" type="image/jpeg"/>
            <enclosure url="a.mp3" type="audio/mpeg"/><media:content url="b" medium="image"/>
            <media:content url="film.mp4" type="video/mp4"/><media:thumbnail url="c.jpg"/>
            <description>&lt;img src="d.png"&gt;</description>
            <content:encoded><![CDATA[<a href="e-large.jpg"><img src="e.jpg"></a>]]></content:encoded></item>
            </channel></rss>"""

        names = ("logo.png", "a.jpg", "b", "c.jpg", "d.png", "e.jpg")
        assert page(body, "application/rss+xml") == Found(
            images=tuple(f"http://host/{name}" for name in names),
            enlarged=("http://host/e-large.jpg",),
            links=("http://host/", "http://host/1.html"),
        )

    def test_atom(self):
        body = """<feed xmlns="http://www.w3.org/2005/Atom"><logo>logo.png</logo><link rel="self" href="/feed"/>
            <entry><link href="/1.html"/><link rel="enclosure" href="a.jpg" type="image/jpeg"/>
            <content type="html">&lt;img src=b.png&gt;</content></entry><entry><content type="xhtml">
            <div xmlns="http://www.w3.org/1999/xhtml"><img src="c.png"/></div></content></entry></feed>"""

        assert page(body, "application/atom+xml") == Found(
            images=tuple(f"http://host/{name}" for name in ("logo.png", "a.jpg", "b.png", "c.png")),
            links=("http://host/1.html",),
        )

    def test_the_xhtml_of_atom(self):
        body = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><content type="xhtml">
            <div xmlns="http://www.w3.org/1999/xhtml"><a href="large.jpg"><img src="blank.gif" data-src="a.png"/></a>
            <picture><source srcset="b.webp 1x, c.webp 2x"/></picture><a href="/text.html">x</a></div>
            </content></entry></feed>"""

        assert page(body, "application/atom+xml") == Found(
            images=tuple(f"http://host/{name}" for name in ("a.png", "b.webp", "c.webp")),
            enlarged=("http://host/large.jpg",),
        )

    def test_an_entry_that_ends_in_the_middle_does_not_take_the_next_ones_along(self):
        entries = "".join(
            f"<item><description><![CDATA[{text}]]></description></item>"
            for text in ("<img src=a.png><textarea>", "<img src=b.png><img src='", "<style>a{", "<img src=c.png>")
        )

        assert page(f"<rss><channel>{entries}</channel></rss>", "text/xml").images == tuple(
            f"http://host/{name}" for name in ("a.png", "b.png", "c.png")
        )


class TestWebManifests:
    ICONS = b'{"name": "x", "icons": [{"src": "a.png"}, {"src": "data:image/gif;base64,R0lGODlhAQABAAAAACw="}, 7], '
    MORE = b'"screenshots": [{"src": "/b.png"}], "shortcuts": [{"name": "y", "icons": [{"src": "c.png"}]}, "z"]}'

    @pytest.mark.parametrize("kind", ["application/manifest+json", "application/json", "text/plain", "text/html", ""])
    def test_icons_and_screenshots(self, kind):
        body = self.ICONS + self.MORE

        assert is_readable(kind, body)
        assert page(body, kind) == Found(images=tuple(f"http://host/{name}" for name in ("a.png", "b.png", "c.png")))

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"icons": {"src": "a.png"}, "screenshots": [{"src": 1}]}'])
    def test_one_without_pictures(self, body):
        assert page(body, "application/manifest+json") == Found()

    @pytest.mark.parametrize("body", [ICONS, b'{"icons": ' + b"[" * 100_000])
    def test_nonsense_is_read_without_complaint(self, body):
        assert page(body, "application/json") == Found()

    def test_other_json_is_not_read(self):
        assert not is_readable("application/json", b'{"name": "x", "data": [1, 2]}')


class TestCharsets:
    @pytest.mark.parametrize(
        ("body", "charset", "name"),
        [
            ("<img src=ä.png>".encode(), None, "%C3%A4"),
            ("<img src=ä.png>".encode("latin-1"), None, "%C3%A4"),
            ("<img src=ä.png>".encode("latin-1"), "latin-1", "%C3%A4"),
            ("<img src=ä.png>".encode(), "klingon", "%C3%A4"),
            ("<img src=ä.png>".encode(), "base64", "%C3%A4"),
            ("<img src=ä.png>".encode(), "idna", "%C3%A4"),
            ("<img src=ä.png>".encode("utf-16"), None, "%C3%A4"),
            ("<img src=ä.png>".encode("utf-8-sig"), "latin-1", "%C3%A4"),
            ("<meta charset=gb2312><img src=图.png>".encode("gbk"), None, "%E5%9B%BE"),
            ("<meta charset=shift_jis><img src=ü.png>".encode(), "utf-8", "%C3%BC"),
            (
                "<meta http-equiv=Content-Type content='text/html; charset=koi8-r'><img src=я.png>".encode("koi8-r"),
                None,
                "%D1%8F",
            ),
            ("<meta charset=utf-16><img src=ä.png>".encode(), None, "%C3%A4"),
            ("<meta charset=x-sjis><img src=表.png>".encode("cp932"), None, "%E8%A1%A8"),
            ("<img src=ก.png>".encode("cp874"), "windows-874", "%E0%B8%81"),
            ("<!-- <meta charset=gbk> --><meta charset=utf-8><img src=ä.png>".encode(), None, "%C3%A4"),
        ],
    )
    def test_the_one_that_holds(self, body, charset, name):
        assert page(body, "text/html", charset).images == (f"http://host/{name}.png",)

    @pytest.mark.parametrize(
        ("charset", "query"),
        [("gbk", "%CD%BC"), ("utf-8", "%E5%9B%BE"), ("utf-16", "%E5%9B%BE"), ("latin-1", "&#22270;")],
    )
    def test_queries_are_asked_in_that_of_the_page(self, charset, query):
        body = "<img src='/图.png?q=图'><a href='/?q=图'>x</a>".encode(charset, "xmlcharrefreplace")

        found = page(body, "text/html", charset)

        assert (found.images, found.links) == ((f"http://host/%E5%9B%BE.png?q={query}",), (f"http://host/?q={query}",))


class TestSrcset:
    @pytest.mark.parametrize(
        ("srcset", "references"),
        [
            ("a.png", ["a.png"]),
            ("a.png 1x, b.png 2x", ["a.png", "b.png"]),
            ("a.png 1x,b.png 2x", ["a.png", "b.png"]),
            ("a.png, b.png 480w", ["a.png", "b.png"]),
            ("a.png (x, y) 1x, b.png (z", ["a.png", "b.png"]),
            ("\n  a.png 1x ,\n b,c.png 1.5x,", ["a.png", "b,c.png"]),
            ("data:image/png;base64,AA 1x, b.png 2x", ["data:image/png;base64,AA", "b.png"]),
            ("", []),
            (" , ,, ", []),
        ],
    )
    def test_candidates(self, srcset, references):
        assert [candidate.reference for candidate in candidates(srcset)] == references

    def test_the_best(self):
        assert best(candidates("a 100w, b 300w 200h, c 200w")).reference == "b"
        assert best(candidates("a, b 1.5x, c 3x")).reference == "c"
        assert best(candidates("a .5x, b 1x, c 1e9x")).reference == "b"

    @pytest.mark.timeout(60)
    def test_a_hostile_one_takes_no_time(self):
        for text in (
            "a, " * 300_000,
            "a" + "," * 300_000,
            "a " * 300_000,
            "," * 300_000,
            "a" * 300_000,
            "a " + "(" * 300_000,
        ):
            candidates(text)


class TestLists:
    def test_a_sitemap_may_be_a_text(self):
        found = page("\ufeffhttp://host/a.html\r\n\r\nhttp://host/b?c=d\r\nhttp://host/e.jpg\r\n", "text/plain")

        assert found.links == ("http://host/a.html", "http://host/b?c=d")
        assert found.linked == ("http://host/e.jpg",)

    @pytest.mark.parametrize("text", ["http://host/a is down", "see http://host/a", "", "<http://host/a>"])
    def test_but_not_each_text_is_one(self, text):
        with pytest.raises(Unreadable):
            page(text, "text/plain")


class TestHeaders:
    def test_links_say_what_elements_say(self):
        pictures = '</a.png>; rel=preload; as="image", <http://other/c.png>; REL=icon; x'
        link = f'{pictures} , <b.css>;rel="stylesheet",</d>; rel=next'

        found = header.find({"link": link}, URL)

        assert found.images == ("http://host/a.png", "http://other/c.png")
        assert (found.parts, found.links) == (("http://host/b.css",), ("http://host/d",))

    def test_a_refresh_is_a_link(self):
        assert header.find({"refresh": "0; url=/a.html"}, URL).links == ("http://host/a.html",)

    @pytest.mark.parametrize(
        "link", ["", "nonsense", "<", "<>; rel=icon", "</a.png>; title=x", "</a.png>" + "; x" * 9999]
    )
    def test_what_says_nothing_leads_nowhere(self, link):
        assert header.find({"link": link}, URL) == Found()

    def test_it_is_put_beside_what_the_page_says(self):
        one, other = Found(images=("a", "b"), robots=frozenset({"noai"})), Found(images=("b", "c"), links=("d",))

        assert one | other == Found(images=("a", "b", "c"), links=("d",), robots=frozenset({"noai"}))
