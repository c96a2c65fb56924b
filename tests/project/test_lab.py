"""`make lab`, as somebody meets it who has just typed it: the first notebook in JupyterLab, and nothing in the way."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import ROOT, browser_page, make_lab, open_notebook


@pytest.mark.timeout(180)
def test_the_first_notebook_opens_without_any_question(tmp_path: Path, own_folders: Path) -> None:
    first = next(name for name in ("index", "00_two_scripts") if (ROOT / "notebooks" / f"{name}.ipynb").exists())
    complaints: list[str] = []
    with make_lab(tmp_path) as address, browser_page(complaints) as page:
        assert f"/lab/tree/notebooks/{first}.ipynb" in address
        open_notebook(page, address)
        expect(page.locator(".jp-mod-current .lm-TabBar-tabLabel, .lm-mod-current .lm-TabBar-tabLabel").filter(
            has_text=f"{first}.ipynb")).to_be_visible()  # fmt: skip
        page.wait_for_load_state("networkidle")
        assert page.locator(".jp-Dialog").count() == 0, page.locator(".jp-Dialog").inner_text()
        assert page.locator(".Toastify__toast").count() == 0, page.locator(".Toastify__toast").first.inner_text()
        page.screenshot(path=tmp_path / "lab.png")
    assert complaints == []
    assert not (own_folders / "jupyter_config_dir" / "lab").exists(), "a user's own settings were touched"


@pytest.mark.timeout(120)
def test_what_it_prints_is_an_address_and_no_warning(tmp_path: Path) -> None:
    with make_lab(tmp_path) as address:
        printed = (tmp_path / "lab.log").read_text()
    assert address in printed
    assert not re.search(r"\[W |warning|error|traceback", printed, re.IGNORECASE), printed
