"""Which addresses a crawl asks for."""

import dataclasses

import pytest

from dqlab.crawl.errand import Errand
from dqlab.crawl.finding import Finding
from dqlab.crawl.images import Image
from dqlab.crawl.page_log import NAME, PageLog
from dqlab.crawl.pages import Page
from dqlab.crawl.settings import Settings, check
from dqlab.crawl.store import Store
from dqlab.crawl.traps import PATIENCE
from dqlab.errors import BadInput

SITE = "http://host/"


def page(path="", **addresses):
    """The page at `path`, its addresses relative to the site."""
    full = {sort: tuple(SITE + one if "://" not in one else one for one in each) for sort, each in addresses.items()}
    return Page(SITE + path, **full)


def asked(errands):
    """Addresses of errands, as on the page; a mark for what they are: p page, l link."""
    return [f"{'p' * one.page}{'l' * one.link}:{one.url.removeprefix(SITE)}" for one in errands]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "out") as store:
        yield store


@pytest.fixture
def finding(store):
    """A crawl with these options, its start page asked for."""

    def begun(log=False, **options):
        settings = Settings(url=SITE, **options)
        finding = Finding(settings, store, PageLog(store.folder, SITE) if log else None)
        finding.started = list(finding.begin())
        return finding

    return begun


START = Errand(url=SITE, page=True)


class TestBegin:
    def test_with_the_start_page(self, finding):
        assert finding().started == [START]

    def test_with_a_list(self, store, tmp_path):
        file = tmp_path / "list.txt"
        file.write_text(f"{SITE}a.png\nnonsense\n{SITE}page\n{SITE}a.png\n")
        finding = Finding(Settings(from_file=str(file)), store)

        assert asked(finding.begin()) == ["l:a.png", "l:page"]
        assert finding.notes == ["no address, such as 'nonsense': 1 left out"]

    def test_an_address_of_a_list_with_a_password_is_left_out_and_not_shown(self, store, tmp_path):
        file = tmp_path / "list.txt"
        file.write_text("http://me:secret@host/a.png\nhttp://host/@b.png\n")
        finding = Finding(Settings(from_file=str(file)), store)

        assert [errand.url for errand in finding.begin()] == ["http://host/@b.png"]
        assert finding.notes == ["an address with a name and password, such as 'http://...@host/a.png': 1 left out"]

    def test_a_list_is_drawn_as_it_is_needed(self, store, tmp_path):
        file = tmp_path / "list.txt"
        file.write_text("".join(f"{SITE}{number}.png\n" for number in range(100_000)))
        finding = Finding(Settings(from_file=str(file)), store)

        source = finding.begin()
        next(source)
        source.close()

        assert len(finding.seen_images) == 1

    def test_pages_of_a_list_are_not_followed_unless_that_is_wanted(self, store, tmp_path):
        file = tmp_path / "list.txt"
        file.write_text(f"{SITE}page\n")
        for depth, links in ((None, []), (1, ["pl:next"])):
            finding = Finding(Settings(from_file=str(file), depth=depth), store)
            [errand] = finding.begin()

            assert asked(finding.take(errand, page("page", images=["a.png"], links=["next"]))) == [":a.png", *links]


