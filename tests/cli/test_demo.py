"""`dqlab demo`, which `make demo` runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dqlab.crawl import read_manifest
from dqlab.crawl.sheet import GAP, THUMB, contact_sheet
from dqlab.errors import BadInput


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "dqlab", "demo"]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": root}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    [out] = folder.glob("dqlab-demo-*")
    return done, out


def test_it_tells_its_story(demo):
    done, out = demo

    assert done.returncode == 0, done.stderr
    for words in (
        "site ",
        "workers      w1, w2, w3, w4",
        "SIGKILL: w",
        "208 images",
        f"they lie in {out}",
        "missing      0",
    ):
        assert words in done.stdout
    assert "208/211" in done.stderr or "211/211" in done.stderr


def test_the_contact_sheet_shows_every_picture(demo):
    _, out = demo
    pictures = [entry for entry in read_manifest(out) if entry.path]

    with Image.open(out / "contact-sheet.png") as sheet:
        across, down = sheet.size[0] // (THUMB[0] + GAP), sheet.size[1] // (THUMB[1] + GAP)
        assert across * down >= len(pictures) == 208 > across * (down - 1)
    assert contact_sheet(out, columns=8).size[0] < 1000


def test_a_folder_without_pictures_makes_no_sheet(tmp_path):
    with pytest.raises(BadInput, match="no pictures in"):
        contact_sheet(tmp_path)
