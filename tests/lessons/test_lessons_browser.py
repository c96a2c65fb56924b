"""Every notebook in a real JupyterLab, run from top to bottom: no error, no console error, nothing cut off."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import ROOT, browser_page, make_lab, open_notebook
from tests.helpers import eventually

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def some(*names: str) -> list[Any]:
    """All notebooks, as a test's parameters; those not of `names` are `long`, as each takes half a minute here."""
    return [pytest.param(path, marks=() if path.stem in names else pytest.mark.long) for path in NOTEBOOKS]


def named(path: Path) -> str:
    """A notebook's name, as the name of a test."""
    return path.stem


#: seconds that a notebook may take here, where JupyterLab and a browser want their share of the machine
PATIENCE = 150

#: what is wider than its box, by more than a rounded pixel, and so has a scroll bar or is cut off
CUT_OFF = """
() => [...document.querySelectorAll(
    ".jp-Notebook .jp-WindowedPanel-outer, .jp-Notebook .cm-scroller, .jp-Notebook .jp-OutputArea-output, " +
    ".jp-Notebook .jp-MarkdownOutput"
)].filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.innerText.slice(0, 300))
"""

#: text of tables that hardly differs in brightness from what is behind it (contrast below 4.5, as WCAG counts)
PALE = """
() => {
    const numbers = color => color.match(/[\\d.]+/g).map(Number);
    const light = color => numbers(color).slice(0, 3)
        .map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, which) => sum + part * [0.2126, 0.7152, 0.0722][which], 0);
    const behind = box => {
        const color = getComputedStyle(box).backgroundColor;
        return numbers(color)[3] === 0 ? behind(box.parentElement) : color;
    };
    const boxes = [...document.querySelectorAll(".jp-Notebook th, .jp-Notebook td, .jp-Notebook p")];
    return boxes.filter(box => box.innerText.trim()).filter(box => {
        const [less, more] = [light(getComputedStyle(box).color), light(behind(box))].sort((a, b) => a - b);
        return (more + 0.05) / (less + 0.05) < 4.5;
    }).map(box => box.innerText);
}
"""

#: go one screen down, and wait until that is drawn; tells whether there was more to see
SCROLL = """
async () => { const box = document.querySelector(".jp-Notebook .jp-WindowedPanel-outer"), before = box.scrollTop;
              box.scrollTop += 0.8 * box.clientHeight;
              for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
              return box.scrollTop > before }
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """JupyterLab as `make lab` starts it: its address with the token, and the folder with its copy of the course."""
    folder = tmp_path_factory.mktemp("lab")
    with make_lab(folder) as address:
        yield address, folder


@contextmanager
def no_kernel_left(page: Page, kernels: str, token: str) -> Iterator[None]:
    """End the kernels that the block has started, at JupyterLab's address of them."""
    try:
        yield
    finally:
        for kernel in page.request.get(f"{kernels}?token={token}").json():
            page.request.delete(f"{kernels}/{kernel['id']}?token={token}")


@contextmanager
def dark(page: Page, base: str, token: str) -> Iterator[None]:
    """JupyterLab's dark theme, for pages that are opened in the block."""
    settings = f"{base}/lab/api/settings/@jupyterlab/apputils-extension:themes?token={token}"
    page.request.put(settings, data={"raw": '{"theme": "JupyterLab Dark"}'})
    try:
        yield
    finally:
        page.request.put(settings, data={"raw": "{}"})


