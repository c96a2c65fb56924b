"""Every notebook in a real JupyterLab, run from top to bottom: no error, no console error, nothing cut off."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import ROOT, browser_page, make_lab, open_notebook
from tests.helpers import eventually

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: lessons that are looked at in every run; the others are `long`, as each takes half a minute here
EVERY_RUN = "05"

#: seconds that a notebook may take here, where JupyterLab and a browser want their share of the machine
PATIENCE = 150

#: what is wider than its box, by more than a rounded pixel, and so has a scroll bar or is cut off
CUT_OFF = """
() => [...document.querySelectorAll(
    ".jp-Notebook .cm-scroller, .jp-Notebook .jp-OutputArea-output, .jp-Notebook .jp-MarkdownOutput"
)].filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.innerText.slice(0, 300))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """JupyterLab as `make lab` starts it: its address with the token, and the folder with its copy of the course."""
    folder = tmp_path_factory.mktemp("lab")
    with make_lab(folder) as address:
        yield address, folder


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
    expect(prompts).to_have_count(cells)

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


def marked(notebook: Path) -> Any:
    """A notebook as a parameter of a test, with its name."""
    later = notebook.stem[0].isdigit() and notebook.stem[:2] > EVERY_RUN
    return pytest.param(notebook, id=notebook.stem, marks=[pytest.mark.long] if later else [])


@pytest.mark.timeout(PATIENCE + 90)
@pytest.mark.parametrize("notebook", [marked(path) for path in NOTEBOOKS])
def test_it_runs_in_jupyterlab(notebook: Path, lab: tuple[str, Path]) -> None:
    address, folder = lab
    base, token = address.partition("/lab/tree/")[0], address.partition("token=")[2]
    cells = without_outputs(folder / "notebooks" / notebook.name)
    pictures = sum("```mermaid" in "".join(cell["source"]) for cell in cells)
    complaints: list[str] = []
    with browser_page(complaints) as page:
        open_notebook(page, f"{base}/lab/tree/notebooks/{notebook.name}?token={token}&reset")
        try:
            run_all(page, sum(cell["cell_type"] == "code" for cell in cells))
            expect(page.locator(".jp-RenderedMermaid img, .jp-RenderedMermaid svg")).to_have_count(pictures)
            for output in saved(page, folder / "notebooks" / notebook.name):
                assert output["output_type"] != "error" and output.get("name") != "stderr", output
            assert page.evaluate(CUT_OFF) == []
        finally:
            for kernel in page.request.get(f"{base}/api/kernels?token={token}").json():
                page.request.delete(f"{base}/api/kernels/{kernel['id']}?token={token}")
    assert complaints == []
