"""What is found on an HTML page: pictures in every place that pages put them, links, and documents of the page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.crawl.find.found import LONGEST_LIST
from dqlab.crawl.find.html import find

URL, HERE = "http://host/gallery/index.html", "http://host/gallery/"
INLINE = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def found(html, **more):
    """What `html` leads to, by sort; addresses relative to the page's folder."""
    sorts = vars(find(html, URL, **more))
    return {
        sort: sorted(values) if sort == "robots" else [value.removeprefix(HERE) for value in values]
        for sort, values in sorts.items()
        if values
    }


@pytest.mark.parametrize(
    ("html", "images"),
    [
        ('<img src="a.png">', ["a.png"]),
        ("<IMG SRC=a.png>", ["a.png"]),
        ('<img src="\n a.png \n">', ["a.png"]),
        ('<img src="a.png?x=1&amp;y=2">', ["a.png?x=1&y=2"]),
        ('<img src="a.png?x=1&section=2&copy=3&timestamp=4">', ["a.png?x=1&section=2&copy=3&timestamp=4"]),
        ("<img src=a.png?x&params[]=1&amp;y&#38;z&copy alt='&eacute;'>", ["a.png?x&params[]=1&y&z%C2%A9"]),
        ('<img src="sub\\a.png">', ["sub/a.png"]),
        ('<img src="a.png#xywh=1,2">', ["a.png"]),
        ("<img src=a.png src=b.png>", ["a.png"]),
        ('<div><img src="a.png"</div>', ["a.png"]),
        (f'<img src=""><img><img src="{INLINE}">', []),
        ("<!-- <img src=a.png> -->", []),
        ("<script>'<img src=a.png>'</script>", []),
        ("<title><img src=a.png></title><textarea><img src=b.png></textarea><img src=c.png>", ["c.png"]),
        ("<xmp><img src=a.png></xmp><svg><title/><image href=b.png /></svg>", ["b.png"]),
        ("<title>never closed<body><img src=a.png>", []),
        ("<noscript><img src=a.png></noscript>", ["a.png"]),
        ("<template><img src=a.png></template>", ["a.png"]),
        ("<![if !IE]><img src=a.png><![endif]><![unknown[x]]><img src=b.png>", ["a.png", "b.png"]),
        ("<link rel=preload as=image href='' imagesrcset='a.png 1x'><img src=' '><a href=''>here</a>", ["a.png"]),
        # lazy loading: what stands in src is a placeholder
        (f'<img src="{INLINE}" data-src=a.png>', ["a.png"]),
        ("<img src=blank.gif data-src=a.png>", ["a.png"]),
        ("<img src=blank.gif data-original=a.png>", ["a.png"]),
        ("<img src=blank.gif data-lazy-src=a.png>", ["a.png"]),
        ("<img src=blank.gif data-lazy=pictures/a>", ["pictures/a"]),
        ('<img src=blank.gif data-srcset="a.png 1x, b.png 2x">', ["a.png", "b.png"]),
        (f'<img srcset="{INLINE}" data-lazy-srcset="a.png 1x" data-src=b.png>', ["b.png", "a.png"]),
        ("<img src=a.png data-src=12>", ["a.png"]),
        ("<img src=a.png data-url=/page.html>", ["a.png"]),
        ("<img src=blank.gif data-lazy-url=/a>", ["http://host/a"]),
        ("<img src='{{ url }}.png'><img src='<%= x %>'><img src={a}.png>", ["%7Ba%7D.png"]),
        ("<img src=a.png data-zoom-image=large.jpg>", ["a.png", "large.jpg"]),
        ("<img src=blank.gif data-flickity-lazyload=./a><img data-cfsrc=b.png>", ["a", "b.png"]),
        ("<img src=none.gif file=a.png zoomfile=./b?c><img lazy-src=d.png src=blank.gif>", ["a.png", "b?c", "d.png"]),
        ("<img ng-src=a.png><img ng-src='{{x}}.png'><img ng-srcset='b.png 2x'>", ["a.png", "b.png"]),
        ("<img src=a.png data-full-src=./b><img src=c.png data-zoom-src=1.5>", ["a.png", "b", "c.png"]),
        ("<div data-bg=./a></div><div data-background-image=./b data-bg='#333'></div><p data-src=./c>", ["a", "b"]),
        ("<div data-bgset='a.png 400w, b.png 800w'></div>", ["a.png", "b.png"]),
        ("""<form data-product_variations='[{"image": {"src": "a.png", "alt": "a"}}, {"image": null}]'>""", ["a.png"]),
        ("""<div data-state='{"no.png"'></div><div data-list="[&quot;a.png&quot;, 5]"></div>""", ["a.png"]),
        ("<div data-bg=a.png></div><section data-background='url(b.png)'></section>", ["a.png", "b.png"]),
        ("<img src=blank.gif><noscript><img src=a.png></noscript>", ["blank.gif", "a.png"]),
        # versions
        ('<img srcset="a.png 1x, b.png 2x" src=a.png>', ["a.png", "b.png"]),
        ("<picture><source srcset='a.webp, b.webp 2x'><img src=a.jpg></picture>", ["a.webp", "b.webp", "a.jpg"]),
        ("<video poster=a.png><source src=film.mp4></video>", ["a.png"]),
        ("<picture><source srcset=a.webp><img src=a.jpg><p><img src=b.jpg>", ["a.webp", "a.jpg", "b.jpg"]),
        ("<picture><source srcset=a.webp><picture><source srcset=b.webp>", ["a.webp", "b.webp"]),
        ("<v-img src=a.png alt=b></v-img><x-card photo=c.jpg>", ["a.png", "c.jpg"]),
        # elsewhere than in <img>
        ("<meta property=og:image content=a.png><meta property=og:image:width content=100>", ["a.png"]),
        ("<meta name=twitter:image content=a.png><meta itemprop=image content=b.png>", ["a.png", "b.png"]),
        ("<meta name=parsely-image-url content=a.png><link itemprop=thumbnailUrl href=b.png>", ["a.png", "b.png"]),
        ("<link rel='shortcut icon' href=a.ico><link rel=apple-touch-icon href=b.png>", ["a.ico", "b.png"]),
        ("<link rel=image_src href=a.png><link rel=canonical href=/x>", ["a.png"]),
        ("<link rel=preload as=image href=a.png imagesrcset='b.png 2x'>", ["a.png", "b.png"]),
        ("<div style=\"background:url('a.png')\"></div>", ["a.png"]),
        ("<style>.x{background:url(a.png)}</style>", ["a.png"]),
        ("<body background=a.png><td background=b.png>", ["a.png", "b.png"]),
        ("<input type=image src=a.png>", ["a.png"]),
        ("<object data=a type=image/png></object><object data=b.svg></object>", ["a", "b.svg"]),
        ("<embed src=a.png><embed src=film.swf>", ["a.png"]),
        ("<svg><image href=a.png /><image xlink:href=b.png /></svg>", ["a.png", "b.png"]),
        ("<amp-img src=a.png></amp-img>", ["a.png"]),
        ('<script type="application/ld+json">{"image": "a.png"}</script>', ["a.png"]),
        ("<iframe srcdoc=\"<img src='a.png'>\"></iframe>", ["a.png"]),
    ],
)
def test_pictures(html, images):
    assert found(html).get("images", []) == images