class TestTake:
    def test_each_address_once(self, finding):
        here = finding()

        new = here.take(START, page(images=["a.png", "b.png"], links=["x", ""], parts=["s.css"]))

        assert asked(new) == [":a.png", ":b.png", "pl:s.css", "pl:x"]
        assert here.take(new[-1], page("x", images=["a.png"], links=["x", ""], parts=["s.css"])) == []

    def test_they_know_where_they_stood_and_how_deep(self, finding):
        here = finding()
        [first] = here.take(START, page(links=["x"]))
        picture, second = here.take(first, page("x", images=["a.png"], links=["y"]))

        assert (first.depth, first.referer) == (1, SITE)
        assert (picture.depth, picture.referer) == (1, f"{SITE}x")
        assert (second.depth, second.referer) == (2, f"{SITE}x")

    def test_links_to_pictures_may_turn_out_to_be_pages(self, finding):
        new = finding().take(START, page(enlarged=["File:a.jpg", "http://cdn/b.jpg"], linked=["c.jpg"]))

        assert asked(new) == ["l:File:a.jpg", ":http://cdn/b.jpg", "l:c.jpg"]

    def test_other_sites(self, finding):
        here = finding(spans=("cdn.example",))
        links = ["http://www.host/x", "http://cdn.example/y", "http://other/z"]

        new = here.take(START, page(images=["http://other/a.png"], links=links, parts=["http://other/s.css"]))

        assert asked(new) == [
            ":http://other/a.png",
            "pl:http://other/s.css",
            "pl:http://www.host/x",
            "pl:http://cdn.example/y",
        ]

    def test_a_style_sheet_elsewhere_is_read_but_a_redirect_there_is_not(self, finding):
        here = finding()
        part, link = here.take(START, page(parts=["http://other/s.css"], links=["moved"]))

        assert asked(here.take(part, Page("http://other/s.css", images=("http://other/b.png",)))) == [
            ":http://other/b.png"
        ]
        assert here.take(link, Page("http://other/x", images=("http://other/c.png",))) == []
        assert here.notes == ["redirected to another site: 1 left out"]

    def test_the_first_page_says_which_site_it_is(self, finding):
        here = finding()

        assert asked(here.take(START, Page("http://moved/", links=("http://moved/x",)))) == ["pl:http://moved/x"]

    def test_what_owners_forbid_is_said(self, finding):
        here = finding()
        here.take(START, Page(SITE, forbidden="noimageindex"))

        assert here.notes == ["pages that say noimageindex: 1 left out"]

    def test_patterns(self, finding):
        here = finding(includes=(".jpg",), excludes=("/thumbs/",))

        new = here.take(START, page(images=["a.jpg", "b.png", "thumbs/c.jpg"], links=["x", "thumbs/"]))

        assert asked(new) == [":a.jpg", "pl:x"]
        assert here.notes == ["--include and --exclude: 2 left out"]

    @pytest.mark.parametrize(("depth", "links"), [(0, []), (1, ["pl:x"])])
    def test_depth(self, finding, depth, links):
        here = finding(depth=depth)
        new = here.take(START, page(images=["a.png"], links=["x"]))

        assert asked(new) == [":a.png", *links]
        for errand in new[1:]:
            assert here.take(errand, page("x", links=["y"])) == []

    def test_no_more_pages_than_asked_for(self, finding):
        here = finding(max_pages=3)

        assert asked(here.take(START, page(links=["1", "2", "3"]))) == ["pl:1", "pl:2"]
        assert here.more_pages
        assert len(here.seen_pages) == 3

    def test_session_ids_make_no_new_pages(self, finding):
        here = finding()

        new = here.take(START, page(links=["x?PHPSESSID=1", "x?PHPSESSID=2", "y?PHPSESSID=2"]))

        assert asked(new) == ["pl:x?PHPSESSID=1", "pl:y?PHPSESSID=2"]

    def test_a_calendar_is_left_and_that_is_said(self, finding):
        here = finding(max_pages=10_000)
        waiting, read = here.take(START, page(links=["cal/0"])), 0
        while waiting:
            errand = waiting.pop()
            read += 1
            waiting += here.take(errand, page(f"cal/{read - 1}", images=["logo.png"], links=[f"cal/{read}"]))
            waiting = [one for one in waiting if one.page]

        assert read == PATIENCE + 2  # the first had a new logo, the last was wanted before the one before it was read
        assert here.notes == [f"{SITE}cal/{read} not read: {PATIENCE} pages of that pattern brought nothing new"]


class TestSitemaps:
    def test_those_that_the_site_names(self, finding):
        new = finding().sitemaps([f"{SITE}1.xml", f"{SITE}2.xml"])

        assert asked(new) == ["pl:1.xml", "pl:2.xml"]

    def test_else_the_usual_one_whose_absence_is_no_loss(self, finding):
        here = finding()
        [guess] = here.sitemaps([])

        assert asked([guess]) == ["pl:sitemap.xml"]
        missing = Page(guess.url, error="404 Not Found")
        assert not here.minds(guess, missing) and here.minds(START, missing)
        assert not here.counts(guess) and here.counts(START)

    def test_none_where_no_links_are_followed(self, finding):
        assert finding(depth=0).sitemaps([f"{SITE}1.xml"]) == []


class TestHere:
    @pytest.fixture
    def here(self, store):
        store.add(Image(f"{SITE}a.png", b"picture", "image/png", etag='"1"', last_modified="yesterday"))

    def test_what_is_here_is_not_asked_for(self, finding, here):
        crawl = finding()

        assert asked(crawl.take(START, page(images=["a.png", "b.png"]))) == [":b.png"]
        assert crawl.kept == 1

    def test_but_for_changes_if_that_is_wanted(self, finding, here):
        old, new = finding(refresh="replace").take(START, page(images=["a.png", "b.png"]))

        assert (old.etag, old.last_modified, new.etag) == ('"1"', "yesterday", None)


