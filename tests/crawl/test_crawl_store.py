"""The folder of a crawl: what is written, what is refused, what a killed crawl leaves."""

import hashlib
import json
import os
import tracemalloc

import pytest

from dqlab.crawl.images import Image
from dqlab.crawl.manifest import MANIFEST, PART, VERSION, Manifest, read_manifest, write_csv
from dqlab.crawl.store import Store
from dqlab.errors import BadInput, DqlabError

#: what every manifest has had, in this order, and what came later
FIELDS = ["url", "path", "bytes", "sha256", "content_type", "seconds", "worker", "error"]
LATER = ["width", "height", "referer", "etag", "last_modified", "duplicate_of", "attempts", "version"]


def picture(path="a.png", body=b"picture", **fields):
    return Image(f"http://host/{path}", body, "image/png", 0.12345, "w1", **fields)


def lines(folder):
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "folder"


def test_a_picture_gets_a_file_and_a_line(out):
    with Store(out) as store:
        store.add(picture(width=4, height=3, referer="http://host/"), attempts=2)

        assert (out / "a.png").read_bytes() == b"picture"
    [line] = lines(out)
    assert list(line) == FIELDS + LATER
    assert line == {
        "url": "http://host/a.png",
        "path": "a.png",
        "bytes": 7,
        "sha256": hashlib.sha256(b"picture").hexdigest(),
        "content_type": "image/png",
        "seconds": 0.1235,
        "worker": "w1",
        "error": None,
        "width": 4,
        "height": 3,
        "referer": "http://host/",
        "etag": None,
        "last_modified": None,
        "duplicate_of": None,
        "attempts": 2,
        "version": VERSION,
    }


def test_a_failure_gets_a_line_with_its_reason(out):
    with Store(out) as store:
        store.add(Image("http://host/a.png", error="404 Not Found"))

    [line] = lines(out)
    assert (line["path"], line["bytes"], line["sha256"], line["error"]) == (None, 0, None, "404 Not Found")
    assert files(out) == [MANIFEST]


def test_equal_names_do_not_collide(out):
    paths = ["x/a.png", "x-a.png", "X/A.png", "x/a.png?", "x%2Fa.png"]
    with Store(out) as store:
        stored = [store.add(picture(path, body=path.encode())).path for path in paths]

    assert len({path.casefold() for path in stored}) == len(paths)
    assert [(out / name).read_bytes().decode() for name in stored] == paths


def test_nothing_that_was_there_before_is_overwritten(out):
    out.mkdir(parents=True)
    (out / "A.PNG").write_text("the user's own")
    (out / "notes.txt").write_text("the user's own")

    with Store(out) as store:
        path = store.add(picture()).path

    assert path != "a.png"
    assert (out / "A.PNG").read_text() == (out / "notes.txt").read_text() == "the user's own"


def test_no_symbolic_link_is_followed(out, tmp_path):
    out.mkdir(parents=True)
    target = tmp_path / "target"
    target.write_bytes(b"picture")
    os.symlink(target, out / "a.png")

    with Store(out) as store:
        path = store.add(picture(body=b"picture")).path

    assert path != "a.png"
    assert target.read_bytes() == b"picture"


def test_one_crawl_at_a_time_writes_a_folder(out):
    with Store(out) as store:
        store.add(picture())
        with pytest.raises(DqlabError, match=f"another crawl writes in {out}"):
            Store(out)
        store.add(picture("b.png"))
    with Store(out) as store:
        assert store.has("http://host/a.png") and store.has("http://host/b.png")


