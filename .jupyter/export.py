"""`make html`: the course as pages in build/html that need no network, no kernel and no JupyterLab.

Outputs that answer a question are folded, and drawings are in the pages: `notebooks/images/drawings` has one for each,
named by `drawing` below and made by `python -m tests.lessons.drawings`.
"""

import base64
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
DRAWINGS = ROOT / "notebooks" / "images" / "drawings"

MERMAID = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)


def drawing(source: str) -> Path:
    """The file of a drawing, by what it says."""
    return DRAWINGS / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.svg"


def embedded(found: re.Match[str]) -> str:
    """A drawing as an image that is part of the page."""
    image = drawing(found[1]).read_bytes()
    data = base64.b64encode(image).decode()
    wide = re.search(rb"max-width: ([\d.]+)px", image)  # what JupyterLab draws it with
    size = f' width="{float(wide[1]):.0f}"' if wide else ""
    words = "; ".join(re.findall(r'"([^"]+)"', found[1]))
    words = re.sub(r"<[^>]+>", " ", words).replace("&", "and")
    return f'<img class="course-drawing" alt="{words}"{size} src="data:image/svg+xml;base64,{data}">\n'


def page(notebook: Any, exporter: HTMLExporter) -> str:
    """A notebook as a page whose links to other notebooks lead to their pages."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = MERMAID.sub(embedded, cell.source)
            cell.source = re.sub(r"\]\((\w+)\.(ipynb|md)\)", r"](\1.html)", cell.source)
            cell.source = re.sub(r"\]\(\.\./([^)]*)\)", r"](../../\1)", cell.source)
    return exporter.from_notebook_node(notebook)[0]


def text(path: Path) -> Any:
    """A page of plain text (Markdown) as a notebook of one cell."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(path.read_text("utf8"))])


def main(folder: Path) -> None:
    """Write a page for each lesson and each text of notebooks/ into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"template_name": "course", "extra_template_basedirs": [str(ROOT / ".jupyter" / "templates")]}
    exporter = HTMLExporter(**options)
    for path in sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks").glob("*.md")]):
        if path.stem == "template":
            continue
        notebook = nbformat.read(path, as_version=4) if path.suffix == ".ipynb" else text(path)
        exporter.exclude_input_prompt = exporter.exclude_output_prompt = path.suffix == ".md"
        (folder / f"{path.stem}.html").write_text(page(notebook, exporter), "utf8")
    print(f"open {folder / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "html").resolve())