@pytest.mark.parametrize(
    ("html", "image"),
    [
        ('<img srcset="a.png 480w, b.png 800w, c.png 100w" src=d.png>', "b.png"),
        ('<img srcset="a.png 1x, b.png 2x" src=a.png>', "b.png"),
        (f'<img src=blank.gif data-srcset="{INLINE} 900w, b.png 800w">', "b.png"),
        ('<picture><source srcset="a.webp 1x, b.webp 2x"><img src=a.jpg></picture>', "b.webp"),
        ("<img src=a.png>", "a.png"),
        ('<img src=blank.gif data-src=a.png data-srcset="a.png 1x, b.png 2x">', "b.png"),
        ('<link rel=preload as=image href=a.png imagesrcset="a.png 1x, b.png 2x">', "b.png"),
        ('<div data-bgset="a.png 300w, b.png 900w"></div>', "b.png"),
    ],
)
def test_the_best_version_only(html, image):
    assert found(html, best=True) == {"images": [image]}


class TestLinks:
    def test_pages(self):
        html = """<a href=2.html>2</a> <a href="2.html#top">2</a> <area href=map.html> <a href=?page=2>n</a>
            <a href=https://elsewhere.example/>x</a> <a href=mailto:a@b>x</a> <a>x</a> <a href="http://[">x</a>
            <link rel=next href=3.html>"""

        links = ["2.html", "map.html", "index.html?page=2", "https://elsewhere.example/", "3.html"]
        assert found(html) == {"links": links}

    def test_a_link_to_a_picture_is_told_from_one_around_a_thumbnail(self):
        html = """<a href=large.JPG><img src=small.jpg></a> <a href=text.tiff>x</a> <a href=http://other/x.heic>
            <picture><source srcset=t.webp></picture></a> <a href=page><img src=t.png></a>"""

        assert found(html) == {
            "images": ["small.jpg", "t.webp", "t.png"],
            "enlarged": ["large.JPG", "http://other/x.heic"],
            "linked": ["text.tiff"],
            "links": ["page"],
        }

    @pytest.mark.parametrize(
        "content", ["0; url=b.html", "5;URL='b.html'", '0, "b.html"', "0 b.html", " 1 ; url = b.html "]
    )
    def test_where_a_page_sends_its_readers(self, content):
        html = f"<meta http-equiv=Refresh content='{content}'>" if "'" not in content else (
            f'<meta http-equiv=Refresh content="{content}">'
        )  # fmt: skip

        assert found(html) == {"links": ["b.html"]}

    def test_a_page_that_only_loads_itself_again_leads_nowhere(self):
        assert found("<meta http-equiv=refresh content=30>") == {}

    def test_documents_of_the_page(self):
        html = """<iframe src=a.html></iframe><frame src=b.html><iframe data-src=c.html></iframe>
            <link rel=stylesheet href=d.css><style>@import "e.css";</style>
            <link rel=alternate type=application/rss+xml href=f.rss><object data=g type=text/html></object>
            <iframe src=about:blank></iframe><iframe></iframe>"""

        assert found(html) == {"parts": ["a.html", "b.html", "c.html", "d.css", "e.css", "f.rss", "g"]}

    def test_what_the_page_asks_of_robots(self):
        html = (
            '<meta name=robots content="NoImageIndex, nofollow"><meta name=dqlab content=noai><meta name=x content=y>'
        )

        assert found(html) == {"robots": ["noai", "nofollow", "noimageindex"]}


