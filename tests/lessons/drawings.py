"""`python -m tests.lessons.drawings`: draw what notebooks/ says in mermaid, as JupyterLab draws it, into files.

The exported pages (`make html`) hold these, so whoever reads or exports them needs neither a network nor a browser.
"""

import importlib.util
import json
import tempfile
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import nbformat

from tests.browser import ROOT, browser_page, make_lab, open_notebook

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: without it JupyterLab asks for a kernel
METADATA = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}

#: milliseconds that JupyterLab may take to draw
PATIENCE = 60_000


def export() -> ModuleType:
    """The module behind `make html`, which lies in no package."""
    spec = importlib.util.spec_from_file_location("export", ROOT / ".jupyter" / "export.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sources() -> list[str]:
    """What the notebooks say in mermaid."""
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text("utf8"))["cells"]]
    return export().MERMAID.findall(
        "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    )


def main() -> None:
    """Draw all that has no file yet, and remove what nobody says any more."""
    wanted = {export().drawing(source): source for source in sources()}
    folder = export().DRAWINGS
    folder.mkdir(parents=True, exist_ok=True)
    for file in set(folder.glob("*.svg")) - set(wanted):
        file.unlink()
    missing = {file: source for file, source in wanted.items() if not file.exists()}
    cells = [nbformat.v4.new_markdown_cell(f"```mermaid\n{source}```") for source in missing.values()]
    cells.append(nbformat.v4.new_code_cell())  # that tells whether the page is ready
    with tempfile.TemporaryDirectory() as temporary, make_lab(Path(temporary)) as address, browser_page([]) as page:
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=METADATA), Path(temporary, "notebooks", "drawings.ipynb")
        )
        base, token = address.partition("/lab/tree/")[0], address.partition("token=")[2]
        open_notebook(page, f"{base}/lab/tree/notebooks/drawings.ipynb?token={token}&reset")
        for number, file in enumerate(missing):
            cell = page.locator(".jp-Notebook .jp-MarkdownCell").nth(number)
            cell.scroll_into_view_if_needed(timeout=PATIENCE)
            data = cell.locator(".jp-RenderedMermaid img").get_attribute("src", timeout=PATIENCE) or ""
            file.write_text(unquote(data.partition(",")[2]), "utf8")
            print(file.name)


if __name__ == "__main__":
    main()