class TestAgain:
    """A second crawl into the same folder."""

    @pytest.fixture(autouse=True)
    def first(self, out):
        with Store(out) as store:
            store.add(picture())
            store.add(Image("http://host/b.png", error="503 Service Unavailable"))

    def test_what_is_here_is_known(self, out):
        with Store(out) as store:
            assert store.has("http://host/a.png")
            assert not store.has("http://host/b.png")
            assert not store.has("http://host/c.png")

    @pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_bytes(b"half")])
    def test_a_file_that_is_gone_or_cut_is_not(self, out, change):
        change(out / "a.png")

        with Store(out) as store:
            assert not store.has("http://host/a.png")
            store.add(picture())
            assert store.has("http://host/a.png")
        assert files(out) == ["a.png", MANIFEST]

    def test_an_address_keeps_one_line(self, out):
        with Store(out) as store:
            store.add(picture("b.png", b"b"))

            assert len(lines(out)) == 3  # appended: whoever kills us now, both are known
        assert [(line["url"], line["error"]) for line in lines(out)] == [
            ("http://host/a.png", None),
            ("http://host/b.png", None),
        ]

    def test_a_torn_line_costs_that_line_only(self, out):
        with open(out / MANIFEST, "a") as manifest:
            manifest.write('{"url": "http://host/c.png", "pa')

        with Store(out) as store:
            store.add(picture("d.png"))
            assert [line["url"][-5:] for line in lines(out)] == ["a.png", "b.png", "d.png"]

    def test_a_file_whose_line_was_not_written_any_more_is_taken_over(self, out):
        (out / "c.png").write_bytes(b"other")

        with Store(out) as store:
            assert store.add(picture("c.png", b"other")).path == "c.png"
            assert store.add(picture("C.png", b"more")).path != "C.png"

    def test_temporary_files_of_a_killed_crawl_are_swept_up(self, out):
        (out / f"{PART}x.png").write_bytes(b"half")
        (out / f"{PART}12ab").mkdir()
        (out / f"{PART}12ab" / "landed").write_bytes(b"half")

        with Store(out) as store:
            assert files(out) == [store.landing.place.name, "a.png", MANIFEST]
        assert files(out) == ["a.png", MANIFEST]

    @pytest.mark.parametrize(
        "line",
        [
            '{"path": "../../etc/passwd"}',
            '{"path": "/etc/passwd"}',
            '{"path": "manifest.jsonl"}',
            '{"path": 7}',
            '{"url": 7}',
            '{"url": ["x"]}',
            '{"more": 1}',
            '"text"',
            "[1, 2]",
            "nonsense",
        ],
    )
    def test_a_line_that_cannot_be_ours_is_left_out(self, out, line):
        ours = json.loads((out / MANIFEST).read_text().splitlines()[0])
        if line.startswith("{"):
            line = json.dumps({**ours, **json.loads(line)})
        (out / MANIFEST).write_text(line + "\n")

        assert read_manifest(out) == []


class TestDuplicates:
    def test_the_same_content_is_stored_once_and_listed_for_each_address(self, out):
        with Store(out) as store:
            first, second, third = (store.add(picture(f"{name}.png")) for name in "abc")

            assert [entry.path for entry in (first, second, third)] == ["a.png"] * 3
            assert [entry.duplicate_of for entry in (first, second, third)] == [None, first.url, first.url]
            assert all(store.has(entry.url) for entry in (first, second, third))
        assert files(out) == ["a.png", MANIFEST]
        assert len(lines(out)) == 3

    def test_in_a_later_crawl_too(self, out):
        with Store(out) as store:
            store.add(picture())
        with Store(out) as store:
            assert store.add(picture("b.png")).path == "a.png"

    def test_what_is_no_longer_as_it_was_is_no_twin(self, out):
        with Store(out) as store:
            store.add(picture())
            (out / "a.png").write_bytes(b"changed")

            assert store.add(picture("b.png")).path == "b.png"
        assert (out / "b.png").read_bytes() == b"picture"

    def test_files_for_all_if_that_is_wanted(self, out):
        with Store(out, keep_duplicates=True) as store:
            store.add(picture())

            assert store.add(picture("b.png")).path == "b.png"


class TestRefresh:
    @pytest.fixture(autouse=True)
    def first(self, out):
        with Store(out) as store:
            store.add(picture(etag='"1"'))

    def test_a_changed_picture_replaces_the_old_one(self, out):
        with Store(out) as store:
            assert store.add(picture(body=b"new", etag='"2"')).path == "a.png"
        assert (out / "a.png").read_bytes() == b"new"
        assert [(line["etag"], line["bytes"]) for line in lines(out)] == [('"2"', 3)]
        assert files(out) == ["a.png", MANIFEST]

    def test_or_comes_beside_it(self, out):
        os.utime(out / "a.png", (0, 86400 * 366))
        with Store(out, keep_old=True) as store:
            store.add(picture(body=b"new"))
            os.utime(out / "a.png", (0, 86400 * 366))
            store.add(picture(body=b"newer"))

        names = files(out)
        assert [name[:12] for name in names] == ["a.1971-01-02", "a.1971-01-02", "a.png", MANIFEST[:12]]
        assert {(out / name).read_bytes() for name in names[:3]} == {b"picture", b"new", b"newer"}

    def test_an_unchanged_one_stays_as_it_is(self, out):
        with Store(out, keep_old=True) as store:
            assert store.add(Image("http://host/a.png", unchanged=True)).etag == '"1"'
            assert store.add(picture(etag='"2"')).path == "a.png"
        assert files(out) == ["a.png", MANIFEST]
        assert [line["etag"] for line in lines(out)] == ['"2"']

    def test_a_failure_leaves_what_is_here(self, out):
        with Store(out) as store:
            assert store.add(Image("http://host/a.png", error="503 Service Unavailable")).error
            assert store.has("http://host/a.png")
        assert [line["error"] for line in lines(out)] == [None]

    def test_a_file_that_others_have_too_stays_theirs(self, out):
        with Store(out) as store:
            store.add(picture("b.png"))
            assert store.add(picture(body=b"new")).path not in ("a.png", None)

            assert (out / store.entry("http://host/b.png").path).read_bytes() == b"picture"
            assert (out / store.entry("http://host/a.png").path).read_bytes() == b"new"


