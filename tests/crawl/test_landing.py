"""Where pictures lie until they have their names: written by those who can reach that folder, sent by the others."""

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dqlab.crawl.images import Image
from dqlab.crawl.landing import Landed, Landing, land, remove
from dqlab.crawl.manifest import MANIFEST, PART
from dqlab.crawl.store import Store

BODY = b"picture" * 1000


@pytest.fixture
def landing(tmp_path):
    return Landing(tmp_path / PART)


def landed(store, name="a.png", body=BODY):
    """A picture whose body lies in the folder of `store` already."""
    return Image(f"http://host/{name}", content_type="image/png", landed=land(body, str(store.landing.place)))


def files(folder):
    return sorted(path.name for path in folder.iterdir() if not path.is_dir())


def test_a_body_lands_whole_and_is_described(landing):
    here = land(BODY, str(landing.place))

    assert Path(landing.file(here)).read_bytes() == BODY
    assert (here.bytes, here.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    landing.leave(here)
    landing.leave(here)
    assert list(landing.place.iterdir()) == []


def test_elsewhere_and_too_late_nothing_lands(landing, tmp_path):
    assert land(BODY, str(tmp_path / "another machine's")) is None
    remove(landing.place)
    assert land(BODY, str(landing.place)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_lands_while_the_folder_is_emptied_does_not_keep_it_there(landing, tmp_path, monkeypatch):
    def rmtree(path, **options):
        names = [path / name for name in os.listdir(path)]
        late.append(land(BODY, str(landing.place)))
        for name in names:
            name.unlink()
        with suppress(OSError):
            path.rmdir()

    late = []
    land(BODY, str(landing.place))
    monkeypatch.setattr("shutil.rmtree", rmtree)
    remove(landing.place)

    assert late == [None]
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_stays_on_a_full_disk(landing, monkeypatch):
    monkeypatch.setattr(os, "write", lambda file, body: 1)

    assert land(BODY, str(landing.place)) is None
    assert list(landing.place.iterdir()) == []


def test_no_name_leads_out_of_the_folder(landing):
    assert landing.file(Landed("../../etc/passwd", 1, "")) == str(landing.place / "passwd")


def test_what_has_landed_is_kept_as_what_was_sent(tmp_path):
    with Store(tmp_path) as store:
        entry = store.add(landed(store))
        assert entry == replace(store.add(Image("http://host/a.png", BODY, "image/png")), version=entry.version)
        assert (entry.path, entry.bytes, entry.sha256) == ("a.png", len(BODY), hashlib.sha256(BODY).hexdigest())
        assert list(store.landing.place.iterdir()) == []
    assert files(tmp_path) == ["a.png", MANIFEST]
    assert (tmp_path / "a.png").read_bytes() == BODY


def test_what_is_here_already_leaves_nothing_behind(tmp_path):
    with Store(tmp_path) as store:
        store.add(landed(store))
        assert store.add(landed(store, "twin.png")).duplicate_of == "http://host/a.png"
        assert store.add(landed(store, "other.png", b"other")).path == "other.png"
        assert list(store.landing.place.iterdir()) == []
    assert files(tmp_path) == ["a.png", MANIFEST, "other.png"]