class TestBase:
    def test_the_first_one_counts(self):
        html = "<base target=_top><base href=/other/><base href=/third/><img src=a.png><a href=b.html>b</a>"

        assert found(html) == {"images": ["http://host/other/a.png"], "links": ["http://host/other/b.html"]}

    def test_it_may_be_relative_or_nonsense(self):
        assert found("<base href=sub/><img src=a.png>") == {"images": ["sub/a.png"]}
        assert found("<base href='http://['><img src=a.png>") == {"images": ["a.png"]}

    def test_a_long_one_does_not_make_a_small_page_a_large_result(self):
        html = f"<base href=/{'x' * 3000}/>" + "".join(f"<img src={n}.png><a href={n}>x</a>" for n in range(4000))

        page = find(html, URL)

        assert page.images and page.links
        assert sum(map(len, page.images + page.links)) <= 2 * LONGEST_LIST < 4000 * 3000


class TestHostile:
    @given(st.text(max_size=2000))
    def test_nonsense_is_read_without_complaint(self, text):
        find(f"<img src='{text}'><base href={text}><a href={text} srcset={text}><p style='{text}'>", URL)

    @pytest.mark.timeout(60)
    def test_no_page_is_too_deep(self):
        html = "<div>" * 100_000 + "<a href='#'>" * 5_000 + "<img src=a.png>"

        assert found(html)["images"] == ["a.png"]

    def test_pages_within_pages_are_read_once(self):
        html = "<img src=deep.png>"
        for _ in range(200):
            html = '<iframe srcdoc="' + html.replace("&", "&amp;").replace('"', "&quot;") + '"></iframe>'

        assert found(html) == {}