class TestGoingOn:
    def test_pages_that_were_read_are_not_asked_for_again(self, finding, store):
        first = finding(log=True, max_pages=2)
        [x] = first.take(START, page(images=[], links=["x", "y"]))
        first.take(x, page("x", images=["a.png"], links=["", "z"]))
        first.close(finished=True)
        assert (store.folder / NAME).exists()

        second = finding(log=True, max_pages=2)
        assert second.started == [START] and not second.counts(START)
        new = second.take(START, page(images=[], links=["x", "y"]))
        assert asked(new) == ["pl:y", ":a.png", "pl:z"]
        for errand in new:
            if errand.page:
                second.take(errand, page(errand.url.removeprefix(SITE)))
        assert not second.more_pages
        second.close(finished=True)

        assert not (store.folder / NAME).exists()
        third = finding(log=True)
        assert third.started == [START]
        third.close(finished=True)

    def test_a_crawl_that_is_broken_off_leaves_no_trace(self, finding, store):
        first = finding(log=True)
        first.take(START, page(links=["x"]))
        first.close(finished=False)

        assert [file.name for file in store.folder.iterdir() if file.is_file()] == ["manifest.jsonl"]

    def test_a_crawl_of_another_site_begins_anew(self, finding, store):
        first = finding(log=True, max_pages=1)
        first.take(START, page(links=["x"]))
        first.close(finished=True)

        other = PageLog(store.folder, "http://other/")
        assert list(other.read()) == []
        other.close(finished=True, more=False)

    def test_lines_that_are_none_are_passed_over(self, store):
        log = PageLog(store.folder, SITE)
        log.note(SITE, 0, page(links=["x"]))
        log.close(finished=True, more=True)
        with open(store.folder / NAME, "a") as file:
            file.write('{"asked": "http://x/"}\n[]\n{"asked": 1, "depth": 0, "nonsense": 1, "url": ""}\n{"torn')

        again = PageLog(store.folder, SITE)
        assert list(again.read()) == [(SITE, 0, page(links=["x"]))]
        again.close(finished=True, more=False)

    def test_no_password_is_written(self, store):
        log = PageLog(store.folder, "http://me:secret@host/")
        log.close(finished=True, more=True)

        assert "secret" not in (store.folder / NAME).read_text()


@pytest.mark.parametrize(
    ("options", "image", "reason"),
    [
        ({}, {}, None),
        ({"min_bytes": 8}, {}, "smaller than 8 bytes"),
        ({"min_bytes": 7}, {}, None),
        ({"min_size": (10, 20)}, {"width": 10, "height": 20}, None),
        ({"min_size": (10, 20)}, {"width": 20, "height": 19}, "smaller than 10x20 pixels"),
        ({"min_size": (10, 20)}, {}, None),
    ],
)
def test_small_pictures(finding, options, image, reason):
    assert finding(**options).refuses(Image(f"{SITE}a.png", b"picture", "image/png", **image)) == reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "nonsense"}, "'nonsense' is no address"),
        ({"url": None}, "there is no address"),
        ({"from_file": "-"}, "too much"),
        ({"column": "url"}, "column='url' without a list"),
        ({"url": None, "from_file": "/none"}, "/none can't be read"),
        ({"depth": -1}, "depth=-1"),
        ({"min_bytes": -1}, "min_bytes=-1"),
        ({"min_size": (1,)}, "min_size="),
        ({"min_size": (-1, 1)}, "min_size="),
        ({"refresh": "x"}, "refresh='x'"),
        ({"spans": ("http://x/",)}, "'http://x/' is no host"),
        ({"includes": "x"}, "includes='x' is one text"),
    ],
)
def test_nonsense_is_refused(options, words):
    sound = {field.name: getattr(Settings(url=SITE), field.name) for field in dataclasses.fields(Settings)}
    with pytest.raises(BadInput, match=words):
        check(type("Asked", (), sound | options))


def test_a_list_without_the_column_is_refused_before_anything_is_made(tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("id,title\n1,x\n")
    with pytest.raises(BadInput, match="no column 'picture'"):
        Settings(from_file=str(file), column="picture")
