"""`python -m tests.lessons.out_of_order NOTEBOOK twice|SEED`: run each cell twice, or all in the order of a seed.

What a cell prints must be what it was committed with. Out of order it may also fail, with the name of the cell to run
first, or because the lesson's master has been ended.
"""

import configparser
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient

from tests.lessons.rerun import CELL, a_kernel

ROOT = Path(__file__).resolve().parents[2]

#: what a cell that can't run says
EXPLAINED = re.compile(
    r"Error: \w+ is not there yet\. First run|run the cell that writes it|first run the cells|MasterGone|closed"
)

#: seconds that one cell may take here
PATIENCE = 2 * CELL


def sanitized(text: str) -> str:
    """`text` as nbval compares it."""
    rules = configparser.RawConfigParser()
    rules.read(ROOT / "tests" / "sanitize.cfg")
    for section in rules.sections():
        text = re.sub(rules[section]["regex"], rules[section]["replace"], text)
    return text


def printed(outputs: list[dict[str, Any]]) -> str:
    """What a cell has printed, without its pictures."""
    return sanitized("".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream"))


def run(client: BlockingKernelClient, source: str) -> tuple[str, str]:
    """Run a cell; return what it printed and, if it failed, its error as a reader sees it."""
    outputs: list[dict[str, Any]] = []

    def heard(message: dict[str, Any]) -> None:
        if message["msg_type"] in ("stream", "error"):
            outputs.append({"output_type": message["msg_type"], **message["content"]})

    client.execute_interactive(source, timeout=PATIENCE, output_hook=heard)
    errors = ["\n".join(output["traceback"]) for output in outputs if output["output_type"] == "error"]
    return printed(outputs), "".join(errors)


def order(cells: list[dict[str, Any]], how: str) -> list[dict[str, Any]]:
    """The cells as they are to be run; the first one that imports from the lessons stays in front."""
    if how == "twice":
        return [cell for cell in cells for _ in range(2)]
    first = next(cell for cell in cells if "from dqlab.lessons" in "".join(cell["source"]))
    rest = [cell for cell in cells if cell is not first]
    random.Random(int(how)).shuffle(rest)
    return [first, *rest]


def main(notebook: Path, how: str) -> int:
    """Return 0 if all went well; say what did not."""
    cells = [cell for cell in json.loads(notebook.read_text("utf8"))["cells"] if cell["cell_type"] == "code"]
    wrong = 0
    with a_kernel(notebook.parent) as (_, client):
        for cell in order(cells, how):
            source = "".join(cell["source"])
            said, error = run(client, source)
            if error and (how == "twice" or not EXPLAINED.search(error)):
                wrong += 1
                print(f"== {source}\n-- failed: {error[-1500:]}")
            elif not error and said != (expected := printed(cell["outputs"])):
                wrong += 1
                print(f"== {source}\n-- said:\n{said}\n-- and not:\n{expected}")
    print(f"{notebook.stem}, {how}: {wrong or 'nothing'} wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2]))
