"""`make html`: pages that fetch nothing, show every drawing, and fold what would answer a question."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import browser_page
from tests.lessons.drawings import NOTEBOOKS, export, sources

LESSONS = [path for path in NOTEBOOKS if path.stem != "template"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("html")
    export().main(folder)
    return folder


def test_every_drawing_has_its_file_and_no_file_is_left_over() -> None:
    assert {export().drawing(source) for source in sources()} == set(export().DRAWINGS.glob("*.svg"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_page_fetches_nothing_and_folds_the_answers(lesson: Path, pages: Path) -> None:
    page = (pages / f"{lesson.stem}.html").read_text("utf8")
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=[\"']?(https?:)?//", page)
    assert not re.search(r"import\(|@import", page)
    cells = json.loads(lesson.read_text("utf8"))["cells"]
    hidden = [cell for cell in cells if cell["metadata"].get("jupyter", {}).get("outputs_hidden")]
    assert page.count('<details class="course-answer">') == sum(bool(cell["outputs"]) for cell in hidden)


def test_a_browser_shows_the_drawing_and_opens_an_answer(pages: Path) -> None:
    complaints: list[str] = []
    with browser_page(complaints) as page:
        page.goto((pages / "00_two_scripts.html").as_uri())
        drawing = page.locator("img.course-drawing").first
        expect(drawing).to_be_visible()
        assert drawing.evaluate("image => image.naturalWidth") > 100
        answer = page.locator(".course-answer").first
        expect(answer.get_by_text("it was")).to_be_hidden()
        answer.locator("summary").click()
        expect(answer.get_by_text("it was")).to_be_visible()
    assert complaints == []