def without_outputs(file: Path) -> list[dict[str, Any]]:
    """Clear the outputs and numbers that a notebook was committed with; return its cells."""
    notebook = json.loads(file.read_text("utf8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    file.write_text(json.dumps(notebook), "utf8")
    return notebook["cells"]


def run_all(page: Page, cells: int) -> None:
    """Run every cell, again if JupyterLab, not quite ready, did nothing; wait until the last has ended."""
    prompts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
    expect(prompts).to_have_count(cells, timeout=60_000)

    def begun() -> bool:
        page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
        page.locator("li[data-command='runmenu:run-all']").click()
        with suppress(AssertionError):
            expect(prompts.first).to_have_text(re.compile(r"\[[*\d]"), timeout=3_000)
            return True
        return False

    eventually(begun, 30, "cells that run")
    expect(prompts.last).to_have_text(re.compile(r"\[\d+\]"), timeout=PATIENCE * 1000)


def saved(page: Page, file: Path) -> list[dict[str, Any]]:
    """The outputs of all cells, as JupyterLab saves them."""

    def outputs() -> list[dict[str, Any]]:
        with suppress(json.JSONDecodeError):  # half saved
            cells = json.loads(file.read_text("utf8"))["cells"]
            return [output for cell in cells for output in cell.get("outputs", [])]
        return []

    page.keyboard.press("Control+s")
    return eventually(outputs, 20, "a notebook saved with outputs")


@pytest.mark.timeout(PATIENCE + 90)
@pytest.mark.parametrize("notebook", some("00_two_scripts", "05_dashboard"), ids=named)
def test_it_runs_in_jupyterlab(notebook: Path, lab: tuple[str, Path]) -> None:
    address, folder = lab
    base, token = address.partition("/lab/tree/")[0], address.partition("token=")[2]
    cells = without_outputs(folder / "notebooks" / notebook.name)
    pictures = sum("```mermaid" in "".join(cell["source"]) for cell in cells)
    complaints: list[str] = []
    with browser_page(complaints) as page, no_kernel_left(page, f"{base}/api/kernels", token):
        open_notebook(page, f"{base}/lab/tree/notebooks/{notebook.name}?token={token}&reset")
        run_all(page, sum(cell["cell_type"] == "code" for cell in cells))
        expect(page.locator(".jp-RenderedMermaid img, .jp-RenderedMermaid svg")).to_have_count(pictures)
        for output in saved(page, folder / "notebooks" / notebook.name):
            assert output["output_type"] != "error" and output.get("name") != "stderr", output
        assert page.evaluate(CUT_OFF) == []
    assert complaints == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("notebook", some("00_two_scripts"), ids=named)
def test_zoomed_in_and_dark_nothing_scrolls_sideways_and_what_is_folded_says_nothing(
    notebook: Path, lab: tuple[str, Path]
) -> None:
    base, token = lab[0].partition("/lab/tree/")[0], lab[0].partition("token=")[2]
    shutil.copy(notebook, lab[1] / "notebooks")
    complaints: list[str] = []
    with (
        browser_page(complaints, zoom=1.5) as page,
        no_kernel_left(page, f"{base}/api/kernels", token),
        dark(page, base, token),
    ):
        open_notebook(page, f"{base}/lab/tree/notebooks/{notebook.name}?token={token}&reset")
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
        while page.evaluate(SCROLL):
            assert page.evaluate(CUT_OFF) == page.evaluate(PALE) == []
            assert "".join(page.locator(".jp-OutputPlaceholder").all_inner_texts()).strip() == ""
    assert complaints == []


@pytest.mark.timeout(180)
def test_a_new_view_of_an_output_stands_beside_its_notebook(lab: tuple[str, Path]) -> None:
    base, token = lab[0].partition("/lab/tree/")[0], lab[0].partition("token=")[2]
    shutil.copy(ROOT / "notebooks" / "00_two_scripts.ipynb", lab[1] / "notebooks")
    complaints: list[str] = []
    with browser_page(complaints) as page, no_kernel_left(page, f"{base}/api/kernels", token):
        open_notebook(page, f"{base}/lab/tree/notebooks/00_two_scripts.ipynb?token={token}&reset")
        page.locator(".jp-Notebook .jp-OutputArea-output").first.click(button="right")
        page.get_by_role("menu").get_by_text("Create New View for Cell Output").click()
        view = page.locator(".jp-LinkedOutputView")
        expect(view).to_be_visible()
        cells, beside = page.locator(".jp-Notebook").bounding_box(), view.bounding_box()
        assert cells and beside and beside["x"] >= cells["x"] + cells["width"]
    assert complaints == []
