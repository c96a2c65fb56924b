"""`python -m tests.lessons.execute [NOTEBOOK ...]`: run notebooks and save them with their outputs.

Without names it is all of notebooks/. Committed outputs are made so and in no other way: from a new kernel, from top to
bottom, with numbers from 1, and without anything that says when or on which machine they were made.
"""

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"

#: seconds that one cell may take
CELL = 180

#: the file that a cell seems to be in, as tracebacks have it: it has another name each time
A_CELL = re.compile(r'File "[^"]*/ipykernel_\d+/\d+\.py"')


def execute(path: Path) -> None:
    """Run a notebook and save it; an error in a cell is raised, and nothing is saved."""
    notebook: Any = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=CELL, kernel_name="python3", record_timing=False, store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}}, coalesce_streams=True,
    ).execute()  # fmt: skip
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = A_CELL.sub('File "/tmp/ipykernel_1/1.py"', output.text)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(map(str, FOLDER.glob("*.ipynb"))):
        print(name, flush=True)
        execute(Path(name).resolve())
