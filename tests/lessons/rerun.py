"""`python -m tests.lessons.rerun NOTEBOOK`: stop its cells half-way, run it again, kill its kernel at work."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from jupyter_client import BlockingKernelClient, KernelManager

from tests.helpers import eventually

#: seconds after which a cell that starts processes is stopped; that one cell may take; that a stop takes to arrive
STOP, CELL, ARRIVAL = 1.0, 60, 0.1

#: what a cell has in which the kernel is killed: it starts processes, as each lesson does somewhere
STARTS = re.compile(r"\bwith .*(Master|run)\(|\w+Workers\(master\b")


def execute(client: BlockingKernelClient, code: str) -> dict[str, Any]:
    """Run one cell and return the kernel's reply."""
    return client.execute_interactive(code, timeout=CELL, output_hook=lambda message: None)["content"]


def stop_half_way(kernel: KernelManager, client: BlockingKernelClient, code: str) -> None:
    """Run one cell and press the stop button while it runs."""
    stop = threading.Timer(STOP, kernel.interrupt_kernel)
    stop.start()
    until_idle(client, code)
    stop.cancel()
    stop.join()
    until_idle(client, f"import time; time.sleep({ARRIVAL})")  # a stop after the cell's end must not hit the next one


def until_idle(client: BlockingKernelClient, code: str) -> None:
    """Run one cell until the kernel is idle again: a stop between its end and its reply costs the reply."""
    request = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=CELL)
        if message["parent_header"].get("msg_id") == request and message["content"].get("execution_state") == "idle":
            return


@contextmanager
def a_kernel(folder: Path) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """A new kernel in `folder`; the end of the block kills it."""
    kernel = KernelManager()
    kernel.start_kernel(cwd=str(folder))
    client = kernel.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=CELL)
        yield kernel, client
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def main(notebook: Path) -> int:
    """Return 0 if all went well; say what did not."""
    cells = json.loads(notebook.read_text("utf8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    with a_kernel(notebook.parent) as (kernel, client):
        for cell in code:
            if "with " in cell:
                stop_half_way(kernel, client, cell)
            else:
                execute(client, cell)
        for cell in code:
            if (reply := execute(client, cell))["status"] == "error":
                print(f"{cell}\n{reply['ename']}: {reply['evalue']}")
                return 1
        process = psutil.Process(kernel.provisioner.pid)
        before = set(process.children(recursive=True))
        client.execute(next(cell for cell in code if STARTS.search(cell)))
        eventually(lambda: set(process.children(recursive=True)) - before, 20, "processes of the cell")
    print("stopped, run again, killed")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