class TestVersions:
    PNG = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000002000000010802000000"
        "7b40e8dd0000000b49444154789c636000030000070001b286acf40000000049454e44ae426082"
    )

    def before(self, out, body):
        """A folder as the first version of the manifest left it."""
        out.mkdir(parents=True)
        (out / "a.png").write_bytes(body)
        values = [
            "http://host/a.png",
            "a.png",
            len(body),
            hashlib.sha256(body).hexdigest(),
            "text/plain",
            0.1,
            "w",
            None,
        ]
        (out / MANIFEST).write_text(json.dumps(dict(zip(FIELDS, values, strict=True))) + "\n")

    def test_a_whole_picture_of_before_is_believed(self, out):
        self.before(out, self.PNG)
        with Store(out) as store:
            entry = store.entry("http://host/a.png")

        assert (entry.content_type, entry.width, entry.height, entry.version) == ("image/png", 2, 1, VERSION)
        assert lines(out)[0]["version"] == VERSION

    @pytest.mark.parametrize("body", [PNG[:-8], b"<html>please log in</html>"])
    def test_what_is_cut_or_no_picture_is_not(self, out, body):
        self.before(out, body)
        with Store(out) as store:
            assert not store.has("http://host/a.png")


class TestManifest:
    def test_lines_are_found_by_address_and_content(self, out):
        with Store(out) as store:
            entries = [store.add(picture(f"{number}.png", str(number).encode())) for number in range(300)]

            assert [store.manifest.get(entry.url) for entry in entries] == entries
            assert [store.manifest.same(entry.sha256) for entry in entries] == entries
            assert store.manifest.get("http://host/none") is store.manifest.same("none") is None

    def test_as_a_table(self, out):
        with Store(out) as store:
            store.add(picture('a,"b".png'))
            store.add(Image("http://host/b.png", error="404 Not Found"))

        head, first, second = write_csv(out).read_text().splitlines()
        assert head == ",".join(FIELDS + LATER)
        assert first.startswith('"http://host/a,""b"".png",a-b.png,7,')
        assert ",404 Not Found," in second

    def test_many_lines_take_little_memory(self, out):
        out.mkdir(parents=True)
        line = json.dumps(dict.fromkeys(FIELDS) | {"bytes": 1, "seconds": 1, "referer": "x" * 500})
        with open(out / MANIFEST, "w") as file:
            for number in range(5_000):
                file.write(line.replace('"url": null', f'"url": "http://host/{number}.png"') + "\n")
        tracemalloc.start()
        manifest = Manifest(out)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        manifest.close()

        assert held < 5_000 * 200


class TestTrouble:
    @pytest.fixture
    def full(self, monkeypatch):
        def replace(*paths):
            raise OSError(28, "No space left on device")

        def fill():
            monkeypatch.setattr(os, "replace", replace)

        yield fill

    def test_a_folder_that_is_a_file(self, tmp_path):
        file = tmp_path / "file"
        file.write_text("x")
        for out in (file, file / "below"):
            with pytest.raises(BadInput, match="is not a folder"):
                Store(out)
        assert file.read_text() == "x"

    def test_a_full_disk_is_said_in_a_line_and_leaves_nothing_half(self, out, full, monkeypatch):
        with Store(out) as store:
            store.add(picture())
            full()
            with pytest.raises(DqlabError, match="No space left on device"):
                store.add(picture("b.png", b"b"))
            monkeypatch.undo()

        assert files(out) == ["a.png", MANIFEST]
        assert len(lines(out)) == 1

    def test_after_a_full_disk_the_folder_can_be_opened_again(self, out, full, monkeypatch):
        with pytest.raises(DqlabError, match="No space left") as at_the_end, Store(out) as store:
            for _ in range(2):  # so that the manifest is to be written anew
                store.add(Image("http://host/a.png", error="404 Not Found"))
            full()
        with pytest.raises(DqlabError, match="No space left") as at_the_beginning:
            Store(out)
        monkeypatch.undo()

        Store(out).close()  # though a notebook keeps the errors, and with them the stores that failed
        assert at_the_end.tb and at_the_beginning.tb

    def test_an_interrupt_leaves_nothing_half(self, out, monkeypatch):
        def interrupt(*paths):
            monkeypatch.undo()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), Store(out) as store:
            store.add(picture())
            monkeypatch.setattr(os, "replace", interrupt)
            store.add(picture("b.png", b"b"))

        assert files(out) == ["a.png", MANIFEST]
        assert len(lines(out)) == 1
